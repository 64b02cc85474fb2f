// Package webp decodes the first frame of a WebP file to the same RGB bytes as Pillow 13's
// Image.open(file).convert("RGB").
//
// Lossy and lossless bitstreams are decoded by golang.org/x/image; the container, the enlargement
// of the colour planes ("fancy upsampling") and the conversion to RGB are libwebp's. Transparency
// is dropped: transparent pixels keep their colour, and around a frame that is smaller than its
// canvas everything is black. The alpha plane of a lossy image is not decoded, so damage to it goes
// unseen.
package webp

import (
	"bytes"
	"errors"
	"image"
	"slices"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"

	"kerasrun/preprocess/internal/codec"
)

// DecodeConfig reads the structure of a WebP file. The size is that of the canvas.
func DecodeConfig(data []byte) (codec.Config, error) {
	c, err := readContainer(data)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: c.width, Height: c.height}, nil
}

// Decode decodes the first frame to uint8 RGB, height x width x 3, row-major, in the memory of dst
// if that is enough. Memory grows with the declared size: call DecodeConfig first.
func Decode(dst, data []byte) (pix []byte, err error) {
	c, err := readContainer(data)
	if err != nil {
		return nil, err
	}
	f := c.first
	size := 3 * c.width * c.height
	pix = slices.Grow(dst[:0], size)[:size]
	if f.width < c.width || f.height < c.height {
		clear(pix)
	}
	out, stride := pix[3*(f.y*c.width+f.x):], 3*c.width
	if f.lossless {
		return pix, decodeLossless(out, stride, f)
	}
	return pix, decodeLossy(out, stride, f)
}

var errSize = errors.New("the bitstream's size is not the frame's")

func decodeLossless(out []byte, stride int, f *frame) error {
	m, err := vp8l.Decode(bytes.NewReader(f.data))
	if err != nil {
		return err
	}
	p, ok := m.(*image.NRGBA)
	if !ok || p.Rect.Dx() != f.width || p.Rect.Dy() != f.height {
		return errSize
	}
	for y := range f.height {
		to, from := out[stride*y:][:3*f.width], p.Pix[p.Stride*y:][:4*f.width]
		for len(to) >= 3 && len(from) >= 4 {
			to[0], to[1], to[2] = from[0], from[1], from[2]
			to, from = to[3:], from[4:]
		}
	}
	return nil
}

func decodeLossy(out []byte, stride int, f *frame) error {
	d := vp8.NewDecoder() // a used one would keep the filter's settings
	d.Init(bytes.NewReader(f.data), len(f.data))
	h, err := d.DecodeFrameHeader()
	if err != nil {
		return err
	}
	if h.Width != f.width || h.Height != f.height {
		return errSize
	}
	m, err := d.DecodeFrame()
	if err != nil {
		return err
	}
	toRGB(out, stride, m, f.width, f.height)
	return nil
}
