package jpeg

import (
	"encoding/binary"

	"kerasrun/preprocess/internal/simd"
)

// upsampling is how a component gets to the image's size, as libjpeg chooses it (jdsample.c): the
// triangle filter where the image is twice as wide or high as the component, or both, and repeated
// samples elsewhere.
type upsampling int

const (
	replicate  upsampling = iota // any whole factors, 1 among them
	triangleH                    // twice the width
	triangleV                    // twice the height
	triangleHV                   // both
)

func (d *decoder) upsampling(c *component) upsampling {
	twiceWide, twiceHigh := 2*c.h == d.hmax, 2*c.v == d.vmax
	switch {
	case twiceWide && c.v == d.vmax && c.width > 2:
		return triangleH
	case twiceHigh && c.h == d.hmax:
		return triangleV
	case twiceWide && twiceHigh && c.width > 2:
		return triangleHV
	}
	return replicate
}

// Eight-byte words serve as four 16-bit numbers below.
const (
	lowBytes = 0x00FF00FF00FF00FF
	ones     = 0x0001000100010001
)

// spread makes 16-bit numbers of four bytes.
func spread(x uint32) uint64 {
	y := uint64(x)
	y = (y | y<<16) & 0x0000FFFF0000FFFF
	return (y | y<<8) & lowBytes
}

// widen doubles a row horizontally: an output is 3/4 of the nearer sample and 1/4 of the farther
// one, with halves rounded down and up by turns. At the ends the missing neighbour is the sample
// itself.
func widen(dst, src []byte) {
	n := len(src)
	dst[0] = src[0]
	dst[1] = uint8((3*uint32(src[0]) + uint32(src[1]) + 2) >> 2)
	i := 1
	for ; i+5 <= n; i += 4 {
		t := 3 * spread(binary.LittleEndian.Uint32(src[i:]))
		even := t + spread(binary.LittleEndian.Uint32(src[i-1:])) + ones
		odd := t + spread(binary.LittleEndian.Uint32(src[i+1:])) + 2*ones
		binary.LittleEndian.PutUint64(dst[2*i:], even>>2&lowBytes|(odd>>2&lowBytes)<<8)
	}
	for ; i < n-1; i++ {
		t := 3 * uint32(src[i])
		dst[2*i] = uint8((t + uint32(src[i-1]) + 1) >> 2)
		dst[2*i+1] = uint8((t + uint32(src[i+1]) + 2) >> 2)
	}
	dst[2*n-2] = uint8((3*uint32(src[n-1]) + uint32(src[n-2]) + 1) >> 2)
	dst[2*n-1] = src[n-1]
}

// blend computes a row between two: 3/4 of the nearer and 1/4 of the farther, with 1 or 2 added for
// the rounding.
func blend(dst, near, far []byte, bias uint64) {
	n := len(near)
	far = far[:n]
	i := 0
	for ; i+8 <= n; i += 8 {
		a, b := binary.LittleEndian.Uint64(near[i:]), binary.LittleEndian.Uint64(far[i:])
		even := 3*(a&lowBytes) + b&lowBytes + bias*ones
		odd := 3*(a>>8&lowBytes) + b>>8&lowBytes + bias*ones
		binary.LittleEndian.PutUint64(dst[i:], even>>2&lowBytes|(odd>>2&lowBytes)<<8)
	}
	for ; i < n; i++ {
		dst[i] = uint8((3*uint64(near[i]) + uint64(far[i]) + bias) >> 2)
	}
}

// widenBlend is blend and widen in one, rounding once: 9/16, 3/16, 3/16 and 1/16 of the four
// samples around.
func widenBlend(dst, near, far []byte) {
	n := len(near)
	far = far[:n]
	sum := func(i int) uint32 { return 3*uint32(near[i]) + uint32(far[i]) }
	dst[0] = uint8((4*sum(0) + 8) >> 4)
	dst[1] = uint8((3*sum(0) + sum(1) + 7) >> 4)
	i := 1
	if n >= 9 {
		last, t := uint64(sum(0)), sum4(near[1:], far[1:])
		for ; i+8 <= n; i += 4 {
			next := sum4(near[i+4:i+8], far[i+4:i+8])
			even := 3*t + (t<<16 | last) + 8*ones
			odd := 3*t + (t>>16 | next<<48) + 7*ones
			binary.LittleEndian.PutUint64(dst[2*i:2*i+8], even>>4&lowBytes|(odd>>4&lowBytes)<<8)
			last, t = t>>48, next
		}
	}
	for ; i < n-1; i++ {
		t := 3 * sum(i)
		dst[2*i] = uint8((t + sum(i-1) + 8) >> 4)
		dst[2*i+1] = uint8((t + sum(i+1) + 7) >> 4)
	}
	dst[2*n-2] = uint8((3*sum(n-1) + sum(n-2) + 8) >> 4)
	dst[2*n-1] = uint8((4*sum(n-1) + 7) >> 4)
}

// triangle is widenBlend with AVX2, and with near and far the same widen, whose numbers are then
// four times as large.
func (p *plane) triangle(near, far []byte, even, odd int16) {
	n := len(near)
	if cap(p.sums) < n+2 {
		p.sums = make([]int16, n+2)
	}
	all := p.sums[:n+2]
	simd.Weigh(all, near, far)
	dst := p.row[:2*n]
	whole := n &^ 15
	if whole > 0 {
		doubleAVX2(&dst[0], &all[1], whole, even, odd)
	}
	for i := whole; i < n; i++ {
		dst[2*i] = uint8((3*all[i+1] + all[i] + even) >> 4)
		dst[2*i+1] = uint8((3*all[i+1] + all[i+2] + odd) >> 4)
	}
}

// sum4 is three times a sample plus the one in the other row, for four samples.
func sum4(near, far []byte) uint64 {
	return 3*spread(binary.LittleEndian.Uint32(near)) + spread(binary.LittleEndian.Uint32(far))
}

// repeat writes each sample times times. dst is a multiple of that long.
func repeat(dst, src []byte, times int) {
	for i := range len(dst) / times {
		for j := range times {
			dst[i*times+j] = src[i]
		}
	}
}
