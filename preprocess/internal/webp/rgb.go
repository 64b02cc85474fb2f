package webp

import (
	"image"

	"kerasrun/preprocess/internal/simd"
)

// The coefficients of libwebp's conversion from YUV to RGB (yuv.h), times every value: 16 bits
// after the point, of which 8 are dropped at once and 6 remain for the sum.
var yuv = func() (t struct{ y, vr, ug, vg, ub [256]int32 }) {
	for i := range int32(256) {
		t.y[i] = i * 19077 >> 8
		t.vr[i] = i*26149>>8 - 14234
		t.ug[i] = 8708 - i*6419>>8
		t.vg[i] = -(i * 13320 >> 8)
		t.ub[i] = i*33050>>8 - 17685
	}
	return t
}()

func clip(v int32) uint8 {
	v >>= 6
	if uint32(v) > 255 {
		return uint8(^v >> 31)
	}
	return uint8(v)
}

// toRGB converts row y of a decoded frame. Each pixel's colour is weighed from the four nearest
// colour samples, 9:3:3:1 (libwebp's upsampling.c); beyond the edge the samples repeat. us and vs
// are memory for a row of samples and two more.
func toRGB(out []byte, m *image.YCbCr, y, height int, us, vs []int16) {
	samples, near := len(us)-2, y/2
	far := min(max(0, near-1+y%2*2), (height+1)/2-1)
	simd.Weigh(us, m.Cb[near*m.CStride:][:samples], m.Cb[far*m.CStride:])
	simd.Weigh(vs, m.Cr[near*m.CStride:][:samples], m.Cr[far*m.CStride:])
	convertRow(out, m.Y[m.YStride*y:][:len(out)/3], us, vs)
}

// convertRow converts a row of pixels with the sums of the colour samples around it.
func convertRow(out, luma []byte, us, vs []int16) {
	samples := (len(luma)+1)/2 + 2
	out, us, vs = out[:3*len(luma)], us[:samples], vs[:samples]
	i := 0
	if n := (len(luma) - 2) &^ 15; simd.AVX2 && n > 0 {
		convertRowAVX2(&out[0], &luma[0], &us[1], &vs[1], n)
		i = n
	}
	for ; i < len(luma); i++ {
		mid, side := i/2+1, i/2+i&1*2
		convert(out[3*i:3*i+3], luma[i], int32(3*us[mid]+us[side]+8)>>4,
			int32(3*vs[mid]+vs[side]+8)>>4)
	}
}

func convert(out []byte, luma uint8, u, v int32) {
	y := yuv.y[luma]
	out[0] = clip(y + yuv.vr[uint8(v)])
	out[1] = clip(y + yuv.ug[uint8(u)] + yuv.vg[uint8(v)])
	out[2] = clip(y + yuv.ub[uint8(u)])
}
