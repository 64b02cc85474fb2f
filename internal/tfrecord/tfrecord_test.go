package tfrecord

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

const limit = 5_000

// written is testdata/records.tfrecord, by TensorFlow (testdata/generate.py), and what is in it.
func written(t testing.TB) (file []byte, records [][]byte) {
	t.Helper()
	file, err := os.ReadFile("testdata/records.tfrecord")
	if err != nil {
		t.Fatal(err)
	}
	return file, [][]byte{{}, []byte("kerasrun"), make([]byte, limit)}
}

func TestRead(t *testing.T) {
	file, want := written(t)
	in := bytes.NewReader(file)
	for i, record := range want {
		if got, err := Read(in, limit); err != nil || !bytes.Equal(got, record) {
			t.Errorf("record %d: got %d, %v, want %d bytes", i, len(got), err, len(record))
		}
	}
	if _, err := Read(in, limit); err != io.EOF {
		t.Errorf("after the last: got %v, want io.EOF", err)
	}
}

func TestReadRefuses(t *testing.T) {
	file, _ := written(t)
	second := file[16:] // the first is 16 bytes of frame
	flip := func(at int) []byte {
		out := slices.Clone(second)
		out[at] ^= 1
		return out
	}
	for _, c := range []struct {
		name  string
		file  []byte
		limit int64
		want  string
	}{
		{"a length", flip(0), limit, "checksum of the length"},
		{"the checksum of a length", flip(8), limit, "checksum of the length"},
		{"data", flip(12), limit, "checksum of the data"},
		{"the checksum of data", flip(20), limit, "checksum of the data"},
		{"too long", second, 7, "expected at most 7 bytes, got 8"},
		{"cut in the head", second[:11], limit, io.ErrUnexpectedEOF.Error()},
		{"cut in the data", second[:19], limit, io.ErrUnexpectedEOF.Error()},
		{"cut in the last checksum", second[:23], limit, io.ErrUnexpectedEOF.Error()},
	} {
		if got, err := Read(bytes.NewReader(c.file), c.limit); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %d bytes, %v, want an error with %q", c.name, len(got), err, c.want)
		}
	}
}

// Whatever stands in a file, reading it ends with io.EOF or another error, and what was read was
// there.
func FuzzRead(f *testing.F) {
	file, _ := written(f)
	f.Add(file)
	f.Add(file[:30])
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		read := 0
		for {
			record, err := Read(in, limit)
			if err != nil {
				if errors.Is(err, io.EOF) && read != len(data) {
					t.Errorf("io.EOF after %d of %d bytes", read, len(data))
				}
				return
			}
			if read += 16 + len(record); read > len(data) {
				t.Errorf("%d bytes of records out of %d", read, len(data))
			}
		}
	})
}
