package cvimage

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"kerasrun/preprocess/internal/codec"
)

// Compressions of a BMP.
const (
	bmpPlain     = 0
	bmpRLE8      = 1
	bmpRLE4      = 2
	bmpBitfields = 3
)

// bmpHeader is what BmpDecoder::readHeader reads.
type bmpHeader struct {
	stream
	width, height int // height is negative where the first row is the top one
	offset        int // of the pixels
	bits          int // of a pixel; 15 is 5 for each colour
	compression   int
	palette       [256][3]uint8 // RGB
	masks         [3]uint32     // of red, green, blue in 32 bits; 0 without
}

func readBMP(data []byte) (*bmpHeader, error) {
	h := &bmpHeader{stream: stream{data: data, pos: 10}}
	malformed := errors.New("OpenCV does not read a BMP file with this header")
	h.offset = h.long()
	size := h.long()
	switch {
	case size >= 36:
		h.width, h.height = h.long(), h.long()
		h.bits = int(uint32(h.long()) >> 16)
		h.compression = h.long()
		h.skip(12)
		colors := h.long()
		if h.bits == 32 && h.compression == bmpBitfields && size >= 56 {
			h.skip(4)
			for i := range h.masks {
				h.masks[i] = uint32(h.long())
			}
			h.skip(4 + size - 56)
		} else {
			h.skip(size - 36)
		}
		switch {
		case h.compression == bmpRLE8 && h.bits == 8, h.compression == bmpRLE4 && h.bits == 4:
		case h.compression == bmpBitfields && (h.bits == 16 || h.bits == 32):
		case h.compression == bmpPlain:
		default:
			return nil, malformed
		}
		switch h.bits {
		case 1, 4, 8:
			if colors < 0 || colors > 256 {
				return nil, malformed
			}
			if colors == 0 {
				colors = 1 << h.bits
			}
			h.colors(colors, 4)
		case 16:
			if h.compression == bmpPlain {
				h.bits = 15
				break
			}
			switch masks := [3]int{h.long(), h.long(), h.long()}; masks {
			case [3]int{0x7c00, 0x3e0, 0x1f}:
				h.bits = 15
			case [3]int{0xf800, 0x7e0, 0x1f}:
			default:
				return nil, malformed
			}
		case 24, 32:
		default:
			return nil, malformed
		}
	case size == 12:
		h.width, h.height = h.word(), h.word()
		h.bits = int(uint32(h.long()) >> 16)
		switch h.bits {
		case 1, 4, 8:
			h.colors(1<<h.bits, 3)
		case 24, 32:
		default:
			return nil, malformed
		}
	default:
		return nil, malformed
	}
	if h.ended {
		return nil, errTruncated
	}
	if h.width <= 0 || h.height == 0 || h.offset < 0 {
		return nil, malformed
	}
	return h, nil
}

func configBMP(data []byte) (codec.Config, error) {
	h, err := readBMP(data)
	if err != nil {
		return codec.Config{}, err
	}
	return codec.Config{Width: h.width, Height: max(h.height, -h.height)}, nil
}

// colors reads a palette of count colours, each size bytes from blue on.
func (h *bmpHeader) colors(count, size int) {
	for i := range count {
		if c := h.take(size); c != nil {
			h.palette[i] = [3]uint8{c[2], c[1], c[0]}
		}
	}
}

// decodeBMP is BmpDecoder.
func decodeBMP(dst, data []byte, grey bool) (pix []byte, width, height int, err error) {
	h, err := readBMP(data)
	if err != nil {
		return nil, 0, 0, err
	}
	width, height = h.width, max(h.height, -h.height)
	size := 3 * width * height
	if cap(dst) < size {
		dst = make([]byte, size)
	}
	pix = dst[:size]
	h.pos = min(h.offset, len(data))
	masked := false
	var row func(out, in []byte)
	switch h.bits {
	case 1, 4, 8:
		if h.compression != bmpPlain {
			if err := h.decodeRLE(pix, width, height); err != nil {
				return nil, 0, 0, err
			}
			break
		}
		row = h.paletteRow
	case 15:
		row = func(out, in []byte) {
			for i := 0; len(out) >= 3; i, out = i+2, out[3:] {
				v := binary.LittleEndian.Uint16(in[i:])
				out[0], out[1], out[2] = uint8(v>>7)&0xf8, uint8(v>>2)&0xf8, uint8(v<<3)
			}
		}
	case 16:
		row = func(out, in []byte) {
			for i := 0; len(out) >= 3; i, out = i+2, out[3:] {
				v := binary.LittleEndian.Uint16(in[i:])
				out[0], out[1], out[2] = uint8(v>>8)&0xf8, uint8(v>>3)&0xfc, uint8(v<<3)
			}
		}
	case 24:
		row = func(out, in []byte) {
			for len(out) >= 3 {
				out[0], out[1], out[2] = in[2], in[1], in[0]
				out, in = out[3:], in[3:]
			}
		}
	case 32:
		masked = h.masks[0] != 0 && h.masks[1] != 0 && h.masks[2] != 0
		row = func(out, in []byte) {
			for len(out) >= 3 {
				if masked {
					v := binary.LittleEndian.Uint32(in)
					for c, mask := range h.masks {
						out[c] = masked8(v, mask)
					}
				} else {
					out[0], out[1], out[2] = in[2], in[1], in[0]
				}
				out, in = out[3:], in[4:]
			}
		}
	}
	if row != nil {
		pitch := (width*(h.bits+h.bits&1) + 31) / 32 * 4
		if h.bits == 1 {
			pitch = (width + 31) / 32 * 4
		}
		for y := range height {
			in := h.take(pitch)
			if in == nil {
				return nil, 0, 0, errTruncated
			}
			if h.height > 0 {
				y = height - 1 - y
			}
			row(pix[3*width*y:][:3*width], in)
		}
	} else if h.height > 0 {
		flip(pix, 3*width)
	}
	if grey {
		for i := range width * height {
			r, g, b := pix[3*i], pix[3*i+1], pix[3*i+2]
			if masked {
				pix[i] = greyOfMasked(r, g, b)
			} else {
				pix[i] = greyOfBGR(b, g, r)
			}
		}
		pix = pix[:width*height]
	}
	return pix, width, height, nil
}

// masked8 is one colour of maskBGRA: the bits of a mask, scaled to 255 in float32.
func masked8(v, mask uint32) uint8 {
	shift := bits.TrailingZeros32(mask)
	factor := float32(255) / float32(mask>>shift)
	return uint8(int32(float32(mask&v>>shift) * factor))
}

// greyOfMasked is the grey of maskBGRAtoGray, in float32.
func greyOfMasked(r, g, b uint8) uint8 {
	return uint8(float32(float32(0.299*float32(r))+float32(0.587*float32(g))) +
		float32(0.114*float32(b)))
}

// flip exchanges the rows of an image, each stride bytes, top and bottom.
func flip(pix []byte, stride int) {
	for top, bottom := 0, len(pix)-stride; top < bottom; top, bottom = top+stride, bottom-stride {
		for i := range stride {
			pix[top+i], pix[bottom+i] = pix[bottom+i], pix[top+i]
		}
	}
}

func (h *bmpHeader) paletteRow(out, in []byte) {
	for i := 0; len(out) >= 3; i, out = i+h.bits, out[3:] {
		*(*[3]uint8)(out) = h.palette[in[i/8]<<(i%8)>>(8-h.bits)]
	}
}
