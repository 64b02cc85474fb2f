package jpeg

import "encoding/binary"

// colorSpace is what the components of a file mean.
type colorSpace int

const (
	gray colorSpace = iota
	ycc
	rgb
	cmyk
	ycck
)

// colorSpace guesses the colour space as libjpeg does (default_decompress_parms of jdapimin.c).
func (d *decoder) colorSpace() colorSpace {
	switch len(d.comps) {
	case 1:
		return gray
	case 3:
		if d.jfif {
			return ycc
		}
		if d.adobe {
			if d.adobeTransform == 0 {
				return rgb
			}
			return ycc
		}
		if d.comps[0].id == 'R' && d.comps[1].id == 'G' && d.comps[2].id == 'B' {
			return rgb
		}
		return ycc
	}
	if d.adobe && d.adobeTransform != 0 {
		return ycck
	}
	return cmyk
}

// Colour differences are converted with 16 bits of fraction, as in jdcolor.c:
//
//	R = Y + 1.402 Cr, G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.772 Cb
//
// What Cb and Cr contribute to a pixel is packed in one word each: R at bit 48, B at bit 32, G with its fraction at
// bit 0. So the sum of the two words and of Y, thrice, is the pixel. Each value is 256 too large, which keeps it
// positive; the byte above it is 1 where the value needs no clamping.
var crTable, cbTable = func() (cr, cb [256]uint64) {
	const half = 1 << 15
	for i := range 256 {
		x := i - 128
		r := (91881*x + half) >> 16
		b := (116130*x + half) >> 16
		cr[i] = uint64(r+256)<<48 | uint64(256<<32) | uint64(256<<16-46802*x)
		cb[i] = uint64(b)<<32 + uint64(half-22554*x)
	}
	return cr, cb
}()

const (
	lumaWeight = 1<<48 | 1<<32 | 1<<16
	inRange    = 0x0100_0100_0100_0000
	rangeBits  = 0xFF00_FF00_FF00_0000
)

// clampSum clamps the values in a sum that are out of range.
func clampSum(t uint64) uint64 {
	r := clampUint8(int32(t>>48) - 256)
	b := clampUint8(int32(t>>32&0xFFFF) - 256)
	g := clampUint8(int32(t>>16&0xFFFF) - 256)
	return uint64(r)<<48 | uint64(b)<<32 | uint64(g)<<16
}

// pixelOf returns R, G and B of a sum in the lowest three bytes, R the lowest.
func pixelOf(t uint64) uint32 {
	return uint32(t>>48)&0xFF | uint32(t>>8)&0xFF00 | uint32(t>>16)&0xFF0000
}

func yccPixel(y, cb, cr uint8) uint32 {
	t := crTable[cr] + cbTable[cb] + uint64(y)*lumaWeight
	if t&rangeBits != inRange {
		t = clampSum(t)
	}
	return pixelOf(t)
}

// putPixel writes the last pixel of a row, after which there may be no room for a fourth byte.
func putPixel(dst []byte, p uint32) {
	_ = dst[2]
	dst[0], dst[1], dst[2] = byte(p), byte(p>>8), byte(p>>16)
}

// yccRow converts a row of YCbCr samples to RGB. Here and below, all pixels but the last are written with one byte too
// many, which the next one overwrites.
func yccRow(dst, ys, cbs, crs []byte) {
	n := len(ys) - 1
	cbs, crs = cbs[:n+1], crs[:n+1]
	out := dst
	for i, y := range ys[:n] {
		t := crTable[crs[i]] + cbTable[cbs[i]] + uint64(y)*lumaWeight
		if t&rangeBits != inRange {
			t = clampSum(t)
		}
		binary.LittleEndian.PutUint32(out, pixelOf(t))
		out = out[3:]
	}
	putPixel(out, yccPixel(ys[n], cbs[n], crs[n]))
}

func grayRow(dst, ys []byte) {
	n := len(ys) - 1
	out := dst
	for i := range n {
		binary.LittleEndian.PutUint32(out, uint32(ys[i])*0x010101)
		out = out[3:]
	}
	putPixel(out, uint32(ys[n])*0x010101)
}

func rgbRow(dst, rs, gs, bs []byte) {
	gs, bs = gs[:len(rs)], bs[:len(rs)]
	for i, r := range rs {
		putPixel(dst[3*i:], uint32(r)|uint32(gs[i])<<8|uint32(bs[i])<<16)
	}
}

// cmykRow converts inverted CMYK, as Adobe writes it and as Pillow takes all CMYK JPEGs to be, to RGB: Pillow's
// unpackCMYKI (Unpack.c) and cmyk2rgb (Convert.c).
func cmykRow(dst, cs, ms, ys, ks []byte) {
	ms, ys, ks = ms[:len(cs)], ys[:len(cs)], ks[:len(cs)]
	for i, c := range cs {
		k := ks[i]
		dst := dst[3*i : 3*i+3]
		dst[0], dst[1], dst[2] = lessInk(c, k), lessInk(ms[i], k), lessInk(ys[i], k)
	}
}

// lessInk takes from the light that black leaves what an ink absorbs. Both are inverted: 255 is no ink.
func lessInk(ink, black uint8) uint8 {
	t := int32(255-ink)*int32(black) + 128
	return clampUint8(int32(black) - (t>>8+t)>>8)
}

// ycckRow converts YCCK to RGB: C, M and Y are what R, G and B would be in YCbCr, inverted, so that after Pillow's
// inversion they are R, G and B again.
func ycckRow(dst, ys, cbs, crs, ks []byte) {
	cbs, crs, ks = cbs[:len(ys)], crs[:len(ys)], ks[:len(ys)]
	for i, y := range ys {
		p, k := yccPixel(y, cbs[i], crs[i]), ks[i]
		dst := dst[3*i : 3*i+3]
		dst[0], dst[1], dst[2] = lessInk(255-byte(p), k), lessInk(255-byte(p>>8), k), lessInk(255-byte(p>>16), k)
	}
}
