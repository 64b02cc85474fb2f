package jpeg

import (
	"math"

	"kerasrun/preprocess/internal/simd"
)

// The fast inverse DCT is libjpeg's (jidctfst.c), after Arai, Agui and Nakajima: the divisors of
// the quantization take most of its multiplications. As in libjpeg-turbo's x86-64 code
// (jidctfst-sse2.asm), which differs from the C code's in the last bits, all numbers have 16 bits.

// fastScale is what a divisor is multiplied with for the fast inverse DCT, in natural order, with
// 14 bits of fraction.
var fastScale = func() (t [64]int32) {
	scale := func(k int) float64 {
		if k == 0 {
			return 1
		}
		return math.Sqrt2 * math.Cos(float64(k)*math.Pi/16)
	}
	for i := range t {
		t[i] = int32(math.Round(scale(i/8) * scale(i%8) * (1 << 14)))
	}
	return t
}()

// fastDivisor is the divisor of coefficient i for the fast inverse DCT, which keeps 2 bits of
// fraction.
func fastDivisor(q uint16, i uint8) int32 {
	return int32(int16((int32(q)*fastScale[i] + 1<<11) >> 12))
}

// Constants of 8 bits of fraction, at the places that leave 2 bits of fraction of a product's high
// half.
const (
	fast1082 = 277 << 6
	fast1414 = 362 << 6
	fast1613 = -413 << 6 // negative
	fast1847 = 473 << 6
)

// fastDCT writes the samples of a block, dequantized with fastDivisor, to 8 rows of dst.
func fastDCT(b *block, dst []byte, stride int) {
	switch {
	case b.used&^1 == 0:
		fill8x8(dst, stride, fastSample(b.coefs[0]))
	case simd.AVX2:
		_ = dst[7*stride+7]
		fastDCTAVX2(&b.coefs, &dst[0], stride)
	default:
		fastDCTGo(b, dst, stride)
	}
}

func fastSample(v int16) byte { return clampUint8(int32(v>>5) + 128) }

func fastDCTGo(b *block, dst []byte, stride int) {
	var ws [8][8]int16 // columns
	for i := range 8 {
		var in [8]int16
		for j := range in {
			in[j] = b.coefs[8*j+i]
		}
		ws[i] = fastDCT8(&in)
	}
	for y := range 8 {
		var in [8]int16
		for i := range in {
			in[i] = ws[i][y]
		}
		for i, v := range fastDCT8(&in) {
			dst[y*stride+i] = fastSample(v)
		}
	}
}

// high is the high half of a product, of which x is quadrupled before.
func high(x int16, by int32) int16 { return int16(int32(x<<2) * by >> 16) }

func fastDCT8(x *[8]int16) [8]int16 {
	t10, t11 := x[0]+x[4], x[0]-x[4]
	t13 := x[2] + x[6]
	t12 := high(x[2]-x[6], fast1414) - t13
	t0, t3, t1, t2 := t10+t13, t10-t13, t11+t12, t11-t12

	z13, z10, z11, z12 := x[5]+x[3], x[5]-x[3], x[1]+x[7], x[1]-x[7]
	t7 := z11 + z13
	// Each of the two is quadrupled, and may run over, before the sum.
	z5 := int16(int32(z10<<2+z12<<2) * fast1847 >> 16)
	t6 := high(z10, fast1613) - z10 + z5 - t7
	t5 := high(z11-z13, fast1414) - t6
	t4 := high(z12, fast1082) - z5 + t5
	return [8]int16{t0 + t7, t1 + t6, t2 + t5, t3 - t4, t3 + t4, t2 - t5, t1 - t6, t0 - t7}
}
