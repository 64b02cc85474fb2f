// Package bmp decodes BMP files to the same RGB bytes as Pillow 13's
// Image.open(file).convert("RGB").
//
// Read are the headers of Windows and OS/2; 1, 4 and 8 bits with a palette; 16 bits (555 and 565),
// 24 and 32 bits, with the bit masks that Pillow knows; RLE4 and RLE8. Alpha is dropped. The rules,
// oddities included, are those of Pillow's BmpImagePlugin.
package bmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"kerasrun/preprocess/internal/codec"
)

var errTruncated = errors.New("the file is truncated")

// The compressions of the header.
const (
	compressionRaw       = 0
	compressionRLE8      = 1
	compressionRLE4      = 2
	compressionBitfields = 3
)

// header is what precedes the pixels.
type header struct {
	width, height uint32
	topDown       bool
	bits          int // per pixel as declared, which gives the length of a row
	compression   uint32
	masks         [4]uint32 // red, green, blue, alpha
	palette       [256][3]byte
	unpack        unpacker
	offset        int // of the pixels
}

func readHeader(data []byte) (*header, error) {
	if len(data) < 18 {
		return nil, errTruncated
	}
	h := &header{offset: int(binary.LittleEndian.Uint32(data[10:]))}
	size := int(binary.LittleEndian.Uint32(data[14:]))
	if size < 4 || size-4 > len(data)-18 {
		return nil, errTruncated
	}
	info := data[18 : 18+size-4]
	rest := data[18+size-4:] // what is read on from here
	colors, padding := 0, 4
	switch size {
	case 12:
		h.width, h.height = uint32(binary.LittleEndian.Uint16(info)),
			uint32(binary.LittleEndian.Uint16(info[2:]))
		h.bits = int(binary.LittleEndian.Uint16(info[6:]))
		padding = 3
	case 40, 52, 56, 64, 108, 124:
		h.width, h.height = binary.LittleEndian.Uint32(info), binary.LittleEndian.Uint32(info[4:])
		if info[7] == 0xff {
			h.topDown = true
			h.height = -h.height
		}
		h.bits = int(binary.LittleEndian.Uint16(info[10:]))
		h.compression = binary.LittleEndian.Uint32(info[12:])
		colors = int(binary.LittleEndian.Uint32(info[28:]))
		if h.compression == compressionBitfields {
			masks := h.masks[:]
			if len(info) < 52 {
				masks = masks[:3]
			}
			from := info[36:]
			if len(info) < 48 {
				if len(rest) < 12 {
					return nil, errTruncated
				}
				from, rest = rest, rest[12:]
			}
			for i := range masks {
				masks[i] = binary.LittleEndian.Uint32(from[4*i:])
			}
		}
	default:
		return nil, codec.UnsupportedError(fmt.Sprintf("a header of %d bytes", size))
	}
	if h.width == 0 || h.height == 0 || h.width > 1<<31-1 || h.height > 1<<31-1 {
		return nil, fmt.Errorf("the size is %d x %d", h.width, h.height)
	}
	if colors == 0 && h.bits <= 32 {
		colors = 1 << h.bits
	}
	if h.offset == 14+size && h.bits <= 8 {
		h.offset += padding * colors
	}
	if err := h.chooseUnpacker(); err != nil {
		return nil, err
	}
	if h.bits <= 8 {
		if colors > 1<<16 {
			return nil, codec.UnsupportedError(fmt.Sprintf("a palette of %d colours", colors))
		}
		n := min(padding*colors, len(rest))
		if err := h.readPalette(rest[:n], colors, padding); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	if h.offset == 0 {
		h.offset = len(data) - len(rest)
	}
	return h, nil
}

// readPalette reads the colours; those that are not in the file are black. A palette of greys in
// their order means, in Pillow, that the pixels are not indices but the greys themselves, a byte
// each, and with one or two colours a bit each, whatever the header says of their bits.
func (h *header) readPalette(palette []byte, colors, padding int) error {
	grey := true
	for i := range colors {
		v := byte(i)
		if colors == 2 {
			v = byte(255 * i)
		}
		c := palette[min(padding*i, len(palette)):]
		if i > 255 || len(c) < 3 || c[0] != v || c[1] != v || c[2] != v {
			grey = false
			break
		}
	}
	switch {
	case grey && colors <= 2:
		if h.compression != compressionRaw {
			return errors.New("run lengths of a bit per pixel")
		}
		h.unpack = unpacker{bits: 1, indexed: true}
		h.palette[1] = [3]byte{255, 255, 255}
	case grey:
		h.unpack = unpacker{bits: 8, indexed: true}
		for i := range h.palette {
			h.palette[i] = [3]byte{byte(i), byte(i), byte(i)}
		}
	case len(palette)/padding > 256:
		return fmt.Errorf("the palette has %d colours", len(palette)/padding)
	default:
		for i := range len(palette) / padding {
			c := palette[padding*i:]
			h.palette[i] = [3]byte{c[2], c[1], c[0]}
		}
	}
	return nil
}

// DecodeConfig reads the headers of a BMP.
func DecodeConfig(data []byte) (codec.Config, error) {
	h, err := readHeader(data)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: int(h.width), Height: int(h.height)}, nil
}

// Decode decodes a BMP to uint8 RGB, height x width x 3, row-major, in the memory of dst if that is
// enough. Memory grows with the declared size: call DecodeConfig first.
func Decode(dst, data []byte) (pix []byte, err error) {
	h, err := readHeader(data)
	if err != nil {
		return nil, err
	}
	if h.offset > len(data) {
		return nil, errTruncated
	}
	if h.compression == compressionRLE4 || h.compression == compressionRLE8 {
		return h.decodeRLE(dst, data)
	}
	return h.decodeRaw(dst, data[h.offset:])
}

// decodeRaw decodes rows that are not compressed. Only the last one may lack its padding.
func (h *header) decodeRaw(dst, rows []byte) ([]byte, error) {
	width, height := int(h.width), int(h.height)
	stride := (width*h.bits + 31) / 32 * 4
	used := (width*h.unpack.bits + 7) / 8
	switch {
	case used > stride:
		return nil, errors.New("the rows are too short for a grey image")
	case len(rows) < used || (len(rows)-used)/stride < height-1:
		return nil, errTruncated
	}
	pix := slices.Grow(dst[:0], 3*width*height)[:3*width*height]
	for i := range height {
		y := i
		if !h.topDown {
			y = height - 1 - i
		}
		h.unpackRow(pix[3*width*y:][:3*width], rows[stride*i:])
	}
	return pix, nil
}

// HasAlpha reports whether a file has a bit mask for alpha, or masks of 0, of which Pillow makes
// RGBA.
func HasAlpha(data []byte) bool {
	h, err := readHeader(data)
	return err == nil && h.bits == 32 && h.compression == compressionBitfields &&
		(h.masks[3] != 0 || h.masks == [4]uint32{})
}
