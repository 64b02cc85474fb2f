package jpeg

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/preprocess/internal/simd"
)

type file struct {
	name string
	data []byte
}

// madeUp returns the images that the reference script draws.
func madeUp(t testing.TB, seed int) []file {
	t.Helper()
	records := pythontest.Records(t, "testdata/draw.py", fmt.Sprint(seed))
	var files []file
	for i := 0; i < len(records); i += 2 {
		files = append(files, file{string(records[i]), records[i+1]})
	}
	return files
}

// difference says where two images differ, in the empty string nowhere.
func difference(got, want pythontest.Image) string {
	switch {
	case got.Reason == "" && want.Reason != "":
		return fmt.Sprintf("decoded what Pillow refuses: %s", want.Reason)
	case got.Reason != "" && want.Reason == "":
		return fmt.Sprintf("refused what Pillow decodes: %s", got.Reason)
	case got.Reason != "":
		return ""
	case got.Width != want.Width || got.Height != want.Height:
		return fmt.Sprintf("%d x %d, expected %d x %d", got.Width, got.Height, want.Width,
			want.Height)
	case bytes.Equal(got.Pix, want.Pix):
		return ""
	}
	largest, count, first := 0, 0, -1
	for i, b := range got.Pix {
		if diff := max(int(b)-int(want.Pix[i]), int(want.Pix[i])-int(b)); diff > 0 {
			largest = max(largest, diff)
			count++
			if first < 0 {
				first = i
			}
		}
	}
	return fmt.Sprintf("%d of %d values differ, by up to %d; the first at x %d, y %d", count,
		len(got.Pix), largest,
		first/3%got.Width, first/3/got.Width)
}

// compare decodes files and holds them against Pillow. It returns how many Pillow decodes.
func compare(t *testing.T, files []file) (accepted int) {
	t.Helper()
	var data [][]byte
	for _, f := range files {
		data = append(data, f.data)
	}
	differ := 0
	pythontest.Pillow(t, "JPEG", "RGB", data, func(i int, want pythontest.Image) {
		if want.Reason == "" {
			accepted++
		}
		if diff := difference(decode(files[i]), want); diff != "" {
			if differ++; differ <= 10 {
				t.Errorf("%s: %s", files[i].name, diff)
			}
		}
	})
	t.Logf("%d files, of which Pillow decodes %d; %d differ", len(files), accepted, differ)
	return accepted
}

func decode(f file) pythontest.Image {
	pix, w, h, err := Decode(f.data, nil)
	if err != nil {
		return pythontest.Image{Reason: err.Error()}
	}
	return pythontest.Image{Width: w, Height: h, Pix: pix}
}

// committed returns the files that no encoder at hand writes.
func committed(t testing.TB) []file { return read(t, "testdata/*.jpg", "testdata/go/*.jpeg") }

func read(t testing.TB, patterns ...string) []file {
	t.Helper()
	var files []file
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file{name, data})
		}
	}
	return files
}

func TestFilesEqualPillow(t *testing.T) {
	files := append(committed(t), read(t, "../../../testdata/photos/*.jpg")...)
	if n := compare(t, files); n != len(files) {
		t.Errorf("Pillow decodes %d of %d", n, len(files))
	}
}

// A progressive file that breaks off in any place, but is closed by an end marker, is decoded with
// what there is.
func TestIncompleteEqualsPillow(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 0))
	var files []file
	for _, f := range append(committed(t), madeUp(t, 4)...) {
		if len(f.data) > 30000 || !bytes.Contains(f.data, []byte{0xFF, markerSOF2}) &&
			!bytes.Contains(f.data, []byte{0xFF, markerSOF10}) {
			continue
		}
		start := bytes.Index(f.data, []byte{0xFF, markerSOS})
		for range 10 {
			cut := start + rng.IntN(len(f.data)-start)
			data := append(bytes.Clone(f.data[:cut]), 0xFF, markerEOI)
			files = append(files, file{fmt.Sprintf("%s cut %d", f.name, cut), data})
		}
	}
	compare(t, files)
}

// The Go versions of what is in assembly equal Pillow, too.
func TestWithoutAVX2EqualsPillow(t *testing.T) {
	defer func(use bool) { simd.AVX2 = use }(simd.AVX2)
	simd.AVX2 = false
	const seed = 2
	rng := rand.New(rand.NewPCG(seed, 0))
	files := madeUp(t, seed)
	for range 500 {
		files = append(files, oddFrame(rng))
	}
	compare(t, files)
}

func TestEqualsPillow(t *testing.T) {
	for seed := range 2 {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			files := madeUp(t, seed)
			if n := compare(t, files); n != len(files) {
				t.Errorf("Pillow decodes %d of %d", n, len(files))
			}
		})
	}
}
