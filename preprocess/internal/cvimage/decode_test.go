package cvimage

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
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
				t.Logf("%s, %s: refused what OpenCV reads: %v", path, m.name, err)
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

// TestDrawnFilesAgainstOpenCV decodes files that testdata/draw.py draws.
func TestDrawnFilesAgainstOpenCV(t *testing.T) {
	count := 1500
	if testing.Short() {
		count = 200
	}
	cmd := exec.Command(pythontest.Python(t), "testdata/draw.py", "1", fmt.Sprint(count))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	o := startOpenCV(t)
	next := func() []byte {
		n := binary.LittleEndian.Uint32(out)
		record := out[4 : 4+n]
		out = out[4+n:]
		return record
	}
	equal, refused, more := map[string]int{}, map[string]int{}, map[string]int{}
	for range count {
		name, data := string(next()), next()
		format, _, _ := strings.Cut(name, " ")
		for _, m := range modes {
			want, width, height, channels := o.ask(t, data, askRead, m.flags)
			got, w, h, err := Decode(nil, data, m.options)
			switch {
			case err != nil && width == 0:
				refused[format]++
			case err != nil:
				more[format]++
				t.Logf("%s, %s: refused what OpenCV reads: %v", name, m.name, err)
			case w != width || h != height:
				t.Errorf("%s, %s: got %d x %d, want %d x %d", name, m.name, w, h, width, height)
			default:
				equal[format]++
				if d := differ(bgr(got, channels), want); d != "" {
					t.Errorf("%s, %s: %s", name, m.name, d)
				}
			}
		}
	}
	t.Logf("equal: %v; refused by both: %v; refused here only: %v", equal, refused, more)
}
