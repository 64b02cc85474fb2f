// Package webp decodes the first frame of a WebP file to the same RGB bytes as Pillow 13's
// Image.open(file).convert("RGB").
//
// Lossy bitstreams are decoded by package vp8; the container, lossless bitstreams, the enlargement
// of the colour planes ("fancy upsampling") and the conversion to RGB are here, after libwebp.
// Transparency is dropped: transparent pixels keep their colour, and around a frame that is smaller
// than its canvas everything is black. The alpha plane of a lossy image is decoded for
// [DecodeTensorFlow] alone, so damage to it goes unseen elsewhere.
package webp

import (
	"errors"
	"image"
	"slices"
	"sync"

	"kerasrun/preprocess/internal/codec"
	"kerasrun/preprocess/internal/vp8"
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
		return pix, decodeVP8L(out, stride, f, 3)
	}
	return pix, decodeLossy(out, stride, f)
}

var errSize = errors.New("the bitstream's size is not the frame's")

var lossyDecoders = sync.Pool{New: func() any { return vp8.NewDecoder() }}

func decodeLossy(out []byte, stride int, f *frame) error {
	d := lossyDecoders.Get().(*vp8.Decoder)
	defer lossyDecoders.Put(d)
	d.Init(f.data)
	h, err := d.DecodeFrameHeader()
	if err != nil {
		return err
	}
	if h.Width != f.width || h.Height != f.height {
		return errSize
	}
	samples := (f.width + 1) / 2
	us, vs := make([]int16, samples+2), make([]int16, samples+2)
	return d.DecodeFrame(func(m *image.YCbCr, from, to int) {
		for y := from; y < to; y++ {
			toRGB(out[stride*y:][:3*f.width], m, y, f.height, us, vs)
		}
	})
}
