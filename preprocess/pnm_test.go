package preprocess_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kerasrun/preprocess"
)

// drawPNM makes a file of a kind: its samples are drawn, and so are white space and comments.
func drawPNM(r *rand.Rand, kind, highest int) []byte {
	width, height, channels := 1+r.IntN(9), 1+r.IntN(5), 1
	if kind == 3 || kind == 6 {
		channels = 3
	}
	space := func() string {
		return []string{" ", "\n", "\t", "\r\n", "\v\f", " # 1 2 \n", "\n#a\r"}[r.IntN(7)]
	}
	file := fmt.Sprintf("P%d\n%s%d%s %d", kind, space(), width, space(), height)
	if kind != 1 && kind != 4 {
		file += fmt.Sprintf("%s%d", space()+" ", highest)
	}
	file += "\n"
	for range width * height * channels {
		n := r.IntN(highest + 1)
		switch {
		case kind == 1:
			file += fmt.Sprint(n % 2)
			if r.IntN(3) == 0 {
				file += space()
			}
		case kind < 4:
			file += fmt.Sprint(n) + " " + space()
		case kind == 4:
		case highest > 255:
			file += string([]byte{byte(n >> 8), byte(n)})
		default:
			file += string([]byte{byte(n)})
		}
	}
	if kind == 4 {
		for range (width + 7) / 8 * height {
			file += string([]byte{byte(r.IntN(256))})
		}
	}
	return []byte(file)
}

// PNM files of every kind and range are what Pillow makes of them. Cut ones are refused by both.
func TestPNMEqualsKeras(t *testing.T) {
	keras := startKeras(t)
	seed := uint64(20261130)
	r := rand.New(rand.NewPCG(seed, 0))
	equal, refused := 0, 0
	for _, kind := range []int{1, 2, 3, 4, 5, 6} {
		for _, highest := range []int{1, 2, 7, 100, 254, 255, 256, 1000, 4095, 65534, 65535} {
			for range 4 {
				whole := drawPNM(r, kind, highest)
				cut := whole[:len(whole)-1-r.IntN(min(9, len(whole)-4))]
				for _, file := range [][]byte{whole, append(whole, "more 1"...), cut} {
					want, refusal := keras.decode(t, file)
					got, err := decode(file, 0)
					switch {
					case refusal != nil && err != nil:
						refused++
					case refusal != nil || err != nil:
						t.Errorf("%q: got %v, want %v", file, err, refusal)
					default:
						if d := differ(got, want); d != "" {
							t.Errorf("%q: %s", file, d)
						}
						equal++
					}
				}
			}
		}
	}
	t.Logf("%d PNM files equal load_img's, %d refused by both", equal, refused)
	if equal < 500 || refused < 100 {
		t.Errorf("got %d equal and %d refused, want more of both", equal, refused)
	}
}

// What load_img does not make 8 bits of, and what other libraries read otherwise, is refused.
func TestPNMRefused(t *testing.T) {
	wide := []byte("P5 1 1 65535\n\x01\x02")
	for _, c := range []struct {
		decode preprocess.Decode
		file   string
		want   string
	}{
		{preprocess.Decode{Color: preprocess.Grayscale}, string(wide), "load_img leaves grey of 16 bits"},
		{preprocess.Decode{Color: preprocess.RGBA}, string(wide), "grey of 16 bits, decoded to rgba"},
		{preprocess.Decode{By: preprocess.TensorFlow}, "P5 1 1 255\nx", "this is PNM"},
		{preprocess.Decode{By: preprocess.OpenCV}, "P5 1 1 255\nx", "this is PNM"},
		{preprocess.Decode{}, "P5 1 1 70000\nx", "expected samples of up to 1 to 65535, got 70000"},
		{preprocess.Decode{}, "P5 100000 100000 255\nx", "100000 x 100000"},
		{preprocess.Decode{}, "P2 1 1 9\n10", "expected samples of at most 9, got 10"},
		{preprocess.Decode{}, "P2 1 1 9\n-1", "expected a number of at most 10 digits"},
		{preprocess.Decode{}, "P1 1 1\n2", "expected 0 and 1, got '2'"},
		{preprocess.Decode{}, "P6 1000 1000 255\n", "the file is truncated"},
		{preprocess.Decode{}, "P7 1 1 255\nx", "not an image"},
	} {
		_, err := c.decode.Image([]byte(c.file), 0)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %q", c.file, err, c.want)
		}
	}
	opaque := preprocess.Decode{Color: preprocess.RGBA}
	if m, err := opaque.Image([]byte("P6 1 1 255\nabc"), 0); err != nil ||
		string(m.Pix) != "abc\xff" {
		t.Errorf("got %v, %v, want abc and an opaque alpha", m, err)
	}
}

// Whatever stands in a PNM file, it is an image of its size or an error.
func FuzzPNM(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 0))
	for kind := 1; kind <= 6; kind++ {
		f.Add(drawPNM(r, kind, 255))
		f.Add(drawPNM(r, kind, 1000))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := decode(file, 1<<16)
		if err == nil && len(m.Pix) != 3*m.Width*m.Height {
			t.Errorf("got %d bytes for %d x %d", len(m.Pix), m.Width, m.Height)
		}
		var malformed *preprocess.FormatError
		if errors.As(err, &malformed) && strings.Contains(err.Error(), "the decoder failed") {
			t.Errorf("got %v, want an error of the decoder's own", err)
		}
	})
}
