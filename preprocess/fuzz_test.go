package preprocess_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"kerasrun/internal/testseed"
	"kerasrun/preprocess"
)

func fuzzDecode(f *testing.F, pattern string) {
	for _, file := range seeds(f, pattern) {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) { checkDecode(t, "fuzzed file", file) })
}

func FuzzJPEG(f *testing.F) { fuzzDecode(f, patterns["JPEG"]) }
func FuzzPNG(f *testing.F)  { fuzzDecode(f, patterns["PNG"]) }
func FuzzGIF(f *testing.F)  { fuzzDecode(f, patterns["GIF"]) }
func FuzzBMP(f *testing.F)  { fuzzDecode(f, patterns["BMP"]) }
func FuzzWebP(f *testing.F) { fuzzDecode(f, patterns["WebP"]) }

// FuzzLibraries decodes hostile files as each library does, to each colour.
func FuzzLibraries(f *testing.F) {
	for _, pattern := range patterns {
		for _, file := range seeds(f, pattern) {
			for by := range 3 {
				f.Add(file, by, by, true)
			}
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, by, color int, turn bool) {
		d := preprocess.Decode{By: preprocess.Library(uint(by) % 3),
			Color: preprocess.Color(uint(color) % 5), EXIF: turn && uint(by)%3 != 1}
		const limit = 1 << 20
		m, err := d.Image(file, limit)
		var (
			malformed   *preprocess.FormatError
			unsupported *preprocess.UnsupportedError
			large       *preprocess.TooLargeError
		)
		switch {
		case err == nil:
			if m.Width*m.Height > limit || len(m.Pix) != m.Width*m.Height*m.Channels ||
				m.Channels != d.Color.Channels() {
				t.Errorf("%v: got %d x %d x %d with %d bytes", d, m.Width, m.Height, m.Channels,
					len(m.Pix))
			}
		case d.By == preprocess.OpenCV && d.Color == preprocess.RGBA: // not to be had
		case strings.Contains(err.Error(), "the decoder failed"):
			t.Errorf("%v: %v", d, err)
		case !errors.As(err, &malformed) && !errors.As(err, &unsupported) &&
			!errors.As(err, &large):
			t.Errorf("%v: got an error of type %T: %v", d, err, err)
		}
	})
}

// FuzzResize compares Resize with slowResize over any sizes and filters.
func FuzzResize(f *testing.F) {
	for _, filter := range filters {
		f.Add(uint16(7), uint16(5), uint16(3), uint16(9), int(filter), uint64(1))
		f.Add(uint16(64), uint16(300), uint16(224), uint16(1), int(filter), uint64(2))
		f.Add(uint16(1), uint16(1), uint16(31), uint16(17), int(filter), uint64(3))
		f.Add(uint16(99), uint16(40), uint16(99), uint16(41), int(filter), uint64(4))
	}
	f.Fuzz(func(t *testing.T, w, h, toW, toH uint16, filter int, seed uint64) {
		side := func(n uint16) int { return 1 + int(n)%512 }
		src := noise(rand.New(rand.NewPCG(seed, 0)), side(w), side(h))
		fl := filters[uint(filter)%uint(len(filters))]
		got, err := resize(src, side(toW), side(toH), fl)
		if err != nil {
			t.Fatal(err)
		}
		if d := differ(got, slowResize(src, side(toW), side(toH), fl)); d != "" {
			t.Errorf("%d x %d to %d x %d, %v: %s", src.Width, src.Height, side(toW), side(toH), fl,
				d)
		}
	})
}

// slowResize is Image.resize written down once more, pixel by pixel and with nothing shared:
// Resample.c and ImagingScaleAffine of Pillow 13. TestSlowResizeEqualsKeras keeps it honest.
func slowResize(src *preprocess.Image, w, h int, f preprocess.Method) *preprocess.Image {
	switch lost := src.Height - h; {
	case src.Width == w && src.Height == h:
		return src
	case f == preprocess.Nearest:
		return slowColumns(slowRows(src, h, slowNearest), w, slowNearest)
	case lost > 0 && lost > 2*(src.Width-w):
		return slowColumns(slowRows(src, h, slowWeigh(f)), w, slowWeigh(f))
	default:
		return slowRows(slowColumns(src, w, slowWeigh(f)), h, slowWeigh(f))
	}
}

// slowLine scales a line of one channel.
type slowLine func(line []uint8, n int) []uint8

