package webp

import "image"

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

// toRGB converts a decoded frame. Each pixel's colour is weighed from the four nearest colour
// samples, 9:3:3:1 (libwebp's upsampling.c); beyond the edge the samples repeat.
func toRGB(out []byte, stride int, m *image.YCbCr, width, height int) {
	samples := (width + 1) / 2
	near3 := make([]struct{ u, v int32 }, samples+2) // 3 near + far, with the edges repeated
	for y := range height {
		near := y / 2
		far := min(max(0, near-1+y%2*2), (height+1)/2-1)
		nu, nv := m.Cb[near*m.CStride:][:samples], m.Cr[near*m.CStride:][:samples]
		fu, fv := m.Cb[far*m.CStride:][:samples], m.Cr[far*m.CStride:][:samples]
		inner := near3[1 : samples+1]
		for i := range inner {
			inner[i].u = 3*int32(nu[i]) + int32(fu[i])
			inner[i].v = 3*int32(nv[i]) + int32(fv[i])
		}
		near3[0], near3[samples+1] = inner[0], inner[samples-1]
		convertRow(out[stride*y:][:3*width], m.Y[m.YStride*y:][:width], near3)
	}
}

func convertRow(out, luma []byte, near3 []struct{ u, v int32 }) {
	for i := 1; len(luma) > 0; i++ {
		left, mid, right := near3[i-1], near3[i], near3[i+1]
		convert(out[:3], luma[0], (3*mid.u+left.u+8)>>4, (3*mid.v+left.v+8)>>4)
		if len(luma) == 1 {
			return
		}
		convert(out[3:6], luma[1], (3*mid.u+right.u+8)>>4, (3*mid.v+right.v+8)>>4)
		out, luma = out[6:], luma[2:]
	}
}

func convert(out []byte, luma uint8, u, v int32) {
	y := yuv.y[luma]
	out[0] = clip(y + yuv.vr[uint8(v)])
	out[1] = clip(y + yuv.ug[uint8(u)] + yuv.vg[uint8(v)])
	out[2] = clip(y + yuv.ub[uint8(u)])
}
