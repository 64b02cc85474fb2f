package cvimage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/preprocess/internal/codec"
)

const images = "../../../testdata/images"

// modes are the flags of cv2.imread.
var modes = []struct {
	name    string
	options Options
	flags   int
}{
	{"color", Options{EXIF: true}, 1},
	{"grey", Options{EXIF: true, Grey: true}, 0},
	{"color, not turned", Options{}, 1 | 128},
}

// bgr exchanges red and blue.
func bgr(pix []uint8, channels int) []uint8 {
	if channels == 3 {
		for i := 0; i < len(pix); i += 3 {
			pix[i], pix[i+2] = pix[i+2], pix[i]
		}
	}
	return pix
}

// TestDecodeAgainstOpenCV decodes the repository's images as cv2.imread does in the same run.
func TestDecodeAgainstOpenCV(t *testing.T) {
	o := startOpenCV(t)
	decoded, refused, more := map[string]int{}, map[string]int{}, map[string]int{}
	err := filepath.WalkDir(images, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			return err
		}
		format := strings.ToLower(filepath.Ext(path))
		for _, m := range modes {
			want, width, height, channels := o.ask(t, data, askRead, m.flags)
			got, w, h, err := Decode(nil, data, m.options)
			switch {
			case err != nil && width == 0:
				refused[format]++
			case err != nil:
				more[format]++
				var unsupported codec.UnsupportedError
				if !errors.As(err, &unsupported) {
					t.Errorf("%s, %s: got %v, want an UnsupportedError", path, m.name, err)
				}
			case width == 0:
				t.Errorf("%s, %s: got %d x %d, want None", path, m.name, w, h)
			case w != width || h != height:
				t.Errorf("%s, %s: got %d x %d, want %d x %d", path, m.name, w, h, width, height)
			default:
				decoded[format]++
				if d := differ(bgr(got, channels), want); d != "" {
					t.Errorf("%s, %s: %s", path, m.name, d)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("equal: %v; refused by both: %v; refused here only: %v", decoded, refused, more)
}

// drawnFiles returns files that testdata/draw.py draws.
func drawnFiles(t *testing.T, seed, count int) (names []string, files [][]byte) {
	t.Helper()
	records := pythontest.Records(t, "testdata/draw.py", fmt.Sprint(seed), fmt.Sprint(count))
	for i := range count {
		names, files = append(names, string(records[2*i])), append(files, records[2*i+1])
	}
	return names, files
}

// TestDrawnFilesAgainstOpenCV decodes files of every format, and damaged ones. What both read is
// equal; OpenCV may read more. The damage to a WebP file's alpha plane goes unseen here.
func TestDrawnFilesAgainstOpenCV(t *testing.T) {
	names, files := drawnFiles(t, 1, 1500)
	o := startOpenCV(t)
	r := rand.New(rand.NewPCG(1, 1))
	for _, damaged := range []bool{false, true} {
		equal, refused, more := map[string]int{}, map[string]int{}, map[string]int{}
		for i, data := range files {
			format, _, _ := strings.Cut(names[i], " ")
			if damaged {
				data = damage(r, data)
			}
			for _, m := range modes {
				want, width, height, channels := o.ask(t, data, askRead, m.flags)
				got, w, h, err := Decode(nil, data, m.options)
				switch {
				case err != nil && width == 0:
					refused[format]++
				case err != nil:
					more[format]++
					var unsupported codec.UnsupportedError
					if !errors.As(err, &unsupported) {
						t.Errorf("%s, %s: got %v, want an UnsupportedError", names[i], m.name, err)
					}
				case width == 0 && damaged && format == "webp":
				case w != width || h != height:
					t.Errorf("%s, damaged %v, %s: got %d x %d, want %d x %d", names[i], damaged,
						m.name, w, h, width, height)
				default:
					equal[format]++
					if d := differ(bgr(got, channels), want); d != "" {
						t.Errorf("%s, damaged %v, %s: %s", names[i], damaged, m.name, d)
					}
				}
			}
		}
		t.Logf("damaged %v: equal: %v; refused by both: %v; refused here only: %v", damaged, equal,
			refused, more)
	}
}

// damage cuts a file short or overwrites bytes of it.
func damage(r *rand.Rand, data []byte) []byte {
	data = bytes.Clone(data)
	if r.IntN(4) == 0 {
		return data[:1+r.IntN(len(data)-1)]
	}
	for range 1 + r.IntN(3) {
		data[r.IntN(len(data))] = uint8(r.IntN(256))
	}
	return data
}
