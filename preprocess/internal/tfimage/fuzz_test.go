package tfimage

import (
	"os"
	"testing"
)

// FuzzDecode looks for files that make a decoder fail other than by an error.
func FuzzDecode(f *testing.F) {
	for _, path := range imageFiles(f) {
		file, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(file) < 4000 {
			f.Add(file, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, channels uint8) {
		_, size, err := DecodeConfig(file, int(channels))
		if err != nil || size.Height*size.Width > 1<<20 {
			return
		}
		pix, err := Decode(nil, file, int(channels))
		if want := size.Height * size.Width * int(channels); err == nil && len(pix) != want {
			t.Errorf("got %d bytes, want %d", len(pix), want)
		}
	})
}

// FuzzResize looks for sizes that make a kernel read or write where it must not.
func FuzzResize(f *testing.F) {
	f.Add(uint16(3), uint16(5), uint16(7), uint16(2), uint8(2), uint8(1), true)
	f.Fuzz(func(t *testing.T, height, width, toHeight, toWidth uint16, channels, method uint8,
		antialias bool) {
		c := []int{1, 3, 4}[channels%3]
		from := Size{1 + int(height)%200, 1 + int(width)%200}
		to := Size{1 + int(toHeight)%200, 1 + int(toWidth)%200}
		src := make([]uint8, from.Height*from.Width*c)
		for i := range src {
			src[i] = 200
		}
		x, err := Resize(nil, src[:len(src):len(src)], from, to, c, Method(method%8), antialias)
		if err != nil || len(x) != to.Height*to.Width*c {
			t.Fatalf("got %d values, %v", len(x), err)
		}
		// What is even stays so, but for rounding and for a gaussian's sums.
		for i, v := range x {
			if v < 199 || v > 201 {
				t.Fatalf("%v to %v, method %d: got %v at %d, want 200", from, to, method%8, v, i)
			}
		}
	})
}
