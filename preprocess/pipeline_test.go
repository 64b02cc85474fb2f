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
				p := &preprocess.Pipeline{Width: 96, Height: 64, Filter: preprocess.Bicubic,
					Fit: fit, Mode: mode}
				want, err := keras.tensor(t, p, file)
				if err != nil {
					t.Fatal(err)
				}
				before := []float32{1, 2, 3}
				got, err := p.Append(slices.Clone(before), file)
				if err != nil {
					t.Errorf("%s, %v, %v: %v", path, mode, fit, err)
					continue
				}
				if d := sameBits(got, append(before, want...)); d != "" {
					t.Errorf("%s, %v, %v: %s", path, mode, fit, d)
				}
				pixels, err := p.AppendPixels([]uint8{1, 2, 3}, file)
				if err != nil {
					t.Errorf("%s, %v, %v: %v", path, mode, fit, err)
					continue
				}
				if d := sameBits(p.Normalize(nil, &preprocess.RGB{Pix: pixels[3:]}),
					want); d != "" {
					t.Errorf("%s, %v, %v: pixels: %s", path, mode, fit, d)
				}
			}
		}
	}
}

// TestNormalizeEqualsKeras holds every value of every channel in every mode.
func TestNormalizeEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	ramp := &preprocess.RGB{Width: 256, Height: 1}
	for i := range 256 {
		ramp.Pix = append(ramp.Pix, uint8(i), uint8(i+85), uint8(i+170))
	}
	for _, mode := range modes {
		p := &preprocess.Pipeline{Width: 256, Height: 1, Mode: mode}
		want, err := keras.tensor(t, p, ppm(ramp))
		if err != nil {
			t.Fatal(err)
		}
		if d := sameBits(p.Normalize(nil, ramp), want); d != "" {
			t.Errorf("%v: %s", mode, d)
		}
	}
}

// TestAppendIsConcurrent has many goroutines share a pipeline and the buffers behind it.
func TestAppendIsConcurrent(t *testing.T) {
	p := &preprocess.Pipeline{Width: 60, Height: 40, Filter: preprocess.Lanczos,
		Fit: preprocess.KeepAspectRatio}
	paths := []string{"photos/cat.jpg", "photos/astronaut.png", "images/go/video-001.gif",
		"images/ximage/tux.lossless.webp"}
	var files [][]byte
	var want [][]float32
	for _, path := range paths {
		file := readFile(t, "../testdata/"+path)
		x, err := p.Append(nil, file)
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
				if x, err = p.Append(x[:0], files[i%len(files)]); err != nil {
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
	p := &preprocess.Pipeline{Width: 8, Height: 8}
	got, err := p.Append([]float32{1, 2}, []byte("GIF89a"))
	if err == nil || !slices.Equal(got, []float32{1, 2}) {
		t.Errorf("got %v, %v, want an error and the tensor as it was", got, err)
	}
}

func TestValidate(t *testing.T) {
	good := preprocess.Pipeline{Width: 224, Height: 224}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		spoil func(p *preprocess.Pipeline)
		want  string
	}{
		{func(p *preprocess.Pipeline) { p.Width = 0 }, "got width 0"},
		{func(p *preprocess.Pipeline) { p.Height = 1 << 15 }, "height 32768"},
		{func(p *preprocess.Pipeline) { p.Filter = 6 }, "Filter(6)"},
		{func(p *preprocess.Pipeline) { p.Fit = -1 }, "Fit(-1)"},
		{func(p *preprocess.Pipeline) { p.Mode = 4 }, "Mode(4)"},
		{func(p *preprocess.Pipeline) { p.MaxPixels = -1 }, "got -1"},
	} {
		p := good
		test.spoil(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want an error with %q", err, test.want)
		}
		if _, err := p.Append(nil, nil); err == nil {
			t.Errorf("Append takes a pipeline with %q", test.want)
		}
	}
}

func TestResizeRefusesBadImages(t *testing.T) {
	for _, m := range []*preprocess.RGB{
		nil, {}, {Width: 2, Height: 2, Pix: make([]uint8, 11)}, {Width: -1, Height: -1,
			Pix: make([]uint8, 3)},
		{Width: 1 << 62, Height: 4}, {Width: 2, Height: 2, Pix: make([]uint8, 15)},
	} {
		if _, err := resize(m, 4, 4, preprocess.Box); err == nil {
			t.Errorf("Resize takes %v", m)
		}
	}
	for _, size := range [][2]int{{0, 1}, {1, -1}, {1 << 20, 1}} {
		m := &preprocess.RGB{Width: 1, Height: 1, Pix: make([]uint8, 3)}
		if _, err := resize(m, size[0], size[1], preprocess.Box); err == nil {
			t.Errorf("Resize takes the size %v", size)
		}
	}
}

func TestNames(t *testing.T) {
	for _, f := range filters {
		if got, err := preprocess.ParseFilter(f.String()); got != f || err != nil {
			t.Errorf("ParseFilter(%q) = %v, %v", f, got, err)
		}
	}
	for _, f := range fits {
		if got, err := preprocess.ParseFit(f.String()); got != f || err != nil {
			t.Errorf("ParseFit(%q) = %v, %v", f, got, err)
		}
	}
	for _, m := range modes {
		if got, err := preprocess.ParseMode(m.String()); got != m || err != nil {
			t.Errorf("ParseMode(%q) = %v, %v", m, got, err)
		}
	}
	_, err := preprocess.ParseFilter("Bilinear")
	want := `preprocess: expected the filter to be one of nearest, box, bilinear, hamming, ` +
		`bicubic, lanczos, got "Bilinear"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got := preprocess.Filter(9).String(); got != "Filter(9)" {
		t.Errorf("Filter(9) is called %s", got)
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
			"not an image: JPEG, PNG, GIF, BMP and WebP begin otherwise"},
		{"TIFF", []byte("II*\x00...."), &unsupported,
			"unsupported format: this is TIFF; JPEG, PNG, GIF, BMP and WebP are read"},
		{"AVIF", []byte("\x00\x00\x00\x20ftypavif"), &unsupported, "this is AVIF"},
		{"HEIC", []byte("\x00\x00\x00\x20ftypheic"), &unsupported, "this is HEIC"},
		{"SVG", []byte("\ufeff \n<svg xmlns="), &unsupported, "this is SVG"},
		{"JPEG cut short", read("truncated.jpg"), &malformed, "malformed JPEG: "},
		{"JPEG header", read("header-only.jpg"), &malformed, "malformed JPEG: "},
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
		_, err := preprocess.Decode(test.file, limit)
		if err == nil || !errors.As(err, test.kind) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %T: %v, want a %T with %q", test.name, err, err, test.kind, test.want)
		}
	}
}
