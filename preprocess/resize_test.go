package preprocess_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"kerasrun/internal/testseed"
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

var (
	filters = []preprocess.Method{
		preprocess.Nearest, preprocess.Box, preprocess.Bilinear, preprocess.Hamming,
		preprocess.Bicubic, preprocess.Lanczos,
	}
	fits  = []preprocess.Fit{preprocess.Stretch, preprocess.Crop, preprocess.ShortSide}
	modes = []string{"caffe", "tf", "torch", "none"}
)

// pipeline is what keras.applications' models take: a size, a method and fit of Pillow's, and a
// mode of preprocess_input.
func pipeline(
	t testing.TB, width, height int, m preprocess.Method, f preprocess.Fit, mode string,
) *preprocess.Pipeline {
	t.Helper()
	p := &preprocess.Pipeline{Width: width, Height: height, DType: tensor.Float32,
		Resize: preprocess.Resize{Method: m, Fit: f}}
	if f == preprocess.ShortSide {
		p.Resize.ShortSide = max(width, height) * 8 / 7
	}
	var err error
	if p.Decode.Color, p.Normalize, err = preprocess.KerasMode(mode); err != nil {
		t.Fatal(err)
	}
	return p
}

// toTensor goes the whole way from a file to its tensor, appended to dst.
func toTensor(p *preprocess.Pipeline, dst []float32, file []byte) ([]float32, error) {
	m, err := p.Image(file)
	if err != nil {
		return dst, err
	}
	return p.AppendFloat32(dst, m)
}

// noise is an image of random bytes, every third one as dark or as light as can be, so that sums
// overflow where they can.
func noise(r *rand.Rand, w, h int) *preprocess.Image {
	m := &preprocess.Image{Width: w, Height: h, Channels: 3, Pix: make([]uint8, 3*w*h)}
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
	cat, err := decode(photo, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	sources := []*preprocess.Image{
		cat, noise(r, 1, 1), noise(r, 7, 5), noise(r, 224, 224), noise(r, 300, 2), noise(r, 2,
			300), noise(r, 61, 97),
	}
	sizes := [][2]int{{224, 224}, {1, 1}, {1, 50}, {50, 1}, {7, 5}, {299, 331}, {96, 64}}
	for _, src := range sources {
		file := ppm(src)
		for _, size := range sizes {
			for _, filter := range filters {
				for _, fit := range fits {
					p := pipeline(t, size[0], size[1], filter, fit, "none")
					compareResize(t, keras, p, src, file)
				}
			}
		}
	}
}

// TestRandomResizeEqualsKeras does the same with drawn sizes.
func TestRandomResizeEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	r := testseed.Rand(t)
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
		width, height := side(), side()
		if r.IntN(6) == 0 {
			width = src.Width
		}
		if r.IntN(6) == 0 {
			height = src.Height
		}
		p := pipeline(t, width, height, filters[r.IntN(len(filters))], fits[r.IntN(len(fits))],
			"none")
		compareResize(t, keras, p, src, ppm(src))
	}
}

func compareResize(t *testing.T, keras *keras, p *preprocess.Pipeline, src *preprocess.Image,
	file []byte) {
	t.Helper()
	name := fmt.Sprintf("%d x %d to %d x %d, %v, %v", src.Width, src.Height, p.Width, p.Height,
		p.Resize.Method, p.Resize.Fit)
	want, err := keras.resize(t, p, file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, err := p.ResizeImage(src)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if d := differ(got, want); d != "" {
		t.Errorf("%s: %s", name, d)
	}
}

// resize scales src to w x h pixels.
func resize(src *preprocess.Image, w, h int, f preprocess.Method) (*preprocess.Image, error) {
	p := &preprocess.Pipeline{Width: w, Height: h, DType: tensor.Float32,
		Resize: preprocess.Resize{Method: f}}
	return p.ResizeImage(src)
}
