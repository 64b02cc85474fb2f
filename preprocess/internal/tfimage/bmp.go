package tfimage

import (
	"encoding/binary"
	"fmt"
	"math"

	"kerasrun/preprocess/internal/codec"
)

// bitmap is as much of a BMP's header as decode_image_op.cc looks at: it takes pixels of 8 bits to
// be grey, whatever the palette, and those of 24 and 32 bits to be BGR and BGRA.
type bitmap struct {
	width, height int
	topDown       bool
	size, stride  int // bytes of a pixel and of a row
	pixels        []byte
}

func readBitmap(data []byte) (bitmap, error) {
	if len(data) < 32 {
		return bitmap{}, fmt.Errorf("expected at least 32 bytes, got %d", len(data))
	}
	header := int(int32(binary.LittleEndian.Uint32(data[10:])))
	width := int(int32(binary.LittleEndian.Uint32(data[18:])))
	height := int(int32(binary.LittleEndian.Uint32(data[22:])))
	b := bitmap{width: width, height: max(height, -height), topDown: height < 0}
	b.size = int(int16(binary.LittleEndian.Uint16(data[28:]))) / 8
	switch {
	case b.size != 1 && b.size != 3 && b.size != 4:
		return bitmap{}, codec.UnsupportedError("TensorFlow decodes 8, 24 and 32 bits per pixel")
	case width <= 0 || height == 0 || width*b.height >= math.MaxInt32/8:
		return bitmap{}, fmt.Errorf("the size is %d x %d", width, height)
	}
	b.stride = (b.size*width + 3) / 4 * 4
	if header < 0 || header+b.stride*b.height != len(data) {
		return bitmap{}, fmt.Errorf("expected a file of %d + %d x %d bytes, got %d", header, b.stride,
			b.height, len(data))
	}
	b.pixels = data[header:]
	return b, nil
}

func bmpConfig(data []byte, _ int) (codec.Config, error) {
	b, err := readBitmap(data)
	return codec.Config{Width: b.width, Height: b.height}, err
}

func bmpDecode(dst, data []byte, channels int) ([]byte, error) {
	b, err := readBitmap(data)
	if err != nil {
		return nil, err
	}
	dst = grow(dst, b.width*b.height*channels)
	out := dst
	for y := range b.height {
		if !b.topDown {
			y = b.height - 1 - y
		}
		row := b.pixels[y*b.stride:][:b.width*b.size]
		for len(row) > 0 {
			p, o := row[:b.size], out[:channels]
			red, blue := 2, 0
			if b.size == 1 {
				red = 0
			}
			o[0], o[1], o[2] = p[red], p[red/2], p[blue]
			switch {
			case channels == 4 && b.size == 4:
				o[3] = p[3]
			case channels == 4:
				o[3] = 255
			}
			row, out = row[b.size:], out[channels:]
		}
	}
	return dst, nil
}
