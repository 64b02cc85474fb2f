package preprocess_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kerasrun/preprocess"
)

var moreFlag = flag.String("images", "",
	"a directory whose images are decoded too and compared with Keras's")

// decode is Pillow's Image.open(...).convert("RGB").
func decode(file []byte, maxPixels int) (*preprocess.Image, error) {
	return preprocess.Decode{}.Image(file, maxPixels)
}

// imageFiles returns the files under dir.
func imageFiles(t testing.TB, dir string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Ext(path) != ".md" &&
			filepath.Ext(path) != ".py" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no images in %s", dir)
	}
	return paths
}

// TestDecodeEqualsKeras decodes every image there is and holds the bytes, or the refusal, against
// load_img's.
func TestDecodeEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	dirs := []string{"../testdata/images", "../testdata/photos"}
	if *moreFlag != "" {
		dirs = append(dirs, *moreFlag)
	}
	equal, refusals := map[string]int{}, 0
	for _, dir := range dirs {
		for _, path := range imageFiles(t, dir) {
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(file, 0)
			if large := (*preprocess.TooLargeError)(nil); errors.As(err, &large) {
				t.Logf("%s: %v", path, err)
				continue
			}
			want, refused := keras.decode(t, file)
			switch {
			case refused != nil && err != nil:
				refusals++
			case refused != nil && err == nil:
				t.Errorf("%s: got an image, want a refusal (%v)", path, refused)
			case refused == nil && err != nil:
				t.Errorf("%s: got %v, want an image", path, err)
			case err == nil:
				c, err := preprocess.DecodeConfig(file)
				if err != nil || c.Width != got.Width || c.Height != got.Height {
					t.Errorf("%s: DecodeConfig returned %v, %v; the image is %d x %d", path, c, err,
						got.Width, got.Height)
				}
				if d := differ(got, want); d != "" {
					t.Errorf("%s: %s", path, d)
				} else {
					equal[c.Format]++
				}
			}
		}
	}
	t.Logf("equal bit for bit: %v; refused by both: %d", equal, refusals)
}
