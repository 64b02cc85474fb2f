package jpeg

import (
	"encoding/binary"

	"kerasrun/preprocess/internal/simd"
)

// The inverse DCT is libjpeg's accurate integer one (jidctint.c), after Loeffler, Ligtenberg and
// Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications", ICASSP 1989: columns, then
// rows, with 13 bits of fraction in the constants and 2 more bits kept between the passes.
const (
	constBits = 13
	pass1Bits = 2

	fix0298631336 = 2446
	fix0390180644 = 3196
	fix0541196100 = 4433
	fix0765366865 = 6270
	fix0899976223 = 7373
	fix1175875602 = 9633
	fix1501321110 = 12299
	fix1847759065 = 15137
	fix1961570560 = 16069
	fix2053119869 = 16819
	fix2562915447 = 20995
	fix3072711026 = 25172
)

// maxPlainSize is the largest block.size for which no intermediate result exceeds 16 bits: a basis
// function of one pass is at most 1.3871, so that a sum over a row between the passes is at most 4
// * 1.3871 * size plus the roundings.
const maxPlainSize = 5900

// limit4096 maps samples, less 128, modulo 4096, to 0 to 255. With maxPlainSize they stay within
// -1420 to 1420.
var limit4096 = func() (t [4096]uint8) {
	for i := range t {
		v := i
		if v >= 2048 {
			v -= 4096
		}
		t[i] = clampUint8(int32(v) + 128)
	}
	return t
}()

func clampUint8(v int32) uint8 { return uint8(max(0, min(255, v))) }

// inverseDCT writes the samples of a block to 8 rows of dst.
//
// It computes two columns, then two rows at a time. A pair of numbers is held in one 64-bit word as
// low + high<<32, both signed: sums, differences and products with constants of such words are
// again the pairs of the results.
func inverseDCT(b *block, dst []byte, stride int) {
	switch {
	case b.size > maxPlainSize:
		saturatingDCT(b, dst, stride)
	case b.used&^1 == 0:
		fill8x8(dst, stride, limit4096[(int32(b.coefs[0])*4+16)>>5&4095])
	case simd.AVX2:
		_ = dst[7*stride+7]
		inverseDCTAVX2(&b.coefs, &dst[0], stride)
	case b.used&^0x0F0F0F0F == 0:
		inverseDCT4(b, dst, stride)
	default:
		inverseDCT8(b, dst, stride)
	}
}

const (
	down1 = constBits - pass1Bits
	half1 = (1<<32 + 1) << (down1 - 1)
	down2 = constBits + pass1Bits + 3
	half2 = (1<<32 + 1) << (down2 - 1)
	carry = 1 << 31 // makes up for what a negative low half takes from the high one
)

// pair holds x in the low half, y in the high one.
func pair[T int16 | int32](x, y T) int64 { return int64(x) + int64(y)<<32 }

// low1, high1, low2 and high2 are the halves of a sum, less the fraction of the first and of the
// second pass.
func low1(x int64) int32  { return int32(x) >> down1 }
func high1(x int64) int32 { return int32((x + carry) >> (32 + down1)) }
func low2(x int64) uint64 { return uint64(limit4096[int32(x)>>down2&4095]) }
func high2(x int64) uint64 {
	return uint64(limit4096[(x+carry)>>(32+down2)&4095])
}

