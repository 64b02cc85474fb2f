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

// inverseDCT transforms n regions from region i on, across of them a row, and adds
// them to the workspace from y, x on.
func (d *Decoder) inverseDCT(y, x, i, across, n int) {
	if simd.AVX2 {
		_ = d.ybr[y+n/across*4-1][x+4*across-1]
		residuesAVX2(&d.ybr[y][x], &d.coeff[16*i], &d.last[i], across, n)
		return
	}
	for j := range n {
		y, x := y+j/across*4, x+j%across*4
		if d.last[i+j] > 1 {
			d.inverseDCT4(y, x, 16*(i+j))
		} else if d.coeff[16*(i+j)] != 0 {
			d.inverseDCT4DCOnly(y, x, 16*(i+j))
		}
	}
}

// inverseDCT8 is inverseDCT for the four regions of a chroma plane. If one of them
// has more than the first coefficient, libwebp's SSE2 code transforms all as if
// they had more than the first three: the numbers of damaged files run over.
func (d *Decoder) inverseDCT8(y, x, i int) {
	last := d.last[i : i+4]
	if max(last[0], last[1], last[2], last[3]) > 1 {
		last[0], last[1], last[2], last[3] = 16, 16, 16, 16
	}
	d.inverseDCT(y, x, i, 2, 4)
}

// c1 and c2 multiply by sqrt(2) and the cosine or the sine of pi/8.
func c1(x int32) int32 { return x*20091>>16 + x }

func c2(x int32) int32 { return x * 35468 >> 16 }

func (d *Decoder) inverseDCT4(y, x, coeffBase int) {
	var m [4][4]int32
	for i := 0; i < 4; i++ {
		a := int32(d.coeff[coeffBase+0]) + int32(d.coeff[coeffBase+8])
		b := int32(d.coeff[coeffBase+0]) - int32(d.coeff[coeffBase+8])
		c := c2(int32(d.coeff[coeffBase+4])) - c1(int32(d.coeff[coeffBase+12]))
		e := c1(int32(d.coeff[coeffBase+4])) + c2(int32(d.coeff[coeffBase+12]))
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
		c := c2(m[1][j]) - c1(m[3][j])
		e := c1(m[1][j]) + c2(m[3][j])
		d.ybr[y+j][x+0] = clip8(int32(d.ybr[y+j][x+0]) + (a+e)>>3)
		d.ybr[y+j][x+1] = clip8(int32(d.ybr[y+j][x+1]) + (b+c)>>3)
		d.ybr[y+j][x+2] = clip8(int32(d.ybr[y+j][x+2]) + (b-c)>>3)
		d.ybr[y+j][x+3] = clip8(int32(d.ybr[y+j][x+3]) + (a-e)>>3)
	}
}

func (d *Decoder) inverseDCT4DCOnly(y, x, coeffBase int) {
	dc := (int32(d.coeff[coeffBase+0]) + 4) >> 3
	for j := 0; j < 4; j++ {
		for i := 0; i < 4; i++ {
			d.ybr[y+j][x+i] = clip8(int32(d.ybr[y+j][x+i]) + dc)
		}
	}
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
