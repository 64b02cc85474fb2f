package preprocess_test

import (
	"bytes"
	"testing"

	"kerasrun/internal/testseed"
	"kerasrun/preprocess"
)

// TestDecodersForget decodes files of every format as each library does, in any order: what a
// decoder keeps from one image to the next must not show in another.
func TestDecodersForget(t *testing.T) {
	type request struct {
		path   string
		decode preprocess.Decode
	}
	files := map[string][]byte{}
	paths := imageFiles(t, "../testdata/images/generated")
	for _, path := range paths {
		files[path] = readFile(t, path)
	}
	r := testseed.Rand(t)
	first := map[request][]byte{}
	for range 20_000 {
		q := request{paths[r.IntN(len(paths))], preprocess.Decode{
			By: preprocess.Library(r.IntN(3)), Color: preprocess.Color(r.IntN(5))}}
		m, err := q.decode.Image(files[q.path], 0)
		if err != nil {
			m = &preprocess.Image{Pix: []byte(err.Error())}
		}
		want, ok := first[q]
		if !ok {
			first[q] = m.Pix
		} else if !bytes.Equal(m.Pix, want) {
			t.Errorf("%s by %v to %v: got other pixels than the first time", q.path, q.decode.By,
				q.decode.Color)
		}
	}
}
