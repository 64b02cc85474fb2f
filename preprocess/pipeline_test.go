package preprocess_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"kerasrun/preprocess"
)

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestAppendEqualsKeras takes files all the way to tensors.
func TestAppendEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	for _, path := range []string{
		"../testdata/photos/cat.jpg", "../testdata/photos/astronaut.png",
		"../testdata/photos/flower.webp",
		"../testdata/images/go/video-001.gif", "../testdata/images/generated/rgb24-header40.bmp",
	} {
		file := readFile(t, path)
		for _, mode := range modes {
			for _, fit := range fits {
				p := pipeline(t, 96, 64, preprocess.Bicubic, fit, mode)
				want, err := keras.tensor(t, p, mode, file)
				if err != nil {
					t.Fatal(err)
				}
				before := []float32{1, 2, 3}
				got, err := toTensor(p, slices.Clone(before), file)
				if err != nil {
					t.Errorf("%s, %v, %v: %v", path, mode, fit, err)
					continue
				}
				if d := sameBits(got, append(before, want...)); d != "" {
					t.Errorf("%s, %v, %v: %s", path, mode, fit, d)
				}
			}
		}
	}
}

// TestNormalizeEqualsKeras holds every value of every channel in every mode.
func TestNormalizeEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	ramp := &preprocess.Image{Width: 256, Height: 1, Channels: 3}
	for i := range 256 {
		ramp.Pix = append(ramp.Pix, uint8(i), uint8(i+85), uint8(i+170))
	}
	for _, mode := range modes {
		p := pipeline(t, 256, 1, preprocess.Nearest, preprocess.Stretch, mode)
		want, err := keras.tensor(t, p, mode, ppm(ramp))
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.AppendFloat32(nil, ramp)
		if err != nil {
			t.Fatal(err)
		}
		if d := sameBits(got, want); d != "" {
			t.Errorf("%v: %s", mode, d)
		}
	}
}

// TestAppendIsConcurrent has many goroutines share a pipeline and the buffers behind it.
func TestAppendIsConcurrent(t *testing.T) {
	p := pipeline(t, 60, 40, preprocess.Lanczos, preprocess.Crop, "caffe")
	paths := []string{"photos/cat.jpg", "photos/astronaut.png", "images/go/video-001.gif",
		"images/ximage/tux.lossless.webp"}
	var files [][]byte
	var want [][]float32
	for _, path := range paths {
		file := readFile(t, "../testdata/"+path)
		x, err := toTensor(p, nil, file)
		if err != nil {
			t.Fatal(err)
		}
		files, want = append(files, file), append(want, x)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var x []float32
			for i := range 3 * len(files) {
				var err error
				if x, err = toTensor(p, x[:0], files[i%len(files)]); err != nil {
					t.Error(err)
				} else if d := sameBits(x, want[i%len(files)]); d != "" {
					t.Errorf("%s: %s", paths[i%len(files)], d)
				}
			}
		})
	}
	wg.Wait()
}

