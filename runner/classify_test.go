package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"kerasrun/classify"
	"kerasrun/labels"
	"kerasrun/preprocess"
)

func readPhotos(t testing.TB) (names []string, images [][]byte) {
	t.Helper()
	paths, err := filepath.Glob("../testdata/photos/*.jpg")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d photographs: %v", len(paths), err)
	}
	for _, path := range paths {
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names, images = append(names, filepath.Base(path)), append(images, image)
	}
	return names, images
}

// TestClassifyAsKeras goes from files to predictions: Keras decoded, resized and normalised,
// TensorFlow computed, and the order is that of decode_predictions.
func TestClassifyAsKeras(t *testing.T) {
	m, want := open(t, "conv"), answers(t)
	names, images := readPhotos(t)
	rows, err := m.Classify(t.Context(), 3, images...)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		probs, err := want[name+"/probs"].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		best, err := labels.Top(probs, 3, m.Labels())
		if err != nil {
			t.Fatal(err)
		}
		for k, p := range rows[i] {
			if p.Index != best[k].Index || p.ID != best[k].ID || p.Name != best[k].Name ||
				!(max(p.Probability-best[k].Probability,
					best[k].Probability-p.Probability) <= 1e-5) {
				t.Errorf("%s: got %v, want %v", name, rows[i], best)
			}
		}
	}
}

func TestClassifyBadImages(t *testing.T) {
	m := open(t, "conv")
	_, photos := readPhotos(t)
	alone, err := m.Classify(t.Context(), 5, photos...)
	if err != nil {
		t.Fatal(err)
	}
	// More than a batch, with bad ones at its beginning, its end and in between.
	var images [][]byte
	bad := map[int]bool{0: true, 7: true, 8: true, 31: true, 32: true, 69: true}
	for i := range 70 {
		if bad[i] {
			images = append(images, []byte("no image"))
		} else {
			images = append(images, photos[i%len(photos)])
		}
	}
	rows, err := m.Classify(t.Context(), 5, images...)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != len(bad) {
		t.Fatalf("got %v, want %d errors", err, len(bad))
	}
	for _, err := range joined.Unwrap() {
		var image *classify.ImageError
		var format *preprocess.FormatError
		if !errors.As(err, &image) || !bad[image.Index] || !errors.As(err, &format) {
			t.Errorf("%#v", err)
		}
	}
	for i, row := range rows {
		if bad[i] {
			if row != nil {
				t.Errorf("image %d: got %v, want nil", i, row)
			}
			continue
		}
		for k, want := range alone[i%len(photos)] {
			if d := row[k].Probability - want.Probability; row[k].Index != want.Index ||
				!(d < 1e-6 && d > -1e-6) {
				t.Errorf("image %d: got %v, want %v", i, row[k], want)
			}
		}
	}
	if rows, err := m.Classify(t.Context(), 5, []byte("no image")); len(rows) != 1 ||
		rows[0] != nil || err == nil {
		t.Errorf("one bad image: %v, %v", rows, err)
	}
	if rows, err := m.Classify(t.Context(), 5); len(rows) != 0 || err != nil {
		t.Errorf("no image: %v, %v", rows, err)
	}
}

func TestClassifyErrors(t *testing.T) {
	_, photos := readPhotos(t)
	if _, err := open(t, "conv").Classify(t.Context(), 0, photos...); !matches(err,
		"expected at least 1, got 0") {
		t.Errorf("top 0: %v", err)
	}
	if _, err := open(t, "conv", WithSignature("features")).Classify(t.Context(), 1,
		photos...); !matches(err, `output "features": expected probabilities of classes, got embedding`) {
		t.Errorf("no probabilities: %v", err)
	}
	if _, err := open(t, "both").Classify(t.Context(), 1, photos...); !matches(err,
		"the manifest does not say") {
		t.Errorf("no manifest: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if rows, err := open(t, "conv").Classify(ended, 1, photos...); rows != nil ||
		!errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v, %v", rows, err)
	}
}
