package preprocess_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/preprocess"
)

// TIFF files as Pillow and tifffile write them, and damaged ones, are what load_img makes of them,
// or refused.
func TestTIFFEqualsKeras(t *testing.T) {
	dir := t.TempDir()
	python := pythontest.Python(t)
	if out, err := exec.Command(python, "testdata/write_tiff.py", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	keras := startKeras(t)
	r := rand.New(rand.NewPCG(20261130, 0))
	equal, refused, damaged, ours := 0, 0, 0, 0
	compare := func(name string, file []byte, whole bool) {
		got, err := decode(file, 0)
		if err != nil {
			var unsupported *preprocess.UnsupportedError
			if whole && !errors.As(err, &unsupported) {
				t.Errorf("%s: got %v, want an UnsupportedError", name, err)
			}
			refused++
			return
		}
		want, refusal := keras.decode(t, file)
		switch {
		case refusal != nil && whole:
			t.Errorf("%s: got an image, want a refusal (%v)", name, refusal)
		case refusal != nil:
			ours++
		default:
			if d := differ(got, want); d != "" {
				t.Errorf("%s (whole: %v): %s", name, whole, d)
			}
			if equal++; !whole {
				damaged++
			}
		}
	}
	for _, path := range imageFiles(t, dir) {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		compare(name, file, true)
		if _, err := decode(file, 0); err != nil {
			continue
		}
		for range 3 {
			broken := append([]byte(nil), file...)
			for range 1 + r.IntN(3) {
				broken[r.IntN(len(broken))] ^= 1 << r.IntN(8)
			}
			compare(name, broken, false)
			compare(name, file[:r.IntN(len(file))], false)
		}
	}
	t.Logf("%d TIFF files equal load_img's (%d of them damaged), %d refused, %d damaged ones that "+
		"load_img refuses", equal, damaged, refused, ours)
	if equal-damaged < 100 || refused < 200 {
		t.Errorf("got %d equal and %d refused, want more of both", equal-damaged, refused)
	}
}

func TestTIFFRefused(t *testing.T) {
	file := "II*\x00\x08\x00\x00\x00\x02\x00" +
		"\x00\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\x00" +
		"\x01\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\x00"
	for _, by := range []preprocess.Library{preprocess.TensorFlow, preprocess.OpenCV} {
		_, err := preprocess.Decode{By: by}.Image([]byte(file), 0)
		if err == nil || !strings.Contains(err.Error(), "this is TIFF") {
			t.Errorf("%v: got %v, want a refusal", by, err)
		}
	}
	if _, err := decode([]byte(file), 0); err == nil ||
		!strings.Contains(err.Error(), "the photometric interpretation 0") {
		t.Errorf("got %v, want a refusal that says what", err)
	}
}

func FuzzTIFF(f *testing.F) {
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := decode(file, 1<<16)
		if err == nil && len(m.Pix) != 3*m.Width*m.Height {
			t.Errorf("got %d bytes for %d x %d", len(m.Pix), m.Width, m.Height)
		}
	})
}