func TestAppendKeepsTensorOnError(t *testing.T) {
	p := pipeline(t, 8, 8, preprocess.Nearest, preprocess.Stretch, "none")
	for name, m := range map[string]*preprocess.Image{
		"none": nil, "another size": {Width: 1, Height: 1, Channels: 3, Pix: make([]uint8, 3)},
		"grey": {Width: 8, Height: 8, Channels: 1, Pix: make([]uint8, 64)},
	} {
		got, err := p.AppendFloat32([]float32{1, 2}, m)
		if err == nil || !slices.Equal(got, []float32{1, 2}) {
			t.Errorf("%s: got %v, %v, want an error and the tensor as it was", name, got, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		spoil func(p *preprocess.Pipeline)
		want  string
	}{
		{func(p *preprocess.Pipeline) { p.Width = 0 }, "got width 0"},
		{func(p *preprocess.Pipeline) { p.Height = 1 << 15 }, "height 32768"},
		{func(p *preprocess.Pipeline) { p.Resize.Method = 16 }, "Method(16)"},
		{func(p *preprocess.Pipeline) { p.Resize.Method = preprocess.Area }, "got area"},
		{func(p *preprocess.Pipeline) { p.Resize.Fit = -1 }, "Fit(-1)"},
		{func(p *preprocess.Pipeline) { p.Resize.Fit = preprocess.ShortSide }, "short side"},
		{func(p *preprocess.Pipeline) { p.Resize.Antialias = true }, "antialias"},
		{func(p *preprocess.Pipeline) { p.Normalize.Steps[0].Values = []float64{1, 2} }, "got 2"},
		{func(p *preprocess.Pipeline) { p.Normalize.Steps[0].Op = 5 }, "Op(5)"},
		{func(p *preprocess.Pipeline) { p.DType = 0 }, "dtype(0)"},
		{func(p *preprocess.Pipeline) { p.MaxPixels = -1 }, "got -1"},
	} {
		p := pipeline(t, 224, 224, preprocess.Nearest, preprocess.Stretch, "tf")
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
		test.spoil(p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want an error with %q", err, test.want)
		}
		if _, err := p.Image(nil); err == nil {
			t.Errorf("Image takes a pipeline with %q", test.want)
		}
	}
}

func TestResizeRefusesBadImages(t *testing.T) {
	for _, m := range []*preprocess.Image{
		nil, {}, {Width: 2, Height: 2, Pix: make([]uint8, 11)}, {Width: -1, Height: -1,
			Pix: make([]uint8, 3)},
		{Width: 1 << 62, Height: 4}, {Width: 2, Height: 2, Pix: make([]uint8, 15)},
	} {
		if _, err := resize(m, 4, 4, preprocess.Box); err == nil {
			t.Errorf("Resize takes %v", m)
		}
	}
	for _, size := range [][2]int{{0, 1}, {1, -1}, {1 << 20, 1}} {
		m := &preprocess.Image{Width: 1, Height: 1, Channels: 3, Pix: make([]uint8, 3)}
		if _, err := resize(m, size[0], size[1], preprocess.Box); err == nil {
			t.Errorf("Resize takes the size %v", size)
		}
	}
}

func TestNames(t *testing.T) {
	named(t, preprocess.ParseLibrary, preprocess.Pillow, preprocess.TensorFlow, preprocess.OpenCV)
	named(t, preprocess.ParseColor, preprocess.RGB, preprocess.BGR, preprocess.Grayscale,
		preprocess.GrayscaleOfRGB, preprocess.RGBA)
	for l := preprocess.Pillow; l <= preprocess.OpenCV; l++ {
		named(t, preprocess.ParseMethod, preprocess.Methods(l)...)
		named(t, preprocess.ParseFit, preprocess.Fits(l)...)
	}
	named(t, preprocess.ParseOp, preprocess.Multiply, preprocess.Divide, preprocess.Add,
		preprocess.Subtract)
	named(t, preprocess.ParseLayout, preprocess.NHWC, preprocess.NCHW, preprocess.NHW)
	_, err := preprocess.ParseLayout("nhwc")
	want := `preprocess: expected the layout to be one of NHWC, NCHW, NHW, got "nhwc"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got := preprocess.Method(99).String(); got != "Method(99)" {
		t.Errorf("got %s, want Method(99)", got)
	}
}

// named holds that values and their names belong together.
func named[T interface {
	comparable
	String() string
}](t *testing.T, parse func(string) (T, error), values ...T) {
	t.Helper()
	for _, v := range values {
		if got, err := parse(v.String()); got != v || err != nil {
			t.Errorf("%q: got %v, %v, want %v", v.String(), got, err, v)
		}
	}
}

// TestErrorKinds shows which error each kind of bad file gives, and how it reads.
func TestErrorKinds(t *testing.T) {
	read := func(name string) []byte { return readFile(t, "../testdata/images/generated/"+name) }
	var (
		malformed   *preprocess.FormatError
		unsupported *preprocess.UnsupportedError
		large       *preprocess.TooLargeError
	)
	for _, test := range []struct {
		name string
		file []byte
		kind any
		want string
	}{
		{"empty", nil, &malformed, "the image is empty: 0 bytes"},
		{"text", []byte("hello, world"), &malformed,
			"not an image: JPEG, PNG, GIF, BMP, WebP, PNM and TIFF begin otherwise"},
		{"BigTIFF", []byte("II+\x00...."), &unsupported,
			"unsupported format: this is BigTIFF; " +
				"JPEG, PNG, GIF, BMP, WebP, PNM and TIFF are read"},
		{"AVIF", []byte("\x00\x00\x00\x20ftypavif"), &unsupported, "this is AVIF"},
		{"HEIC", []byte("\x00\x00\x00\x20ftypheic"), &unsupported, "this is HEIC"},
		{"SVG", []byte("\ufeff \n<svg xmlns="), &unsupported, "this is SVG"},
		{"JPEG cut short", read("truncated.jpg"), &malformed,
			"malformed JPEG: the file is truncated"},
		{"JPEG header", read("header-only.jpg"), &malformed,
			"malformed JPEG: the file is truncated"},
		{"PNG cut short", read("truncated.png"), &malformed, "malformed PNG: "},
		{"PNG checksum", read("checksum-of-header-wrong.png"), &malformed,
			"malformed PNG: the checksum of chunk IHDR is wrong"},
		{"GIF without a frame", read("no-frame.gif"), &malformed,
			"malformed GIF: there is no frame"},
		{"GIF code", read("code-unknown.gif"), &malformed,
			"malformed GIF: the image data holds a code that means nothing"},
		{"BMP cut short", read("truncated.bmp"), &malformed,
			"malformed BMP: the file is truncated"},
		{"BMP header", read("rgb24-header20.bmp"), &unsupported,
			"unsupported BMP: a header of 20 bytes"},
		{"WebP cut short", read("truncated.webp"), &malformed,
			"malformed WebP: the file is truncated"},
		{"too large", read("grey8.png"), &large,
			"PNG of 37 x 23: 851 pixels are over the limit of 850"},
	} {
		limit := 0
		if test.kind == any(&large) {
			limit = 850
		}
		_, err := decode(test.file, limit)
		if err == nil || !errors.As(err, test.kind) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %T: %v, want a %T with %q", test.name, err, err, test.kind, test.want)
		}
	}
}

// Each library's own list of formats stands in its errors.
func TestFormatsOfLibraries(t *testing.T) {
	for _, by := range []preprocess.Library{preprocess.TensorFlow, preprocess.OpenCV} {
		for file, want := range map[string]string{
			"hello, world": "not an image: JPEG, PNG, GIF, BMP and WebP begin otherwise",
			"P5 1 1 255 0": "unsupported format: this is PNM; " +
				"JPEG, PNG, GIF, BMP and WebP are read",
		} {
			_, err := preprocess.Decode{By: by}.Image([]byte(file), 0)
			if err == nil || err.Error() != want {
				t.Errorf("%v: %q: got %v, want %s", by, file, err, want)
			}
		}
	}
}
