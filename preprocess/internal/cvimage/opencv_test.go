package cvimage

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"testing"

	"kerasrun/internal/pythontest"
)

// opencv is a Python process that answers with what cv2 makes of an image; see
// testdata/reference.py.
type opencv struct {
	mu sync.Mutex
	*pythontest.Process
}

// The requests of testdata/reference.py.
const (
	askResize = iota
	askDecode
	askGrey
	askRead
)

// startOpenCV starts the process, which ends with the test.
func startOpenCV(t testing.TB) *opencv {
	t.Helper()
	return &opencv{Process: pythontest.Start(t, "testdata/reference.py")}
}

// ask sends a request and its bytes, and returns an image; its width is 0 where cv2 returns None.
func (o *opencv) ask(t testing.TB, data []byte, request ...int) (pix []uint8, width, height,
	channels int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var head [8]int32
	for i, v := range request {
		head[i] = int32(v)
	}
	head[7] = int32(len(data))
	binary.Write(o.In, binary.LittleEndian, head)
	o.In.Write(data)
	if err := o.In.Flush(); err != nil {
		t.Fatalf("the reference process ended: %v", err)
	}
	var shape [3]int32
	if err := binary.Read(o.Out, binary.LittleEndian, &shape); err != nil {
		t.Fatalf("the reference process ended: %v", err)
	}
	pix = make([]byte, int(shape[0])*int(shape[1])*int(shape[2]))
	if _, err := io.ReadFull(o.Out, pix); err != nil {
		t.Fatal(err)
	}
	return pix, int(shape[0]), int(shape[1]), int(shape[2])
}

// differ says how got differs from want, "" if it does not.
func differ(got, want []uint8) string {
	if len(got) != len(want) {
		return fmt.Sprintf("got %d bytes, want %d", len(got), len(want))
	}
	first, count, largest := -1, 0, 0
	for i, g := range got {
		if d := int(g) - int(want[i]); d != 0 {
			if first < 0 {
				first = i
			}
			count++
			largest = max(largest, d, -d)
		}
	}
	if first < 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d bytes differ, by up to %d; byte %d: got %d, want %d", count,
		len(want), largest, first, got[first], want[first])
}
