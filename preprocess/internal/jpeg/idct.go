package jpeg

import "encoding/binary"

// The inverse DCT is libjpeg's accurate integer one (jidctint.c), after Loeffler, Ligtenberg and Moschytz, "Practical
// fast 1-D DCT algorithms with 11 multiplications", ICASSP 1989: columns, then rows, with 13 bits of fraction in the
// constants and 2 more bits kept between the passes.
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

// maxPlainSize is the largest block.size for which no intermediate result exceeds 16 bits: a basis function of one
// pass is at most 1.3871, so that a sum over a row between the passes is at most 4 * 1.3871 * size plus the roundings.
const maxPlainSize = 5900

// limit4096 maps samples, less 128, modulo 4096, to 0 to 255. With maxPlainSize they stay within -1420 to 1420.
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
func inverseDCT(b *block, dst []byte, stride int) {
	if b.size > maxPlainSize {
		saturatingDCT(b, dst, stride)
		return
	}
	if b.used&^1 == 0 {
		fill8x8(dst, stride, limit4096[(b.coefs[0]*4+16)>>5&4095])
		return
	}
	var ws [64]int32
	const down1 = constBits - pass1Bits
	const half1 = 1 << (down1 - 1)
	for i := range 8 {
		in := &b.coefs
		if b.used>>i&0x0101010101010100 == 0 {
			v := in[i] << pass1Bits
			for j := 0; j < 64; j += 8 {
				ws[(i+j)&63] = v
			}
			continue
		}
		e0, e1, e2, e3, o0, o1, o2, o3 := dct8(in[i], in[i+8], in[i+16], in[i+24], in[i+32], in[i+40], in[i+48], in[i+56])
		ws[i] = (e0 + o3 + half1) >> down1
		ws[i+56] = (e0 - o3 + half1) >> down1
		ws[i+8] = (e1 + o2 + half1) >> down1
		ws[i+48] = (e1 - o2 + half1) >> down1
		ws[i+16] = (e2 + o1 + half1) >> down1
		ws[i+40] = (e2 - o1 + half1) >> down1
		ws[i+24] = (e3 + o0 + half1) >> down1
		ws[i+32] = (e3 - o0 + half1) >> down1
	}
	const down2 = constBits + pass1Bits + 3
	const half2 = 1 << (down2 - 1)
	for i := 0; i < 64; i += 8 {
		in := (*[8]int32)(ws[i : i+8])
		e0, e1, e2, e3, o0, o1, o2, o3 := dct8(in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7])
		out := (*[8]byte)(dst)
		out[0] = limit4096[(e0+o3+half2)>>down2&4095]
		out[7] = limit4096[(e0-o3+half2)>>down2&4095]
		out[1] = limit4096[(e1+o2+half2)>>down2&4095]
		out[6] = limit4096[(e1-o2+half2)>>down2&4095]
		out[2] = limit4096[(e2+o1+half2)>>down2&4095]
		out[5] = limit4096[(e2-o1+half2)>>down2&4095]
		out[3] = limit4096[(e3+o0+half2)>>down2&4095]
		out[4] = limit4096[(e3-o0+half2)>>down2&4095]
		if i < 56 {
			dst = dst[stride:]
		}
	}
}

// dct8 is the one-dimensional inverse DCT without the last additions: the results are e0+o3, e1+o2, e2+o1, e3+o0,
// e3-o0, e2-o1, e1-o2, e0-o3.
func dct8(x0, x1, x2, x3, x4, x5, x6, x7 int32) (e0, e1, e2, e3, o0, o1, o2, o3 int32) {
	z1 := (x2 + x6) * fix0541196100
	t2 := z1 - x6*fix1847759065
	t3 := z1 + x2*fix0765366865
	t0 := (x0 + x4) << constBits
	t1 := (x0 - x4) << constBits
	e0, e3, e1, e2 = t0+t3, t0-t3, t1+t2, t1-t2

	z3, z4 := x7+x3, x5+x1
	z5 := (z3 + z4) * fix1175875602
	z1 = -(x7 + x1) * fix0899976223
	z2 := -(x5 + x3) * fix2562915447
	z3 = z5 - z3*fix1961570560
	z4 = z5 - z4*fix0390180644
	o0 = x7*fix0298631336 + z1 + z3
	o1 = x5*fix2053119869 + z2 + z4
	o2 = x3*fix3072711026 + z2 + z3
	o3 = x1*fix1501321110 + z1 + z4
	return
}

func fill8x8(dst []byte, stride int, v byte) {
	x := uint64(v) * 0x0101010101010101
	for range 7 {
		binary.LittleEndian.PutUint64(dst, x)
		dst = dst[stride:]
	}
	binary.LittleEndian.PutUint64(dst, x)
}

// saturatingDCT is the inverse DCT for coefficients so large that numbers run over, as only made-up or damaged files
// have them. It does what libjpeg-turbo's x86-64 code does (jidctint-avx2.asm): sums of inputs wrap around at 16
// bits, results of each pass are clamped to 16 bits, samples to 8.
func saturatingDCT(b *block, dst []byte, stride int) {
	var ws [64]int32
	in := &b.coefs
	if b.used>>8 == 0 {
		// The code for this case shifts without clamping.
		for i := range 64 {
			ws[i] = int32(int16(in[i&7] << pass1Bits))
		}
	} else {
		for i := range 8 {
			column := [8]int32{in[i], in[i+8], in[i+16], in[i+24], in[i+32], in[i+40], in[i+48], in[i+56]}
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
