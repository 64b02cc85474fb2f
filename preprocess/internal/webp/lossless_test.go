package webp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"kerasrun/internal/pythontest"
)

const referenceScript = "testdata/reference.py"

type file struct {
	name string
	data []byte
}

// made returns lossless images that the reference script draws, the committed ones before them.
func made(t testing.TB, seed, count int) []file {
	t.Helper()
	files := committed(t)
	cmd := exec.Command(pythontest.Python(t), referenceScript, "make", fmt.Sprint(seed),
		fmt.Sprint(count))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	next := func() []byte {
		n := binary.LittleEndian.Uint32(out)
		b := out[4 : 4+n]
		out = out[4+n:]
		return b
	}
	for len(out) > 0 {
		name := string(next())
		files = append(files, file{name, next()})
	}
	return files
}

func committed(t testing.TB) []file {
	t.Helper()
	var files []file
	for _, pattern := range []string{"generated/lossless-*.webp", "ximage/*.lossless.webp"} {
		paths, err := filepath.Glob("../../../testdata/images/" + pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("got no files %s: %v", pattern, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file{filepath.Base(path), data})
		}
	}
	return files
}

// compare holds what becomes of files against Pillow, and returns how many it decodes.
func compare(t *testing.T, files []file) (decoded int) {
	t.Helper()
	p, err := pythontest.NewProcess(pythontest.Python(t), referenceScript, "decode")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, f := range files {
			binary.Write(p.In, binary.LittleEndian, int32(len(f.data)))
			p.In.Write(f.data)
		}
		p.In.Flush()
	}()
	for _, f := range files {
		var head [2]int32
		if err := binary.Read(p.Out, binary.LittleEndian, &head); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		n := 3 * int(head[0]) * int(head[1])
		if head[0] < 0 {
			n = int(head[1])
		}
		want := make([]byte, n)
		if _, err := io.ReadFull(p.Out, want); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		got, err := Decode(nil, f.data)
		switch {
		case head[0] < 0 && err == nil:
			t.Errorf("%s: got an image, want %s", f.name, want)
		case head[0] >= 0 && err != nil:
			t.Errorf("%s: got %v, want an image", f.name, err)
		case err == nil && !bytes.Equal(got, want):
			t.Errorf("%s: got other pixels than Pillow", f.name)
		case err == nil:
			decoded++
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return decoded
}

func TestLosslessEqualsPillow(t *testing.T) {
	files := made(t, 1, 400)
	if n := compare(t, files); n != len(files) {
		t.Errorf("got %d files decoded alike, want %d", n, len(files))
	}
	t.Run("without AVX2", func(t *testing.T) {
		defer func(use bool) { useAVX2 = use }(useAVX2)
		useAVX2 = false
		compare(t, files)
	})
}

// Damaged bitstreams are decoded to the same pixels as Pillow's, or refused as it refuses them.
func TestDamagedLosslessEqualsPillow(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	files := made(t, 2, 60)
	for i := range 3000 {
		f := files[rng.IntN(len(files))]
		data := slices.Clone(f.data)
		const start = 20 // of the bitstream, behind the chunks' headers
		for range 1 + rng.IntN(3) {
			at := start + rng.IntN(len(data)-start)
			if rng.IntN(2) == 0 {
				// Where the transforms and the Huffman codes are.
				at = start + rng.IntN(min(60, len(data)-start))
			}
			data[at] ^= 1 << rng.IntN(8)
		}
		if rng.IntN(4) == 0 {
			clear(data[start+rng.IntN(len(data)-start):])
		}
		files = append(files, file{fmt.Sprintf("%s, damaged %d", f.name, i), data})
	}
	compare(t, files)
}
