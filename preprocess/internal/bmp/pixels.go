package bmp

import (
	"encoding/binary"
	"fmt"

	"kerasrun/preprocess/internal/codec"
)

// An unpacker says how the pixels of a row become RGB.
type unpacker struct {
	bits    int  // per pixel
	indexed bool // through the palette
	r, g, b int  // bytes of a pixel of 24 or 32 bits
	green6  bool // 16 bits: 565, else 555
}

// bitfields are the masks that Pillow knows, by bits per pixel; of 16 and 24 bits the alpha mask
// does not matter.
var bitfields = map[int]map[[4]uint32]unpacker{
	32: {
		{0xff0000, 0xff00, 0xff, 0}:          {bits: 32, r: 2, g: 1, b: 0},
		{0xff000000, 0xff0000, 0xff00, 0}:    {bits: 32, r: 3, g: 2, b: 1},
		{0xff000000, 0xff00, 0xff, 0}:        {bits: 32, r: 3, g: 1, b: 0},
		{0xff000000, 0xff0000, 0xff00, 0xff}: {bits: 32, r: 3, g: 2, b: 1},
		{0xff, 0xff00, 0xff0000, 0xff000000}: {bits: 32, r: 0, g: 1, b: 2},
		{0xff0000, 0xff00, 0xff, 0xff000000}: {bits: 32, r: 2, g: 1, b: 0},
		{0xff000000, 0xff00, 0xff, 0xff0000}: {bits: 32, r: 3, g: 1, b: 0},
		{0, 0, 0, 0}:                         {bits: 32, r: 2, g: 1, b: 0},
	},
	24: {{0xff0000, 0xff00, 0xff, 0}: {bits: 24, r: 2, g: 1, b: 0}},
	16: {
		{0xf800, 0x7e0, 0x1f, 0}: {bits: 16, green6: true},
		{0x7c00, 0x3e0, 0x1f, 0}: {bits: 16},
	},
}

func (h *header) chooseUnpacker() error {
	switch h.bits {
	case 1, 4, 8:
		h.unpack = unpacker{bits: h.bits, indexed: true}
	case 16:
		h.unpack = unpacker{bits: 16}
	case 24, 32:
		h.unpack = unpacker{bits: h.bits, r: 2, g: 1, b: 0}
	default:
		return codec.UnsupportedError(fmt.Sprintf("%d bits per pixel", h.bits))
	}
	switch h.compression {
	case compressionRaw:
	case compressionRLE8, compressionRLE4:
		if h.bits > 8 {
			return fmt.Errorf("run lengths of %d bits per pixel", h.bits)
		}
	case compressionBitfields:
		masks := h.masks
		if h.bits != 32 {
			masks[3] = 0
		}
		u, ok := bitfields[h.bits][masks]
		if !ok {
			return codec.UnsupportedError(fmt.Sprintf("the bit masks %#x of %d bits per pixel",
				h.masks, h.bits))
		}
		h.unpack = u
	default:
		return codec.UnsupportedError(fmt.Sprintf("compression %d", h.compression))
	}
	return nil
}

// unpackRow turns one row into RGB.
func (h *header) unpackRow(out, row []byte) {
	u := h.unpack
	switch {
	case u.indexed && u.bits == 8:
		for len(out) >= 3 && len(row) >= 1 {
			c := &h.palette[row[0]]
			out[0], out[1], out[2] = c[0], c[1], c[2]
			out, row = out[3:], row[1:]
		}
	case u.indexed:
		for i := 0; len(out) >= 3; i += u.bits {
			c := &h.palette[row[i/8]<<(i%8)>>(8-u.bits)]
			out[0], out[1], out[2] = c[0], c[1], c[2]
			out = out[3:]
		}
	case u.bits == 16:
		for len(out) >= 3 && len(row) >= 2 {
			v := int(binary.LittleEndian.Uint16(row))
			if u.green6 {
				out[0], out[1] = byte((v>>11&31)*255/31), byte((v>>5&63)*255/63)
			} else {
				out[0], out[1] = byte((v>>10&31)*255/31), byte((v>>5&31)*255/31)
			}
			out[2] = byte((v & 31) * 255 / 31)
			out, row = out[3:], row[2:]
		}
	case u.bits == 24:
		for len(out) >= 3 && len(row) >= 3 {
			out[0], out[1], out[2] = row[2], row[1], row[0]
			out, row = out[3:], row[3:]
		}
	default:
		for len(out) >= 3 && len(row) >= 4 {
			out[0], out[1], out[2] = row[u.r], row[u.g], row[u.b]
			out, row = out[3:], row[4:]
		}
	}
}
