package pythontest

import (
	_ "embed"
	"encoding/binary"
	"io"
	"testing"
)

// Image is what a decoder makes of a file, or the reason why it refuses it.
type Image struct {
	Width, Height int
	Pix           []byte
	Reason        string
}

//go:embed pillow.py
var pillowScript string

// Pillow calls each with what Pillow makes of files of one of its formats, in one of its modes, RGB
// or RGBA: of one file after the other, by one process.
func Pillow(t testing.TB, format, mode string, files [][]byte, each func(i int, image Image)) {
	t.Helper()
	p, err := NewProcess(Python(t), "-c", pillowScript, format, mode)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, file := range files {
			binary.Write(p.In, binary.LittleEndian, int32(len(file)))
			p.In.Write(file)
		}
		p.In.Flush()
	}()
	for i := range files {
		var head [2]int32
		if err := binary.Read(p.Out, binary.LittleEndian, &head); err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
		refused := head[0] < 0
		n := len(mode) * int(head[0]) * int(head[1])
		if refused {
			n = int(head[1])
		}
		buf := make([]byte, n)
		if _, err := io.ReadFull(p.Out, buf); err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
		if refused {
			each(i, Image{Reason: string(buf)})
		} else {
			each(i, Image{Width: int(head[0]), Height: int(head[1]), Pix: buf})
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
