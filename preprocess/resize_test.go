package preprocess_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"kerasrun/preprocess"
)

var (
	filters = []preprocess.Filter{
		preprocess.Nearest, preprocess.Box, preprocess.Bilinear, preprocess.Hamming,
		preprocess.Bicubic, preprocess.Lanczos,
	}
	fits  = []preprocess.Fit{preprocess.Stretch, preprocess.KeepAspectRatio, preprocess.CenterCrop}
	modes = []preprocess.Mode{preprocess.Caffe, preprocess.TF, preprocess.Torch, preprocess.None}
)

// noise is an image of random bytes, every third one as dark or as light as can be, so that sums
// overflow where they can.
func noise(r *rand.Rand, w, h int) *preprocess.RGB {
	m := &preprocess.RGB{Width: w, Height: h, Pix: make([]uint8, 3*w*h)}
	for i := range m.Pix {
		switch v := r.Uint32(); v % 3 {
		case 0:
			m.Pix[i] = uint8(-(v >> 8 & 1))
		default:
			m.Pix[i] = uint8(v >> 8)
		}
	}
	return m
}

// TestResizeEqualsKeras resizes images to small, large, narrow, flat and their own size with each
// filter and fit.
func TestResizeEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	photo, err := os.ReadFile("../testdata/photos/cat.jpg")
	if err != nil {
		t.Fatal(err)
	}
	cat, err := preprocess.Decode(photo, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	sources := []*preprocess.RGB{
		cat, noise(r, 1, 1), noise(r, 7, 5), noise(r, 224, 224), noise(r, 300, 2), noise(r, 2,
			300), noise(r, 61, 97),
	}
	sizes := [][2]int{{224, 224}, {1, 1}, {1, 50}, {50, 1}, {7, 5}, {299, 331}, {96, 64}}
	for _, src := range sources {
		file := ppm(src)
		for _, size := range sizes {
			for _, filter := range filters {
				for _, fit := range fits {
					p := &preprocess.Pipeline{Width: size[0], Height: size[1], Filter: filter,
						Fit: fit}
					compareResize(t, keras, p, src, file)
				}
			}
		}
	}
}

// TestRandomResizeEqualsKeras does the same with sizes drawn anew in each run.
func TestRandomResizeEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	side := func() int { return 1 + int(r.ExpFloat64()*60) }
	count := 1000
	if testing.Short() {
		count = 200
	}
	for range count {
		src := noise(r, side(), side())
		if r.IntN(8) == 0 { // Pillow takes very tall images vertically first
			src = noise(r, 1+r.IntN(3), 90+r.IntN(600))
		}
		p := &preprocess.Pipeline{
			Width: side(), Height: side(), Filter: filters[r.IntN(len(filters))],
			Fit: fits[r.IntN(len(fits))],
		}
		if r.IntN(6) == 0 {
			p.Width = src.Width
		}
		if r.IntN(6) == 0 {
			p.Height = src.Height
		}
		compareResize(t, keras, p, src, ppm(src))
	}
}

func compareResize(t *testing.T, keras *keras, p *preprocess.Pipeline, src *preprocess.RGB,
	file []byte) {
	t.Helper()
	name := fmt.Sprintf("%d x %d to %d x %d, %v, %v", src.Width, src.Height, p.Width, p.Height,
		p.Filter, p.Fit)
	want, err := keras.resize(t, p, file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, err := p.Resize(src)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if d := differ(got, want); d != "" {
		t.Errorf("%s: %s", name, d)
	}
}

// resize scales src to w x h pixels.
func resize(src *preprocess.RGB, w, h int, f preprocess.Filter) (*preprocess.RGB, error) {
	return (&preprocess.Pipeline{Width: w, Height: h, Filter: f}).Resize(src)
}