func slowRows(src *preprocess.Image, h int, scale slowLine) *preprocess.Image {
	dst := &preprocess.Image{Width: src.Width, Height: h, Channels: 3,
		Pix: make([]uint8, 3*src.Width*h)}
	for x := range 3 * src.Width {
		line := make([]uint8, src.Height)
		for y := range line {
			line[y] = src.Pix[3*src.Width*y+x]
		}
		if len(line) != h {
			line = scale(line, h)
		}
		for y, v := range line {
			dst.Pix[3*src.Width*y+x] = v
		}
	}
	return dst
}

func slowColumns(src *preprocess.Image, w int, scale slowLine) *preprocess.Image {
	dst := &preprocess.Image{Width: w, Height: src.Height, Channels: 3,
		Pix: make([]uint8, 3*w*src.Height)}
	for y := range src.Height {
		for c := range 3 {
			line := make([]uint8, src.Width)
			for x := range line {
				line[x] = src.Pix[3*(src.Width*y+x)+c]
			}
			if len(line) != w {
				line = scale(line, w)
			}
			for x, v := range line {
				dst.Pix[3*(w*y+x)+c] = v
			}
		}
	}
	return dst
}

func slowNearest(line []uint8, n int) []uint8 {
	out := make([]uint8, n)
	step := float64(len(line)) / float64(n)
	at := step * 0.5
	for i := range out {
		if int(at) < len(line) {
			out[i] = line[int(at)]
		}
		at += step
	}
	return out
}

func slowWeigh(f preprocess.Method) slowLine {
	return func(line []uint8, n int) []uint8 {
		out := make([]uint8, n)
		scale := float64(len(line)) / float64(n)
		stretch := math.Max(scale, 1)
		reach := map[preprocess.Method]float64{
			preprocess.Box: 0.5, preprocess.Bilinear: 1, preprocess.Hamming: 1,
			preprocess.Bicubic: 2, preprocess.Lanczos: 3,
		}[f] * stretch
		for i := range out {
			center := float64((float64(i) + 0.5) * scale)
			first := int(math.Max(0, math.Trunc(center-reach+0.5)))
			last := int(math.Min(float64(len(line)), math.Trunc(center+reach+0.5)))
			total := 0.0
			for x := first; x < last; x++ {
				total += slowFilter(f, (float64(x)-center+0.5)*(1/stretch))
			}
			sum := int64(1) << 21
			for x := first; x < last; x++ {
				k := float64(slowFilter(f, (float64(x)-center+0.5)*(1/stretch)) / total * (1 << 22))
				sum += int64(line[x]) * int64(k+math.Copysign(0.5, k))
			}
			out[i] = uint8(min(max(sum>>22, 0), 255))
		}
		return out
	}
}

func slowFilter(f preprocess.Method, x float64) float64 {
	sinc := func(x float64) float64 {
		if x == 0 {
			return 1
		}
		return math.Sin(x*math.Pi) / (x * math.Pi)
	}
	switch a := math.Abs(x); {
	case x == 0:
		return 1
	case f == preprocess.Box && x > -0.5 && x <= 0.5:
		return 1
	case f == preprocess.Bilinear && a < 1:
		return 1 - a
	case f == preprocess.Hamming && a < 1:
		return sinc(a) * float64(float64(float32(0.54))+
			float64(float64(float32(0.46))*math.Cos(a*math.Pi)))
	case f == preprocess.Bicubic && a < 1:
		return float64(float64(float64(float64(1.5*a)-2.5)*a)*a) + 1
	case f == preprocess.Bicubic && a < 2:
		return float64(float64(float64(float64(float64(a-5)*a)+8)*a)-4) * -0.5
	case f == preprocess.Lanczos && x >= -3 && x < 3:
		return sinc(x) * sinc(x/3)
	}
	return 0
}

// TestSlowResizeEqualsKeras holds the model of the fuzz target itself against Keras.
func TestSlowResizeEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	r := testseed.Rand(t)
	for range 100 {
		src := noise(r, 1+r.IntN(60), 1+r.IntN(60))
		p := pipeline(t, 1+r.IntN(60), 1+r.IntN(60), filters[r.IntN(len(filters))],
			preprocess.Stretch, "none")
		want, err := keras.resize(t, p, ppm(src))
		if err != nil {
			t.Fatal(err)
		}
		if d := differ(slowResize(src, p.Width, p.Height, p.Resize.Method), want); d != "" {
			t.Errorf("%d x %d to %d x %d, %v: %s", src.Width, src.Height, p.Width, p.Height,
				p.Resize.Method, d)
		}
	}
}
