package preprocess_test

import (
	"bytes"
	"image"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"image/png"
	"testing"

	"golang.org/x/image/bmp"

	"kerasrun/preprocess"
)

// photo returns a photograph of 500 x 375, the most common size in ImageNet.
func photo(b *testing.B) *preprocess.Image {
	b.Helper()
	m, err := decode(readFile(b, "../testdata/photos/china.jpg"), 0)
	if err != nil {
		b.Fatal(err)
	}
	if m, err = resize(m, 500, 375, preprocess.Lanczos); err != nil {
		b.Fatal(err)
	}
	return m
}

func toImage(m *preprocess.Image) image.Image {
	out := image.NewNRGBA(image.Rect(0, 0, m.Width, m.Height))
	for i := range m.Width * m.Height {
		copy(out.Pix[4*i:], m.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}

// encoded returns the photograph as a file of each format: JPEG and WebP as committed, 640 x 427
// and 320 x 214, the others 500 x 375.
func encoded(b *testing.B) map[string][]byte {
	b.Helper()
	m := toImage(photo(b))
	indexed := image.NewPaletted(m.Bounds(), palette.Plan9)
	draw.Draw(indexed, m.Bounds(), m, image.Point{}, draw.Src)
	var p, g, w bytes.Buffer
	for _, err := range []error{png.Encode(&p, m), gif.Encode(&g, indexed, nil),
		bmp.Encode(&w, m)} {
		if err != nil {
			b.Fatal(err)
		}
	}
	return map[string][]byte{
		"JPEG": readFile(b, "../testdata/photos/china.jpg"), "WebP": readFile(b,
			"../testdata/photos/flower.webp"),
		"PNG": p.Bytes(), "GIF": g.Bytes(), "BMP": w.Bytes(),
	}
}

// BenchmarkDecode measures each format; bytes are those of the decoded image.
func BenchmarkDecode(b *testing.B) {
	for format, file := range encoded(b) {
		b.Run(format, func(b *testing.B) {
			m, err := decode(file, 0)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(m.Pix)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(file, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkResize measures each filter from 500 x 375 to 224 x 224; bytes are those of the source.
func BenchmarkResize(b *testing.B) {
	m := photo(b)
	for _, filter := range filters {
		b.Run(filter.String(), func(b *testing.B) {
			b.SetBytes(int64(len(m.Pix)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := resize(m, 224, 224, filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNormalize measures each mode on 224 x 224; bytes are those of the tensor.
func BenchmarkNormalize(b *testing.B) {
	m, err := resize(photo(b), 224, 224, preprocess.Box)
	if err != nil {
		b.Fatal(err)
	}
	for _, mode := range modes {
		b.Run(mode, func(b *testing.B) {
			p := pipeline(b, 224, 224, preprocess.Nearest, preprocess.Stretch, mode)
			x := make([]float32, 0, len(m.Pix))
			b.SetBytes(int64(4 * len(m.Pix)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.AppendFloat32(x, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPipeline measures the whole way from a JPEG file to a tensor of 224 x 224.
func BenchmarkPipeline(b *testing.B) {
	file := readFile(b, "../testdata/photos/china.jpg")
	for _, filter := range filters {
		b.Run(filter.String(), func(b *testing.B) {
			p := pipeline(b, 224, 224, filter, preprocess.Stretch, "caffe")
			m, x := new(preprocess.Image), make([]float32, 0, 3*224*224)
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.ReadImage(m, file); err != nil {
					b.Fatal(err)
				}
				if _, err := p.AppendFloat32(x, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
