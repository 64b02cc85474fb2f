package tfimage

import (
	"fmt"
	"os"
	"testing"
)

// photo is a photograph of 640 x 427, and to is what models take.
const photo = "../../../testdata/photos/china.jpg"

var to = Size{224, 224}

// BenchmarkTensor makes a tensor of a JPEG by each method: decode, resize, x / 255.
func BenchmarkTensor(b *testing.B) {
	file := readPhoto(b)
	for m, name := range methods {
		for _, antialias := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/antialias=%v", name, antialias), func(b *testing.B) {
				pix, x := make([]uint8, 3*640*427), make([]float32, 3*to.Height*to.Width)
				for range b.N {
					_, size, err := DecodeConfig(file, 3)
					if err == nil {
						pix, err = Decode(pix, file, 3)
					}
					if err == nil {
						x, err = Resize(x, pix, size, to, 3, m, antialias)
					}
					if err != nil {
						b.Fatal(err)
					}
					for i := range x {
						x[i] /= 255
					}
				}
			})
		}
	}
}

// BenchmarkDecode decodes it alone.
func BenchmarkDecode(b *testing.B) {
	file := readPhoto(b)
	for _, channels := range []int{1, 3} {
		b.Run(fmt.Sprint(channels), func(b *testing.B) {
			var pix []uint8
			var err error
			for range b.N {
				if pix, err = Decode(pix, file, channels); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkResize resizes alone, from uint8 and from float32.
func BenchmarkResize(b *testing.B) {
	file := readPhoto(b)
	for _, channels := range []int{1, 3} {
		pix, err := Decode(nil, file, channels)
		if err != nil {
			b.Fatal(err)
		}
		_, size, err := DecodeConfig(file, channels)
		if err != nil {
			b.Fatal(err)
		}
		floats := make([]float32, len(pix))
		for i, v := range pix {
			floats[i] = float32(v)
		}
		for m, name := range methods {
			for _, antialias := range []bool{false, true} {
				at := fmt.Sprintf("%d/%s/antialias=%v", channels, name, antialias)
				b.Run("uint8/"+at, func(b *testing.B) { benchResize(b, pix, size, channels, m, antialias) })
				b.Run("float32/"+at, func(b *testing.B) {
					benchResize(b, floats, size, channels, m, antialias)
				})
			}
		}
	}
}

func benchResize[T pixels](b *testing.B, src []T, from Size, channels int, m Method,
	antialias bool) {
	var x []float32
	var err error
	for range b.N {
		if x, err = Resize(x, src, from, to, channels, m, antialias); err != nil {
			b.Fatal(err)
		}
	}
}

func readPhoto(b *testing.B) []byte {
	b.Helper()
	file, err := os.ReadFile(photo)
	if err != nil {
		b.Fatal(err)
	}
	return file
}
