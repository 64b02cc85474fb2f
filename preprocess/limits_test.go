package preprocess_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"testing"

	"kerasrun/preprocess"
)

// vast returns a file of each format that declares width x height pixels and goes on with a little
// data.
func vast(width, height int) map[string][]byte {
	little16 := binary.LittleEndian.AppendUint16
	little32 := binary.LittleEndian.AppendUint32
	big32 := binary.BigEndian.AppendUint32
	rest := bytes.Repeat([]byte{0x55}, 4096)

	jpeg := []byte("\xff\xd8\xff\xdb\x00\x43\x00")
	jpeg = append(jpeg, bytes.Repeat([]byte{1}, 64)...)
	jpeg = append(jpeg, 0xff, 0xc0, 0, 17, 8, byte(height>>8), byte(height), byte(width>>8),
		byte(width), 3,
		1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0, 0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0)

	chunk := func(name string, data []byte) []byte {
		body := append([]byte(name), data...)
		return big32(append(big32(nil, uint32(len(data))), body...), crc32.ChecksumIEEE(body))
	}
	png := []byte("\x89PNG\r\n\x1a\n")
	png = append(png, chunk("IHDR", append(big32(big32(nil, uint32(width)), uint32(height)), 8, 2,
		0, 0, 0))...)
	png = append(png, chunk("IDAT", append([]byte{0x78, 0x9c}, rest...))...)

	gif := little16(little16([]byte("GIF89a"), uint16(width)), uint16(height))
	gif = append(gif, 0, 0, 0, ',', 0, 0, 0, 0)
	gif = append(little16(little16(gif, uint16(width)), uint16(height)), 0, 8)

	bmp := little32([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00"), 40)
	bmp = little32(little32(bmp, uint32(width)), uint32(height))
	bmp = append(bmp, 1, 0, 24, 0)
	bmp = append(bmp, make([]byte, 24)...)
	rle := bytes.Clone(bmp)
	rle[28], rle[30] = 8, 1

	riff := func(name string, data []byte) []byte {
		data = data[:len(data)&^1]
		body := append(little32([]byte("WEBP"+name), uint32(len(data))), data...)
		return append(little32([]byte("RIFF"), uint32(len(body))), body...)
	}
	lossy := append([]byte{0x10, 0, 0, 0x9d, 1, 0x2a},
		little16(little16(nil, uint16(min(width, 0x3fff))), uint16(min(height, 0x3fff)))...)
	lossless := little32([]byte{0x2f}, uint32(min(width, 1<<14)-1)|uint32(min(height, 1<<14)-1)<<14)
	canvas := []byte{2, 0, 0, 0, byte(width - 1), byte((width - 1) >> 8), byte((width - 1) >> 16),
		byte(height - 1), byte((height - 1) >> 8), byte((height - 1) >> 16)}
	small := append(little32([]byte("VP8L"), 6), 0x2f, 0, 0, 0, 0, 0)
	extended := append(little32([]byte{}, 10), canvas...)
	extended = append(append(extended, "ANIM\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00ANMF"...),
		little32(nil, uint32(16+len(small)))...)
	extended = append(append(extended, make([]byte, 16)...), small...)
	body := append([]byte("WEBPVP8X"), extended...)

	return map[string][]byte{
		"JPEG": append(jpeg, rest...), "PNG": png, "GIF": append(gif, rest...), "BMP": append(bmp,
			rest...),
		"BMP, run lengths": append(rle, rest...), "WebP, lossy": riff("VP8 ",
			append(lossy, rest...)),
		"WebP, lossless": riff("VP8L", append(lossless, rest...)),
		"WebP, animated": append(little32([]byte("RIFF"), uint32(len(body))), body...),
	}
}

// TestVastImagesCostNothing declares the largest images there are. They must be refused before
// memory is taken for them.
func TestVastImagesCostNothing(t *testing.T) {
	for name, file := range vast(65535, 65535) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decode(file, 0)
		runtime.ReadMemStats(&after)
		if large := (*preprocess.TooLargeError)(nil); !errors.As(err, &large) {
			t.Errorf("%s: got %v, want a TooLargeError", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: refusing it took %d bytes", name, n)
		}
	}
}

// TestPixelLimitIsExact takes images at the limit and refuses those of a pixel more.
func TestPixelLimitIsExact(t *testing.T) {
	for name, file := range vast(40, 30) {
		var large *preprocess.TooLargeError
		if _, err := decode(file, 1199); !errors.As(err, &large) || large.Width != 40 ||
			large.Height != 30 {
			t.Errorf("%s: got %v, want a TooLargeError for 40 x 30", name, err)
		}
		if _, err := decode(file, 1200); errors.As(err, &large) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMemoryIsBoundedByDeclaredSize decodes data that ends at once: what is allocated may grow with
// the image, but no faster.
func TestMemoryIsBoundedByDeclaredSize(t *testing.T) {
	for name, file := range vast(3000, 2000) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		decode(file, 0)
		runtime.ReadMemStats(&after)
		if n := int(after.TotalAlloc - before.TotalAlloc); n > 10*3000*2000 {
			t.Errorf("%s: %d bytes for an image of 3000 x 2000", name, n)
		} else {
			t.Logf("%s: %.1f bytes a pixel", name, float64(n)/(3000*2000))
		}
	}
}

// TestLongImagesAreResized has sides so different that a table of all weights, or the whole resized
// image, would be larger than the image by far.
func TestLongImagesAreResized(t *testing.T) {
	for _, size := range [][2]int{{1 << 20, 1}, {1, 1 << 20}} {
		m := &preprocess.Image{Width: size[0], Height: size[1], Channels: 3, Pix: make([]uint8, 3<<20)}
		for _, filter := range filters {
			for _, fit := range fits {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				p := pipeline(t, 224, 224, filter, fit, "none")
				_, err := p.ResizeImage(m)
				runtime.ReadMemStats(&after)
				if (err != nil) != (fit == preprocess.ShortSide) {
					t.Errorf("%v, %v, %v: %v", size, filter, fit, err)
				}
				if n := after.TotalAlloc - before.TotalAlloc; n > 1<<24 {
					t.Errorf("%v, %v, %v: %d bytes", size, filter, fit, n)
				}
			}
		}
	}
}
