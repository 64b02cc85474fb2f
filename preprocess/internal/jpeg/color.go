package jpeg

import (
	"encoding/binary"

	"kerasrun/preprocess/internal/simd"
)

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
// What Cb and Cr contribute to a pixel is packed in one word each: R at bit 48, B at bit 32, G with
// its fraction at bit 0. So the sum of the two words and of Y, thrice, is the pixel. Each value is
// 256 too large, which keeps it positive; the byte above it is 1 where the value needs no clamping.
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
func pixelOf(t uint64) uint64 { return t>>48&0xFF | t>>8&0xFF00 | t>>16&0xFF0000 }

func yccPixel(y, cb, cr uint8) uint64 {
	t := crTable[cr] + cbTable[cb] + uint64(y)*lumaWeight
	if t&rangeBits != inRange {
		t = clampSum(t)
	}
	return pixelOf(t)
}

func putPixel(dst []byte, p uint64) {
	_ = dst[2]
	dst[0], dst[1], dst[2] = byte(p), byte(p>>8), byte(p>>16)
}

// yccRow converts a row of YCbCr samples to RGB, two pixels at a time.
func yccRow(dst, ys, cbs, crs []byte) {
	n := len(ys)
	dst, cbs, crs = dst[:3*n], cbs[:n], crs[:n]
	i := 0
	if simd.AVX2 && n >= 16 {
		i = n &^ 15
		yccRowAVX2(&dst[0], &ys[0], &cbs[0], &crs[0], i)
	}
	// A pair is written as eight bytes, of which the next pixels overwrite two.
	for ; i+3 <= n; i += 2 {
		y, cb, cr := ys[i:i+2], cbs[i:i+2], crs[i:i+2]
		s := crTable[cr[0]] + cbTable[cb[0]] + uint64(y[0])*lumaWeight
		t := crTable[cr[1]] + cbTable[cb[1]] + uint64(y[1])*lumaWeight
		if ((s^inRange)|(t^inRange))&rangeBits != 0 {
			s, t = clampSum(s), clampSum(t)
		}
		binary.LittleEndian.PutUint64(dst[3*i:3*i+8], pixelOf(s)|pixelOf(t)<<24)
	}
	for ; i < n; i++ {
		putPixel(dst[3*i:], yccPixel(ys[i], cbs[i], crs[i]))
	}
}

func grayRow(dst, ys []byte) {
	n := len(ys)
	dst = dst[:3*n]
	i := 0
	for ; i+3 <= n; i += 2 {
		y := ys[i : i+2]
		binary.LittleEndian.PutUint64(dst[3*i:3*i+8],
			uint64(y[0])*0x010101|uint64(y[1])*0x010101000000)
	}
	for ; i < n; i++ {
		putPixel(dst[3*i:], uint64(ys[i])*0x010101)
	}
}

func rgbRow(dst, rs, gs, bs []byte) {
	gs, bs = gs[:len(rs)], bs[:len(rs)]
	for i, r := range rs {
		putPixel(dst[3*i:], uint64(r)|uint64(gs[i])<<8|uint64(bs[i])<<16)
	}
}

// cmykRow converts inverted CMYK, as Adobe writes it and as Pillow takes all CMYK JPEGs to be, to
// RGB: Pillow's unpackCMYKI (Unpack.c) and cmyk2rgb (Convert.c).
func cmykRow(dst, cs, ms, ys, ks []byte) {
	ms, ys, ks = ms[:len(cs)], ys[:len(cs)], ks[:len(cs)]
	for i, c := range cs {
		k := ks[i]
		dst := dst[3*i : 3*i+3]
		dst[0], dst[1], dst[2] = lessInk(c, k), lessInk(ms[i], k), lessInk(ys[i], k)
	}
}

// lessInk takes from the light that black leaves what an ink absorbs. Both are inverted: 255 is no
// ink.
func lessInk(ink, black uint8) uint8 {
	t := int32(255-ink)*int32(black) + 128
	return clampUint8(int32(black) - (t>>8+t)>>8)
}

// ycckRow converts YCCK to RGB: C, M and Y are what R, G and B would be in YCbCr, inverted, so that
// after Pillow's inversion they are R, G and B again.
func ycckRow(dst, ys, cbs, crs, ks []byte) {
	cbs, crs, ks = cbs[:len(ys)], crs[:len(ys)], ks[:len(ys)]
	for i, y := range ys {
		p, k := yccPixel(y, cbs[i], crs[i]), ks[i]
		dst := dst[3*i : 3*i+3]
		dst[0], dst[1], dst[2] = lessInk(255-byte(p), k), lessInk(255-byte(p>>8),
			k), lessInk(255-byte(p>>16), k)
	}
}

// lumaRow converts a row of RGB samples to grey: rgb_gray_convert of jdcolext.c.
func lumaRow(dst, rs, gs, bs []byte) {
	gs, bs, dst = gs[:len(rs)], bs[:len(rs)], dst[:len(rs)]
	for i, r := range rs {
		dst[i] = uint8((19595*uint32(r) + 38470*uint32(gs[i]) + 7471*uint32(bs[i]) + 1<<15) >> 16)
	}
}

// inkRow converts YCCK to CMYK: ycck_cmyk_convert of jdcolor.c.
func inkRow(dst, ys, cbs, crs, ks []byte) {
	cbs, crs, ks = cbs[:len(ys)], crs[:len(ys)], ks[:len(ys)]
	for i, y := range ys {
		p := ^yccPixel(y, cbs[i], crs[i])
		*(*[4]byte)(dst[4*i:]) = [4]byte{byte(p), byte(p >> 8), byte(p >> 16), ks[i]}
	}
}

// interleave joins four planes as they are.
func interleave(dst, as, bs, cs, ds []byte) {
	bs, cs, ds = bs[:len(as)], cs[:len(as)], ds[:len(as)]
	for i, a := range as {
		*(*[4]byte)(dst[4*i:]) = [4]byte{a, bs[i], cs[i], ds[i]}
	}
}
