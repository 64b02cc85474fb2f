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
	made    columnsKey
	at      []int32 // where the first of the four pixels begins in its row, maybe before it
	weights [][4]float32
	lines   [4][]float32
	// Pixels of the result from left to right have all their pixels inside the row; of them, those
	// up to body are added in another order.
	left, right, body int
	runs              []cubicRun // with vectors
	head, tail        []uint8    // the ends of a row, with the pixels at its edges repeated
	tailAt            int        // the pixel that tail begins with
	chained           []float32  // pixels of one channel in four values
}

// cubicRun is pixels that vectors make.
type cubicRun struct {
	first, count int
	order        cubicOrder
	from         cubicSource
	at           []int32   // in that
	weights      []float32 // as vectors take them
}

// cubicOrder is the order in which the products of four pixels are added.
type cubicOrder int

const (
	oneByOne   cubicOrder = iota // ((0 + 1) + 2) + 3, fused
	pairs                        // of one channel (0 + 1) + (2 + 3), of four (0 + 2) + (1 + 3), fused
	crossPairs                   // of four channels, (3 + 0) + (2 + 1), fused
)

// cubicSource is what a run reads: the row, or an end of it.
type cubicSource int

const (
	wholeRow cubicSource = iota
	head
	tail
)

const (
	edgePixels = 2  // that a tap reaches over an edge at most
	endPixels  = 6  // of the row that an end holds at most
	readBytes  = 16 // that vectors read of a tap of three or four channels
)

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
	b.left, b.right, b.body = left, right, left+(right-left)&^3
	if !hasVectors {
		return
	}
	size := channels*(endPixels+2*edgePixels) + readBytes
	b.head, b.tail = grow(b.head, size), grow(b.tail, size)
	b.tailAt = max(0, s.in-endPixels)
	b.runs = b.runs[:0]
	b.addRun(0, left, channels, oneByOne, head)
	switch channels {
	case 1:
		b.addRun(left, b.body, channels, pairs, wholeRow)
	case 3:
		right = max(left, min(right, before(b.at, readBytes, channels*s.in)))
		b.addRun(left, right, channels, oneByOne, wholeRow)
	case 4:
		b.addRun(left, b.body, channels, pairs, wholeRow)
		b.addRun(b.body, right, channels, crossPairs, wholeRow)
	}
	b.addRun(right, s.out, channels, oneByOne, tail)
}

// addRun adds the pixels from one to another. Vectors make several at a time; those too many have
// weights of 0.
func (b *cubicBuffers) addRun(from, to, channels int, order cubicOrder, source cubicSource) {
	if from == to {
		return
	}
	if cap(b.runs) == len(b.runs) {
		b.runs = append(b.runs, cubicRun{})
	} else {
		b.runs = b.runs[:len(b.runs)+1] // with its memory
	}
	r := &b.runs[len(b.runs)-1]
	r.first, r.count, r.order, r.from = from, to-from, order, source
	pixels, spread := cubicPixels(), 4
	if channels == 1 && order == pairs {
		pixels, spread = 8, 1
	}
	n := (r.count + pixels - 1) / pixels * pixels
	r.at, r.weights = grow(r.at, n), grow(r.weights, 4*spread*n)
	clear(r.at[r.count:])
	clear(r.weights[4*spread*(n-pixels):])
	begin := 0
	switch source {
	case head:
		begin = -edgePixels
	case tail:
		begin = b.tailAt
	}
	for i := range r.count {
		r.at[i] = b.at[from+i] - int32(begin*channels)
		w := b.weights[from+i]
		if order == crossPairs {
			w = [4]float32{w[3], w[2], w[0], w[1]}
		}
		for k, v := range w {
			at := ((i/pixels*4+k)*pixels + i%pixels) * spread
			for j := range spread {
				r.weights[at+j] = v
			}
		}
	}
}

// cubicDwords takes the channels of each of four pixels as dwords.
var cubicDwords = func() (dwords [5][128]uint8) {
	for _, channels := range []int{1, 3, 4} {
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

// crossDwords are cubicDwords of four channels in the order of crossPairs.
var crossDwords = func() (dwords [128]uint8) {
	for i, k := range []int{3, 2, 0, 1} {
		copy(dwords[32*i:], cubicDwords[4][32*k:32*k+32])
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
	if key := (columnsKey{x, s.channels, false}); b.made != key {
		b.made = key
		b.prepare(x, s.channels)
	}
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
				b.line(lines[k], src[stride*row:][:stride], s.channels)
			}
		}
		cubicBlend(dst[outStride*i:][:outStride], &lines, &weights, s.channels)
	}
}

// line is the horizontal pass over a row.
func (b *cubicBuffers) line(out []float32, row []uint8, channels int) {
	if !hasVectors {
		b.plain(out, row, channels, 0, len(b.at))
		return
	}
	b.ends(row, channels)
	// A run may write beyond its last pixel what the next one writes anew.
	for i := range b.runs {
		r := &b.runs[i]
		to, from := &out[lineStep(channels)*r.first], &row[0]
		switch r.from {
		case head:
			from = &b.head[0]
		case tail:
			from = &b.tail[0]
		}
		at, weights, n := &r.at[0], &r.weights[0], len(r.at)
		switch {
		case r.order == oneByOne && channels == 1:
			b.chained = grow(b.chained, 4*n)
			cubicRow3(&b.chained[0], from, at, weights, &cubicDwords[1], n)
			for j := range r.count {
				out[r.first+j] = b.chained[4*j]
			}
		case r.order == oneByOne:
			cubicRow3(to, from, at, weights, &cubicDwords[channels], n)
		case r.order == crossPairs:
			cubicRow4(to, from, at, weights, &crossDwords, n)
		case channels == 1:
			cubicRow1AVX2(to, from, at, weights, n)
		default:
			cubicRow4(to, from, at, weights, &cubicDwords[4], n)
		}
	}
	if channels == 1 {
		b.plain(out, row, channels, b.body, b.right)
	}
}

// ends copies the ends of a row and repeats the pixels at its edges.
func (b *cubicBuffers) ends(row []uint8, channels int) {
	n := edgePixels * channels
	copy(b.head[n:], row[:min(len(row), endPixels*channels)])
	for i := range n {
		b.head[i] = row[i%channels]
	}
	n = copy(b.tail, row[b.tailAt*channels:])
	for i := range edgePixels * channels {
		b.tail[n+i] = row[len(row)-channels+i%channels]
	}
}

// plain makes the pixels from one to another of a row. Where they reach over an edge, and with
// three channels, products are added one by one, fused; elsewhere two by two.
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
	if hasVectors {
		eachBlock(out, channels, func(to *uint8, value, blocks int) {
			starts := [4]*float32{
				&lines[0][value], &lines[1][value], &lines[2][value], &lines[3][value],
			}
			cubicBlock(to, &starts, w, blocks, channels == 3)
		})
		return
	}
	step := lineStep(channels)
	for i := range len(out) / channels {
		for c := range channels {
			at := step*i + c
			out[channels*i+c] = roundByte(fma(lines[0][at], w[0], lines[1][at]*w[1]) +
				fma(lines[2][at], w[2], lines[3][at]*w[3]))
		}
	}
}
