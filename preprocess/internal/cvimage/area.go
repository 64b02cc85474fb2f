package cvimage

import (
	"math"
	"sync"
)

// halve averages 2 x 2 pixels: resizeAreaFast_ with its vector operation.
func (s size) halve(dst, src []uint8) {
	c := s.channels
	stride, outStride := c*s.width, c*s.outWidth
	for y := range s.outHeight {
		out := dst[outStride*y:][:outStride]
		upper, lower := src[2*stride*y:][:stride], src[(2*y+1)*stride:][:stride]
		for len(out) >= c {
			u, l := upper[:2*c], lower[:2*c]
			for i := range out[:c] {
				out[i] = uint8((int(u[i]) + int(u[i+c]) + int(l[i]) + int(l[i+c]) + 2) >> 2)
			}
			out, upper, lower = out[c:], upper[2*c:], lower[2*c:]
		}
	}
}

// average averages across x down pixels: resizeAreaFast_.
func (s size) average(dst, src []uint8, across, down int) {
	c := s.channels
	stride, outStride := c*s.width, c*s.outWidth
	part := 1 / float32(across*down)
	sums := make([]int32, outStride)
	for y := range s.outHeight {
		clear(sums)
		for i := range down {
			row := src[(y*down+i)*stride:][:stride]
			addRuns(sums, row, c, across)
		}
		out := dst[outStride*y:][:outStride]
		for i, sum := range sums {
			out[i] = roundByte(float32(sum) * part)
		}
	}
}

// addRuns adds each run of across pixels of a row to the sum of its pixel.
func addRuns(sums []int32, row []uint8, channels, across int) {
	switch channels {
	case 1:
		for i := range sums {
			sum := sums[i]
			for _, v := range row[:across] {
				sum += int32(v)
			}
			sums[i] = sum
			row = row[across:]
		}
	case 3:
		for len(sums) >= 3 {
			a, b, c := sums[0], sums[1], sums[2]
			for run := row[:3*across]; len(run) >= 3; run = run[3:] {
				a, b, c = a+int32(run[0]), b+int32(run[1]), c+int32(run[2])
			}
			sums[0], sums[1], sums[2] = a, b, c
			sums, row = sums[3:], row[3*across:]
		}
	case 4:
		for len(sums) >= 4 {
			a, b, c, d := sums[0], sums[1], sums[2], sums[3]
			for run := row[:4*across]; len(run) >= 4; run = run[4:] {
				a, b = a+int32(run[0]), b+int32(run[1])
				c, d = c+int32(run[2]), d+int32(run[3])
			}
			sums[0], sums[1], sums[2], sums[3] = a, b, c, d
			sums, row = sums[4:], row[4*across:]
		}
	}
}

// roundByte is saturate_cast<uchar>.
func roundByte(v float32) uint8 { return uint8(min(max(math.RoundToEven(float64(v)), 0), 255)) }

// A share is a pixel of the source, the pixel of the result that it lies in, and how much of that it
// makes: DecimateAlpha.
type share struct {
	from, to int32
	weight   float32
}

// shares is computeResizeAreaTab.
func (s scale) shares(list []share) []share {
	list = list[:0]
	for i := range s.out {
		from := float64(float64(i) * s.ratio)
		to := from + s.ratio
		cell := min(s.ratio, float64(s.in)-from)
		last := min(int(math.Floor(to)), s.in-1)
		first := min(int(math.Ceil(from)), last)
		if part := float64(first) - from; part > 1e-3 {
			list = append(list, share{int32(first - 1), int32(i), float32(part / cell)})
		}
		for j := first; j < last; j++ {
			list = append(list, share{int32(j), int32(i), float32(1 / cell)})
		}
		if part := to - float64(last); part > 1e-3 {
			list = append(list, share{int32(last), int32(i), float32(min(part, 1, cell) / cell)})
		}
	}
	return list
}

type areaBuffers struct {
	x, y      []share
	line, sum []float32
}

var areaPool = sync.Pool{New: func() any { return new(areaBuffers) }}

// area is resizeArea_: float32 sums, first along rows, then down.
func (s size) area(dst, src []uint8, x, y scale) {
	b := areaPool.Get().(*areaBuffers)
	defer areaPool.Put(b)
	b.x, b.y = x.shares(b.x), y.shares(b.y)
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	if cap(b.line) < outStride {
		b.line, b.sum = make([]float32, outStride), make([]float32, outStride)
	}
	line, sum := b.line[:outStride], b.sum[:outStride]
	clear(sum)
	for i, part := range b.y {
		areaRow(line, src[stride*int(part.from):][:stride], s.channels, b.x)
		if i > 0 && part.to != b.y[i-1].to {
			clear(sum)
		}
		for j, v := range line {
			sum[j] += float32(v * part.weight)
		}
		if i+1 == len(b.y) || b.y[i+1].to != part.to {
			out := dst[outStride*int(part.to):][:outStride]
			for j, v := range sum {
				out[j] = roundByte(v)
			}
		}
	}
}

// areaRow sums the shares of a row's pixels.
func areaRow(out []float32, row []uint8, channels int, shares []share) {
	clear(out)
	for _, s := range shares {
		from, to := row[int(s.from)*channels:][:channels], out[int(s.to)*channels:][:channels]
		for c, v := range from {
			to[c] += float32(float32(v) * s.weight)
		}
	}
}
