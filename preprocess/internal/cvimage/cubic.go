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

// cubicAt returns the pixel before pixel i of the result and the weights of the four around it. The
// distance to the pixel before is rounded to float32, and again as if it were in [1, 2).
func (s scale) cubicAt(i int) (before int, weights [4]float32) {
	at := float64((float64(i)+0.5)*float64(s.in))/float64(s.out) - 0.5
	floor := math.Floor(at)
	x := float64((float32(at-floor) + 1) - 1)
	y := 1 - x
	return int(floor), [4]float32{
		float32(outer(1 + x)), float32(inner(x)), float32(inner(y)), float32(outer(1 + y)),
	}
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
	at      []int32 // where the first of the four pixels begins in its row, maybe before it
	weights [][4]float32
	spread  []float32 // the weights as vectors take them
	lines   [4][]float32
	columns // of the pixels of the result
}

// columns says how the pixels of a row are made: those from left to right have all their pixels
// inside it; of them, those up to body are added in another order, and those from first to last are
// made by vectors.
type columns struct{ left, right, body, first, last int }

var cubicPool = sync.Pool{New: func() any { return new(cubicBuffers) }}

// prepare prepares the horizontal pass.
func (b *cubicBuffers) prepare(s scale, channels int) {
	b.at, b.weights = grow(b.at, s.out), grow(b.weights, s.out)
	left, right := 0, s.out
	for i := range b.at {
		before, weights := s.cubicAt(i)
		b.at[i], b.weights[i] = int32((before-1)*channels), weights
		if before < 1 {
			left = i + 1
		} else if before+2 >= s.in {
			right = min(right, i)
		}
	}
	left = min(left, right)
	b.columns = columns{left: left, right: right, body: left + (right-left)&^3}
	if !hasVectors {
		return
	}
	b.first = left
	switch channels {
	case 1:
		b.last = left + (b.body-left)&^7
		b.spread = grow(b.spread, 4*(b.last-b.first))
		for i := range b.last - b.first {
			for k, w := range b.weights[b.first+i] {
				b.spread[i/8*32+8*k+i%8] = w
			}
		}
		return
	case 3:
		b.last = min(before(b.at, 16, channels*s.in), right)
		b.last = left + max(0, b.last-left)&^1
	case 4:
		b.last = b.body
	}
	b.spread = grow(b.spread, 16*(b.last-b.first))
	for i := range b.last - b.first {
		for k, w := range b.weights[b.first+i] {
			at := b.spread[i/2*32+8*k+i%2*4:][:4]
			at[0], at[1], at[2], at[3] = w, w, w, w
		}
	}
}

// cubicDwords takes the channels of each of four pixels as dwords.
var cubicDwords = func() (dwords [5][128]uint8) {
	for _, channels := range []int{3, 4} {
		for i := range dwords[channels] {
			channel, pixel := i%16/4, i/32
			dwords[channels][i] = 0x80
			if i%4 == 0 && channel < channels {
				dwords[channels][i] = uint8(channels*pixel + channel)
			}
		}
	}
	return dwords
}()

// cubic is INTER_CUBIC. The edges repeat.
func (s size) cubic(dst, src []uint8, x, y scale) {
	if s.width < minCubic || s.height < minCubic {
		s.cubicSmall(dst, src, x, y)
		return
	}
	b := cubicPool.Get().(*cubicBuffers)
	defer cubicPool.Put(b)
	b.prepare(x, s.channels)
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	var made [4]int
	for i := range b.lines {
		made[i] = -1
		b.lines[i] = grow(b.lines[i], lineSize(s.outWidth, s.channels))
	}
	for i := range s.outHeight {
		before, weights := y.cubicAt(i)
		var lines [4][]float32
		for k := range lines {
			row := min(max(before-1+k, 0), s.height-1)
			lines[k] = b.lines[row&3]
			if made[row&3] != row {
				made[row&3] = row
				b.row(lines[k], src[stride*row:][:stride], s.channels)
			}
		}
		cubicBlend(dst[outStride*i:][:outStride], &lines, &weights, s.channels)
	}
}

// row is the horizontal pass over a row.
func (b *cubicBuffers) row(out []float32, row []uint8, channels int) {
	if b.last <= b.first {
		b.plain(out, row, channels, 0, len(b.at))
		return
	}
	b.plain(out, row, channels, 0, b.first)
	n, at, to := b.last-b.first, &b.at[b.first], &out[lineStep(channels)*b.first]
	switch channels {
	case 1:
		cubicRow1AVX2(to, &row[0], at, &b.spread[0], n)
	case 3:
		cubicRow3AVX2(to, &row[0], at, &b.spread[0], &cubicDwords[3], n)
	case 4:
		cubicRow4AVX2(to, &row[0], at, &b.spread[0], &cubicDwords[4], n)
	}
	b.plain(out, row, channels, b.last, len(b.at))
}

// plain makes the pixels from one to another of a row. Where they reach over an edge, and with three
// channels, products are added one by one, fused; elsewhere two by two.
func (b *cubicBuffers) plain(out []float32, row []uint8, channels, from, to int) {
	step, end := lineStep(channels), len(row)-channels
	for i := from; i < to; i++ {
		w := &b.weights[i]
		for c := range channels {
			var p [4]float32
			for k := range p {
				p[k] = float32(row[min(max(int(b.at[i])+k*channels, 0), end)+c])
			}
			var sum float32
			switch {
			case channels == 3 || i < b.left || i >= b.right:
				sum = fma(p[3], w[3], fma(p[2], w[2], fma(p[1], w[1], p[0]*w[0])))
			case channels == 1 && i < b.body:
				sum = float32(float32(p[0]*w[0])+float32(p[1]*w[1])) +
					float32(float32(p[2]*w[2])+float32(p[3]*w[3]))
			case channels == 1:
				sum = float32(float32(p[0]*w[0])+float32(p[2]*w[2])) +
					float32(float32(p[1]*w[1])+float32(p[3]*w[3]))
			case i < b.body:
				sum = fma(p[2], w[2], p[0]*w[0]) + fma(p[3], w[3], p[1]*w[1])
			default:
				sum = fma(p[0], w[0], p[3]*w[3]) + fma(p[1], w[1], p[2]*w[2])
			}
			out[step*i+c] = sum
		}
	}
}

// cubicBlend is the vertical pass for a row.
func cubicBlend(out []uint8, lines *[4][]float32, w *[4]float32, channels int) {
	blocks, pixels := lineBlocks(out, channels)
	if blocks > 0 {
		starts := [4]*float32{&lines[0][0], &lines[1][0], &lines[2][0], &lines[3][0]}
		cubicBlendAVX2(&out[0], &starts, w, blocks, channels == 3)
	}
	step := lineStep(channels)
	for i := pixels; i < len(out)/channels; i++ {
		for c := range channels {
			at := step*i + c
			out[channels*i+c] = roundByte(fma(lines[0][at], w[0], lines[1][at]*w[1]) +
				fma(lines[2][at], w[2], lines[3][at]*w[3]))
		}
	}
}
