package webp

import (
	"encoding/binary"
	"slices"

	"kerasrun/preprocess/internal/codec"
)

// readTensorFlow reads the structure of a WebP file as TensorFlow 2.21 decodes it: one image, with
// alpha or without.
func readTensorFlow(data []byte, channels int) (*container, error) {
	c, err := readContainer(data)
	if err != nil {
		var single error
		if c, single = readFirstChunk(data); single != nil {
			return nil, err
		}
	}
	if c.animated {
		return nil, codec.UnsupportedError("animation")
	}
	alpha := c.first.alpha != nil
	if c.first.lossless {
		alpha = binary.LittleEndian.Uint32(c.first.data[1:])>>28&1 != 0
	}
	if c.extended {
		if binary.LittleEndian.Uint32(data[16:]) != 10 { // VP8X's length
			return nil, errStructure
		}
		alpha = data[20]&flagAlpha != 0
	}
	if alpha != (channels == 4) {
		return nil, codec.UnsupportedError("TensorFlow decodes it to 4 channels if it has " +
			"transparency, else to 3")
	}
	return c, nil
}

// readFirstChunk reads a file whose first chunk is the image. libwebp's decoder, unlike its reader
// of containers, does not look at what follows.
func readFirstChunk(data []byte) (*container, error) {
	if len(data) < 20 {
		return nil, errTruncated
	}
	size := int(binary.LittleEndian.Uint32(data[4:]))
	if size < 12 || size > len(data)-8 {
		return nil, errTruncated
	}
	c := &container{data: data[:size+8], pos: 12}
	id, length, _, err := c.header()
	if err != nil {
		return nil, err
	}
	if id != "VP8 " && id != "VP8L" {
		return nil, errStructure
	}
	f := &frame{lossless: id == "VP8L", hasImage: true, data: c.data[c.pos : c.pos+length]}
	if err := f.readSize(); err != nil {
		return nil, err
	}
	c.first, c.width, c.height = f, f.width, f.height
	return c, nil
}

// DecodeTensorFlowConfig reads the structure of a WebP file for [DecodeTensorFlow].
func DecodeTensorFlowConfig(data []byte, channels int) (codec.Config, error) {
	c, err := readTensorFlow(data, channels)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: c.width, Height: c.height}, nil
}

// DecodeTensorFlow decodes a WebP file to the same bytes as tf.io.decode_image of TensorFlow 2.21,
// height x width x channels, row-major, in the memory of dst if that is enough: to 4 channels
// (RGBA) if it has transparency, else to 3. Memory grows with the declared size: call
// DecodeTensorFlowConfig first.
func DecodeTensorFlow(dst, data []byte, channels int) (pix []byte, err error) {
	c, err := readTensorFlow(data, channels)
	if err != nil {
		return nil, err
	}
	f, n := c.first, c.width*c.height
	pix = slices.Grow(dst[:0], channels*n)[:channels*n]
	if channels == 3 {
		if f.lossless {
			return pix, decodeVP8L(pix, 3*c.width, f, 3)
		}
		return pix, decodeLossy(pix, 3*c.width, f)
	}
	if f.lossless {
		return pix, decodeVP8L(pix, 4*c.width, f, 4)
	}
	colors := make([]byte, 3*n)
	if err := decodeLossy(colors, 3*c.width, f); err != nil {
		return nil, err
	}
	for i := range n {
		copy(pix[4*i:4*i+3], colors[3*i:])
		pix[4*i+3] = 255
	}
	if f.alpha == nil {
		return pix, nil
	}
	if !f.alphaFirst {
		return nil, errStructure
	}
	plane, err := decodeAlpha(f)
	if err != nil {
		return nil, err
	}
	for i, a := range plane {
		pix[4*i+3] = a
	}
	return pix, nil
}
