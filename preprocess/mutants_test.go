package preprocess_test

import (
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/internal/testseed"
	"kerasrun/preprocess"
)

// mutate returns a damaged copy of a file: some bits flipped, bytes replaced, or its end cut off.
func mutate(r *rand.Rand, file []byte) []byte {
	m := slices.Clone(file)
	switch r.IntN(4) {
	case 0:
		return m[:r.IntN(len(m))]
	case 1:
		for range 1 + r.IntN(8) {
			m[r.IntN(len(m))] = byte(r.Uint32())
		}
	default:
		for range 1 + r.IntN(4) {
			m[r.IntN(len(m))] ^= 1 << r.IntN(8)
		}
	}
	return m
}

// seeds are the generated images of one format that decode.
func seeds(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../testdata/images/generated/" + pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no images %s: %v", pattern, err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		file := readFile(t, path)
		if _, err := decode(file, 0); err == nil {
			files[filepath.Base(path)] = file
		}
	}
	return files
}

var mutantsFlag = flag.Int("mutants", 100, "damaged files of each format to compare with Keras")

var patterns = map[string]string{"JPEG": "*.jpg", "PNG": "*.png", "GIF": "*.gif", "BMP": "*.bmp",
	"WebP": "*.webp"}

// TestMutants damages files of each format ten thousand times. No damage may trip a decoder.
func TestMutants(t *testing.T) {
	count := 10_000
	if testing.Short() {
		count = 500
	}
	seed := testseed.Of(t)
	for format, pattern := range patterns {
		r := rand.New(rand.NewPCG(seed, 0))
		files := seeds(t, pattern)
		names := slices.Sorted(maps.Keys(files))
		decoded := 0
		for range count {
			name := names[r.IntN(len(names))]
			file := mutate(r, files[name])
			if checkDecode(t, name, file) {
				decoded++
			}
		}
		t.Logf("%s: %d mutants, %d of them decode", format, count, decoded)
	}
}

// checkDecode decodes a hostile file. Anything but an image of the declared size or a proper error
// fails the test.
func checkDecode(t *testing.T, name string, file []byte) (decoded bool) {
	t.Helper()
	const limit = 1 << 20
	c, configErr := preprocess.DecodeConfig(file)
	m, err := decode(file, limit)
	var (
		malformed   *preprocess.FormatError
		unsupported *preprocess.UnsupportedError
		large       *preprocess.TooLargeError
	)
	switch {
	case err == nil:
		if configErr != nil || m.Width != c.Width || m.Height != c.Height ||
			c.Width*c.Height > limit {
			t.Errorf("%s: DecodeConfig returned %v, %v; the image is %d x %d", name, c, configErr,
				m.Width, m.Height)
		}
		if len(m.Pix) != 3*c.Width*c.Height {
			t.Errorf("%s: %d bytes for %d x %d", name, len(m.Pix), c.Width, c.Height)
		}
		return true
	case strings.Contains(err.Error(), "the decoder failed"):
		t.Errorf("%s: %v\n%q", name, err, file)
	case !errors.As(err, &malformed) && !errors.As(err, &unsupported) && !errors.As(err, &large):
		t.Errorf("%s: an error of type %T: %v", name, err, err)
	}
	return false
}

// TestMutantsEqualKeras holds what becomes of damaged files against load_img: the same pixels or a
// refusal from both.
//
// With WebP and PNG the two may disagree on whether a damaged file is refused. With WebP about once
// in 1,000 times, for the alpha plane of a lossy image is not decoded here. With PNG about 2 times
// in 10,000, where the damage is in the few bits after the last pixel's: how far zlib has read by
// then depends on its state, which compress/flate does not show.
func TestMutantsEqualKeras(t *testing.T) {
	keras := startKeras(t)
	mayDisagree := map[string]int{"WebP": 5 + *mutantsFlag/100, "PNG": 5 + *mutantsFlag/1000}
	seed := testseed.Of(t)
	for format, pattern := range patterns {
		r := rand.New(rand.NewPCG(seed, 0))
		files := seeds(t, pattern)
		names := slices.Sorted(maps.Keys(files))
		decoded, refused, disagreed := 0, 0, 0
		for range *mutantsFlag {
			name := names[r.IntN(len(names))]
			file := mutate(r, files[name])
			got, err := decode(file, 1<<20)
			if large := (*preprocess.TooLargeError)(nil); errors.As(err, &large) {
				continue
			}
			want, refusal := keras.decode(t, file)
			switch {
			case err != nil && refusal != nil:
				refused++
			case err == nil && refusal == nil:
				decoded++
				if d := differ(got, want); d != "" {
					t.Errorf("%s, damaged: %s\n%q", name, d, file)
				}
			default:
				disagreed++
				if disagreed > mayDisagree[format] {
					t.Errorf("%s, damaged: got %v, want %v\n%q", name, err, refusal, file)
				}
			}
		}
		t.Logf("%s: %d decoded alike, %d refused alike, %d refused by one", format, decoded,
			refused, disagreed)
	}
}
