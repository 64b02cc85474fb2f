package cvimage

import (
	"math"
	"sync"
)

// The wheel resizes INTER_CUBIC with Intel IPP 2026.0, whose source is not public. What it computes
// was found by comparing with it, as the code for processors with AVX-512 does it: weights from
// float64 rounded to float32, then float32 sums along rows and down columns, whose order and fused
// multiplications depend on the channels and on the place in the row.

// minCubic is the length of the shortest side that IPP resizes.
const minCubic = 4

// smoothTap is where a pixel of the result comes from: four pixels, of which the second is before
// it.
type smoothTap struct {
	before  int
	weights [4]float32
}

// cubicTaps fills a list with the taps of a side. The distance to the pixel before is rounded to
// float32, and again as if it were in [1, 2).
func cubicTaps(taps []smoothTap, s scale) []smoothTap {
	taps = taps[:0]
	for i := range s.out {
		at := float64((float64(i)+0.5)*float64(s.in))/float64(s.out) - 0.5
		before := math.Floor(at)
		x := float64((float32(at-before) + 1) - 1)
		y := 1 - x
		taps = append(taps, smoothTap{int(before), [4]float32{
			float32(outer(1 + x)), float32(inner(x)), float32(inner(y)), float32(outer(1 + y)),
		}})
	}
	return taps
}

// inner and outer are the cubic with the parameters B = 0 and C = 0.75, at distances to 1 and to 2.
func inner(x float64) float64 { return float64(float64((float64(1.25*x)-2.25)*x)*x) + 1 }
func outer(x float64) float64 { return float64(float64(float64(float64(-0.75*x)+3.75)*x)-6)*x + 3 }

// fma is a product and a sum with one rounding.
func fma(a, b, c float32) float32 {
	product := float64(a) * float64(b) // exact
	sum := product + float64(c)
	const half = 1 << 28 // of the last place of a float32, in a float64
	if math.Float64bits(sum)&(2*half-1) == half {
		// The sum was rounded to halfway between two float32: what was lost decides.
		t := sum - product
		lost := (product - (sum - t)) + (float64(c) - t)
		if lost > 0 == (sum > 0) && lost != 0 {
			sum = math.Float64frombits(math.Float64bits(sum) + 1)
		} else if lost != 0 {
			sum = math.Float64frombits(math.Float64bits(sum) - 1)
		}
	}
	return float32(sum)
}

type cubicBuffers struct {
	x, y  []smoothTap
	lines [4][]float32
}

var cubicPool = sync.Pool{New: func() any { return new(cubicBuffers) }}

// cubic is INTER_CUBIC. The edges repeat.
func (s size) cubic(dst, src []uint8, x, y scale) {
	if s.width < minCubic || s.height < minCubic {
		s.cubicSmall(dst, src, x, y)
		return
	}
	b := cubicPool.Get().(*cubicBuffers)
	defer cubicPool.Put(b)
	b.x, b.y = cubicTaps(b.x, x), cubicTaps(b.y, y)
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	var made [4]int
	for i := range b.lines {
		made[i] = -1
		if cap(b.lines[i]) < outStride {
			b.lines[i] = make([]float32, outStride)
		}
		b.lines[i] = b.lines[i][:outStride]
	}
	for i := range b.y {
		tap := &b.y[i]
		var lines [4][]float32
		for k := range lines {
			row := min(max(tap.before-1+k, 0), s.height-1)
			lines[k] = b.lines[row&3]
			if made[row&3] != row {
				made[row&3] = row
				cubicRow(lines[k], src[stride*row:][:stride], s.channels, b.x)
			}
		}
		cubicBlend(dst[outStride*i:][:outStride], &lines, &tap.weights)
	}
}

// cubicRow is the horizontal pass over a row. Where taps reach over an edge, and with three channels,
// products are added one by one, fused; elsewhere two by two.
func cubicRow(out []float32, row []uint8, channels int, taps []smoothTap) {
	width := len(row) / channels
	left, right := 0, len(taps)
	for left < right && taps[left].before < 1 {
		left++
	}
	for right > left && taps[right-1].before+2 >= width {
		right--
	}
	body := left + (right-left)&^3
	for i := range taps {
		tap := &taps[i]
		w := &tap.weights
		for c := range channels {
			var p [4]float32
			for k := range p {
				p[k] = float32(row[min(max(tap.before-1+k, 0), width-1)*channels+c])
			}
			var sum float32
			switch {
			case channels == 3 || i < left || i >= right:
				sum = fma(p[3], w[3], fma(p[2], w[2], fma(p[1], w[1], p[0]*w[0])))
			case channels == 1 && i < body:
				sum = float32(float32(p[0]*w[0])+float32(p[1]*w[1])) +
					float32(float32(p[2]*w[2])+float32(p[3]*w[3]))
			case channels == 1:
				sum = float32(float32(p[0]*w[0])+float32(p[2]*w[2])) +
					float32(float32(p[1]*w[1])+float32(p[3]*w[3]))
			case i < body:
				sum = fma(p[2], w[2], p[0]*w[0]) + fma(p[3], w[3], p[1]*w[1])
			default:
				sum = fma(p[0], w[0], p[3]*w[3]) + fma(p[1], w[1], p[2]*w[2])
			}
			out[channels*i+c] = sum
		}
	}
}

// cubicBlend is the vertical pass for a row.
func cubicBlend(out []uint8, lines *[4][]float32, w *[4]float32) {
	for i := range out {
		out[i] = roundByte(fma(lines[0][i], w[0], lines[1][i]*w[1]) +
			fma(lines[2][i], w[2], lines[3][i]*w[3]))
	}
}