func inverseDCT8(b *block, dst []byte, stride int) {
	var ws [64]int32
	in := &b.coefs
	for i := 0; i < 8; i += 2 {
		if b.used>>i&0x0303030303030300 == 0 {
			x, y := int32(in[i])<<pass1Bits, int32(in[i+1])<<pass1Bits
			for j := 0; j < 64; j += 8 {
				ws[(i+j)&63], ws[(i+j+1)&63] = x, y
			}
			continue
		}
		x0, x1 := pair(in[i], in[i+1]), pair(in[i+8], in[i+9])
		x2, x3 := pair(in[i+16], in[i+17]), pair(in[i+24], in[i+25])
		x4, x5 := pair(in[i+32], in[i+33]), pair(in[i+40], in[i+41])
		x6, x7 := pair(in[i+48], in[i+49]), pair(in[i+56], in[i+57])

		z1 := (x2 + x6) * fix0541196100
		t2, t3 := z1-x6*fix1847759065, z1+x2*fix0765366865
		t0, t1 := (x0+x4)<<constBits+half1, (x0-x4)<<constBits+half1
		e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2
		z5 := (x7 + x3 + x5 + x1) * fix1175875602
		z1, z2 := (x7+x1)*fix0899976223, (x5+x3)*fix2562915447
		z3, z4 := z5-(x7+x3)*fix1961570560, z5-(x5+x1)*fix0390180644
		o0, o1 := x7*fix0298631336-z1+z3, x5*fix2053119869-z2+z4
		o2, o3 := x3*fix3072711026-z2+z3, x1*fix1501321110-z1+z4

		ws[i], ws[i+1] = low1(e0+o3), high1(e0+o3)
		ws[i+8], ws[i+9] = low1(e1+o2), high1(e1+o2)
		ws[i+16], ws[i+17] = low1(e2+o1), high1(e2+o1)
		ws[i+24], ws[i+25] = low1(e3+o0), high1(e3+o0)
		ws[i+32], ws[i+33] = low1(e3-o0), high1(e3-o0)
		ws[i+40], ws[i+41] = low1(e2-o1), high1(e2-o1)
		ws[i+48], ws[i+49] = low1(e1-o2), high1(e1-o2)
		ws[i+56], ws[i+57] = low1(e0-o3), high1(e0-o3)
	}
	for i := 0; i < 64; i += 16 {
		r, s := (*[8]int32)(ws[i:i+8]), (*[8]int32)(ws[i+8:i+16])
		x0, x1, x2, x3 := pair(r[0], s[0]), pair(r[1], s[1]), pair(r[2], s[2]), pair(r[3], s[3])
		x4, x5, x6, x7 := pair(r[4], s[4]), pair(r[5], s[5]), pair(r[6], s[6]), pair(r[7], s[7])

		z1 := (x2 + x6) * fix0541196100
		t2, t3 := z1-x6*fix1847759065, z1+x2*fix0765366865
		t0, t1 := (x0+x4)<<constBits+half2, (x0-x4)<<constBits+half2
		e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2
		z5 := (x7 + x3 + x5 + x1) * fix1175875602
		z1, z2 := (x7+x1)*fix0899976223, (x5+x3)*fix2562915447
		z3, z4 := z5-(x7+x3)*fix1961570560, z5-(x5+x1)*fix0390180644
		o0, o1 := x7*fix0298631336-z1+z3, x5*fix2053119869-z2+z4
		o2, o3 := x3*fix3072711026-z2+z3, x1*fix1501321110-z1+z4

		put8(dst, low2(e0+o3)|low2(e1+o2)<<8|low2(e2+o1)<<16|low2(e3+o0)<<24|
			low2(e3-o0)<<32|low2(e2-o1)<<40|low2(e1-o2)<<48|low2(e0-o3)<<56)
		dst = dst[stride:]
		put8(dst, high2(e0+o3)|high2(e1+o2)<<8|high2(e2+o1)<<16|high2(e3+o0)<<24|
			high2(e3-o0)<<32|high2(e2-o1)<<40|high2(e1-o2)<<48|high2(e0-o3)<<56)
		if i < 48 {
			dst = dst[stride:]
		}
	}
}

// The odd part of the DCT where only the lower four inputs are other than 0: what inputs 1 and 3
// contribute.
const (
	odd01 = fix1175875602 - fix0899976223
	odd03 = fix1175875602 - fix1961570560
	odd11 = fix1175875602 - fix0390180644
	odd13 = fix1175875602 - fix2562915447
	odd21 = fix1175875602
	odd23 = fix1175875602 - fix1961570560 - fix2562915447 + fix3072711026
	odd31 = fix1175875602 - fix0390180644 - fix0899976223 + fix1501321110
	odd33 = fix1175875602
)

