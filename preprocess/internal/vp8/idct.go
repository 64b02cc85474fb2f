// Copyright 2011 The Go Authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package vp8

import "kerasrun/preprocess/internal/simd"

// This file implements the inverse Discrete Cosine Transform and the inverse
// Walsh Hadamard Transform (WHT), as specified in sections 14.3 and 14.4.

func clip8(i int32) uint8 {
	if i < 0 {
		return 0
	}
	if i > 255 {
		return 255
	}
	return uint8(i)
}

func (d *Decoder) inverseDCT4(y, x, coeffBase int) {
	const (
		c1 = 85627 // 65536 * cos(pi/8) * sqrt(2).
		c2 = 35468 // 65536 * sin(pi/8) * sqrt(2).
	)
	if simd.AVX2 && (d.last[coeffBase/16] > 3 || !d.large(coeffBase)) {
		d.inverseDCT4Short(y, x, coeffBase)
		return
	}
	var m [4][4]int32
	for i := 0; i < 4; i++ {
		a := int32(d.coeff[coeffBase+0]) + int32(d.coeff[coeffBase+8])
		b := int32(d.coeff[coeffBase+0]) - int32(d.coeff[coeffBase+8])
		c := (int32(d.coeff[coeffBase+4])*c2)>>16 - (int32(d.coeff[coeffBase+12])*c1)>>16
		e := (int32(d.coeff[coeffBase+4])*c1)>>16 + (int32(d.coeff[coeffBase+12])*c2)>>16
		m[i][0] = a + e
		m[i][1] = b + c
		m[i][2] = b - c
		m[i][3] = a - e
		coeffBase++
	}
	for j := 0; j < 4; j++ {
		dc := m[0][j] + 4
		a := dc + m[2][j]
		b := dc - m[2][j]
		c := (m[1][j]*c2)>>16 - (m[3][j]*c1)>>16
		e := (m[1][j]*c1)>>16 + (m[3][j]*c2)>>16
		d.ybr[y+j][x+0] = clip8(int32(d.ybr[y+j][x+0]) + (a+e)>>3)
		d.ybr[y+j][x+1] = clip8(int32(d.ybr[y+j][x+1]) + (b+c)>>3)
		d.ybr[y+j][x+2] = clip8(int32(d.ybr[y+j][x+2]) + (b-c)>>3)
		d.ybr[y+j][x+3] = clip8(int32(d.ybr[y+j][x+3]) + (a-e)>>3)
	}
}

// inverseDCT4Short is inverseDCT4 with numbers of 16 bits.
func (d *Decoder) inverseDCT4Short(y, x, coeffBase int) {
	_ = d.ybr[y+3][x+3]
	inverseDCT4AVX2((*[16]int16)(d.coeff[coeffBase:]), &d.ybr[y][x])
}

// large tells whether the first three coefficients of a region are large, as only
// damaged files have them. libwebp's SSE2 code lets numbers run over at 16 bits,
// but does not do a luma region that has no more than these.
func (d *Decoder) large(coeffBase int) bool {
	c := d.coeff[coeffBase : coeffBase+16]
	return max(c[0], c[1], c[4]) > 4096 || min(c[0], c[1], c[4]) < -4096
}

func (d *Decoder) inverseDCT4DCOnly(y, x, coeffBase int) {
	dc := (int32(d.coeff[coeffBase+0]) + 4) >> 3
	for j := 0; j < 4; j++ {
		for i := 0; i < 4; i++ {
			d.ybr[y+j][x+i] = clip8(int32(d.ybr[y+j][x+i]) + dc)
		}
	}
}

// inverseDCT8 transforms the four regions of a chroma plane from region i on, and
// returns whether they have coefficients.
func (d *Decoder) inverseDCT8(y, x, i int) bool {
	dc, ac := false, false
	for j := i; j < i+4; j++ {
		dc, ac = dc || d.coeff[16*j] != 0, ac || d.last[j] > 1
	}
	for j := range 4 {
		y, x, coeffBase := y+j/2*4, x+j%2*4, 16*(i+j)
		switch {
		case ac && simd.AVX2:
			d.inverseDCT4Short(y, x, coeffBase)
		case ac:
			d.inverseDCT4(y, x, coeffBase)
		case dc:
			d.inverseDCT4DCOnly(y, x, coeffBase)
		}
	}
	return dc || ac
}

func (d *Decoder) inverseWHT16() {
	var m [16]int32
	for i := 0; i < 4; i++ {
		a0 := int32(d.coeff[384+0+i]) + int32(d.coeff[384+12+i])
		a1 := int32(d.coeff[384+4+i]) + int32(d.coeff[384+8+i])
		a2 := int32(d.coeff[384+4+i]) - int32(d.coeff[384+8+i])
		a3 := int32(d.coeff[384+0+i]) - int32(d.coeff[384+12+i])
		m[0+i] = a0 + a1
		m[8+i] = a0 - a1
		m[4+i] = a3 + a2
		m[12+i] = a3 - a2
	}
	out := 0
	for i := 0; i < 4; i++ {
		dc := m[0+i*4] + 3
		a0 := dc + m[3+i*4]
		a1 := m[1+i*4] + m[2+i*4]
		a2 := m[1+i*4] - m[2+i*4]
		a3 := dc - m[3+i*4]
		d.coeff[out+0] = int16((a0 + a1) >> 3)
		d.coeff[out+16] = int16((a3 + a2) >> 3)
		d.coeff[out+32] = int16((a0 - a1) >> 3)
		d.coeff[out+48] = int16((a3 - a2) >> 3)
		out += 64
	}
}
