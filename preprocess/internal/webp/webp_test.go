package webp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/internal/testseed"
	"kerasrun/preprocess/internal/simd"
)

type file struct {
	name string
	data []byte
}

// made returns images that the reference script draws, behind the committed ones.
func made(t testing.TB, kind string, seed, count int) []file {
	t.Helper()
	files := committed(t, kind)
	records := pythontest.Records(t, "testdata/draw.py", fmt.Sprint(seed), fmt.Sprint(count),
		kind)
	for i := 0; i < len(records); i += 2 {
		files = append(files, file{string(records[i]), records[i+1]})
	}
	return files
}

func committed(t testing.TB, kind string) []file {
	t.Helper()
	var files []file
	patterns := []string{"generated/%s-*x*.webp", "ximage/*.%s.webp"}
	if kind == "alpha" {
		patterns = []string{"generated/lossy-%s*.webp", "ximage/*lossy-with-%s.webp"}
	}
	for _, pattern := range patterns {
		paths, err := filepath.Glob("../../../testdata/images/" + fmt.Sprintf(pattern, kind))
		if err != nil || len(paths) == 0 {
			t.Fatalf("got no files %s of %s: %v", pattern, kind, err)
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

// compare holds what becomes of files against Pillow. It returns how many are decoded alike and how
// many are decoded by one alone or to other pixels, which is an error beyond mayDisagree.
//
// Files with alpha are decoded with it.
func compare(t *testing.T, kind string, files []file, mayDisagree int) (decoded, disagreed int) {
	t.Helper()
	mode, decode := "RGB", func(data []byte) ([]byte, error) { return Decode(nil, data) }
	if kind == "alpha" {
		mode, decode = "RGBA", func(data []byte) ([]byte, error) {
			return DecodeTensorFlow(nil, data, 4)
		}
	}
	var data [][]byte
	for _, f := range files {
		data = append(data, f.data)
	}
	pythontest.Pillow(t, "WEBP", mode, data, func(i int, want pythontest.Image) {
		got, err := decode(data[i])
		switch {
		case (want.Reason != "") != (err != nil):
			if disagreed++; disagreed > mayDisagree {
				t.Errorf("%s: got %v, want %d x %d or %.80q", files[i].name, err, want.Width,
					want.Height, want.Reason)
			}
		case err == nil && !bytes.Equal(got, want.Pix):
			if disagreed++; disagreed > mayDisagree || kind == "alpha" {
				t.Errorf("%s: got other pixels than Pillow", files[i].name)
			}
		case err == nil:
			decoded++
		}
	})
	return decoded, disagreed
}

func TestEqualsPillow(t *testing.T) {
	for _, kind := range []string{"lossless", "lossy", "alpha"} {
		files := made(t, kind, 1, 300)
		for _, use := range []bool{simd.AVX2, false} {
			t.Run(fmt.Sprintf("%s, AVX2 %v", kind, use), func(t *testing.T) {
				defer func(use bool) { simd.AVX2 = use }(simd.AVX2)
				simd.AVX2 = use
				if n, _ := compare(t, kind, files, 0); n != len(files) {
					t.Errorf("got %d files decoded alike, want %d", n, len(files))
				}
			})
		}
	}
}

// Damaged bitstreams are decoded to the same pixels as Pillow's, or refused as it refuses them. Of
// lossy ones, with numbers that no encoder writes, about 1 in 8,000 becomes other pixels. Of alpha
// planes about 1 in 300 is refused here alone: libwebp takes a plane that is all there although its
// last bits are not.
func TestDamagedEqualsPillow(t *testing.T) {
	seed := testseed.Of(t)
	for kind, mayDisagree := range map[string]int{"lossless": 0, "lossy": 4, "alpha": 16} {
		rng := rand.New(rand.NewPCG(seed, 0))
		whole := made(t, kind, 2, 60)
		var files []file
		for i := range 1500 {
			f := whole[rng.IntN(len(whole))]
			data := slices.Clone(f.data)
			start, end := 20, len(data) // the bitstream, behind the chunks' headers
			if kind == "alpha" {
				// The chunk behind VP8X.
				start = 38
				end = start + int(binary.LittleEndian.Uint32(data[start-4:]))
			}
			for range 1 + rng.IntN(3) {
				at := start + rng.IntN(end-start)
				if rng.IntN(2) == 0 {
					// Where the headers are.
					at = start + rng.IntN(min(60, end-start))
				}
				data[at] ^= 1 << rng.IntN(8)
			}
			if rng.IntN(4) == 0 {
				clear(data[start+rng.IntN(end-start) : end])
			}
			files = append(files, file{fmt.Sprintf("%s, damaged %d", f.name, i), data})
		}
		decoded, disagreed := compare(t, kind, files, mayDisagree)
		t.Logf("%s: %d decoded alike, %d not", kind, decoded, disagreed)
	}
}