// inverseDCT4 is inverseDCT8 for blocks that have only the 4 x 4 lowest frequencies.
func inverseDCT4(b *block, dst []byte, stride int) {
	var ws [32]int32 // 8 rows of 4
	in := &b.coefs
	for i := 0; i < 4; i += 2 {
		x0, x1 := pair(in[i], in[i+1]), pair(in[i+8], in[i+9])
		x2, x3 := pair(in[i+16], in[i+17]), pair(in[i+24], in[i+25])

		t2, t3 := x2*fix0541196100, x2*(fix0541196100+fix0765366865)
		t0 := x0<<constBits + half1
		e0, e3, e1, e2 := t0+t3, t0-t3, t0+t2, t0-t2
		o0, o1 := x1*odd01+x3*odd03, x1*odd11+x3*odd13
		o2, o3 := x1*odd21+x3*odd23, x1*odd31+x3*odd33

		ws[i], ws[i+1] = low1(e0+o3), high1(e0+o3)
		ws[i+4], ws[i+5] = low1(e1+o2), high1(e1+o2)
		ws[i+8], ws[i+9] = low1(e2+o1), high1(e2+o1)
		ws[i+12], ws[i+13] = low1(e3+o0), high1(e3+o0)
		ws[i+16], ws[i+17] = low1(e3-o0), high1(e3-o0)
		ws[i+20], ws[i+21] = low1(e2-o1), high1(e2-o1)
		ws[i+24], ws[i+25] = low1(e1-o2), high1(e1-o2)
		ws[i+28], ws[i+29] = low1(e0-o3), high1(e0-o3)
	}
	for i := 0; i < 32; i += 8 {
		r := (*[8]int32)(ws[i : i+8])
		x0, x1, x2, x3 := pair(r[0], r[4]), pair(r[1], r[5]), pair(r[2], r[6]), pair(r[3], r[7])

		t2, t3 := x2*fix0541196100, x2*(fix0541196100+fix0765366865)
		t0 := x0<<constBits + half2
		e0, e3, e1, e2 := t0+t3, t0-t3, t0+t2, t0-t2
		o0, o1 := x1*odd01+x3*odd03, x1*odd11+x3*odd13
		o2, o3 := x1*odd21+x3*odd23, x1*odd31+x3*odd33

		put8(dst, low2(e0+o3)|low2(e1+o2)<<8|low2(e2+o1)<<16|low2(e3+o0)<<24|
			low2(e3-o0)<<32|low2(e2-o1)<<40|low2(e1-o2)<<48|low2(e0-o3)<<56)
		dst = dst[stride:]
		put8(dst, high2(e0+o3)|high2(e1+o2)<<8|high2(e2+o1)<<16|high2(e3+o0)<<24|
			high2(e3-o0)<<32|high2(e2-o1)<<40|high2(e1-o2)<<48|high2(e0-o3)<<56)
		if i < 24 {
			dst = dst[stride:]
		}
	}
}

func put8(dst []byte, x uint64) { binary.LittleEndian.PutUint64(dst, x) }

func fill8x8(dst []byte, stride int, v byte) {
	x := uint64(v) * 0x0101010101010101
	for range 7 {
		put8(dst, x)
		dst = dst[stride:]
	}
	put8(dst, x)
}

// saturatingDCT is the inverse DCT for coefficients so large that numbers run over, as only made-up
// or damaged files have them. It does what libjpeg-turbo's x86-64 code does (jidctint-avx2.asm):
// sums of inputs wrap around at 16 bits, results of each pass are clamped to 16 bits, samples to 8.
func saturatingDCT(b *block, dst []byte, stride int) {
	var ws [64]int32
	in := &b.coefs
	if b.used>>8 == 0 {
		// The code for this case shifts without clamping.
		for i := range 64 {
			ws[i] = int32(in[i&7] << pass1Bits)
		}
	} else {
		for i := range 8 {
			var column [8]int32
			for j := range column {
				column[j] = int32(in[i+8*j])
			}
			for j, v := range wrappingDCT8(&column, constBits-pass1Bits) {
				ws[i+8*j] = v
			}
		}
	}
	for i := range 8 {
		row := wrappingDCT8((*[8]int32)(ws[8*i:]), constBits+pass1Bits+3)
		for j, v := range row {
			dst[i*stride+j] = clampUint8(v + 128)
		}
	}
}

func wrappingDCT8(x *[8]int32, down int) (y [8]int32) {
	wrap := func(v int32) int32 { return int32(int16(v)) }
	t2 := x[2]*fix0541196100 + x[6]*(fix0541196100-fix1847759065)
	t3 := x[2]*(fix0541196100+fix0765366865) + x[6]*fix0541196100
	t0 := wrap(x[0]+x[4]) << constBits
	t1 := wrap(x[0]-x[4]) << constBits
	e := [4]int32{t0 + t3, t1 + t2, t1 - t2, t0 - t3}

	s3, s4 := wrap(x[7]+x[3]), wrap(x[5]+x[1])
	z3 := s3*(fix1175875602-fix1961570560) + s4*fix1175875602
	z4 := s3*fix1175875602 + s4*(fix1175875602-fix0390180644)
	o := [4]int32{
		x[1]*(fix1501321110-fix0899976223) - x[7]*fix0899976223 + z4,
		x[3]*(fix3072711026-fix2562915447) - x[5]*fix2562915447 + z3,
		x[5]*(fix2053119869-fix2562915447) - x[3]*fix2562915447 + z4,
		x[7]*(fix0298631336-fix0899976223) - x[1]*fix0899976223 + z3,
	}
	for i := range 4 {
		half := int32(1) << (down - 1)
		y[i] = max(-1<<15, min(1<<15-1, (e[i]+o[i]+half)>>down))
		y[7-i] = max(-1<<15, min(1<<15-1, (e[i]-o[i]+half)>>down))
	}
	return y
}
