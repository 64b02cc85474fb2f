package cvimage

import (
	"math"
	"sync"
)

// halvePairs puts the channels of two pixels side by side, for each pair in sixteen bytes.
var halvePairs = func() (pairs [5][32]uint8) {
	for _, channels := range []int{1, 3, 4} {
		step := lineStep(channels)
		for i := range pairs[channels] {
			at := i % 16
			pair, channel, next := at/(2*step), at/2%step, at%2
			pairs[channels][i] = 0x80
			if channel < channels {
				pairs[channels][i] = uint8(channels*(2*pair+next) + channel)
			}
		}
	}
	return pairs
}()

// halve averages 2 x 2 pixels: resizeAreaFast_ with its vector operation.
func (s size) halve(dst, src []uint8) {
	c := s.channels
	stride, outStride := c*s.width, c*s.outWidth
	// Two times step bytes of a row become outStep bytes; with three channels four more are read
	// and written.
	step, outStep, slack := 16, 16, 0
	if c == 3 {
		step, outStep, slack = 12, 12, 4
	}
	for y := range s.outHeight {
		out := dst[outStride*y:][:outStride]
		upper, lower := src[2*stride*y:][:stride], src[(2*y+1)*stride:][:stride]
		if blocks := max(0, len(out)-slack) / outStep; hasVectors && blocks > 0 {
			halveAVX2(&out[0], &upper[0], &lower[0], &halvePairs[c], step, outStep, blocks)
			out = out[blocks*outStep:]
			upper, lower = upper[2*blocks*step:], lower[2*blocks*step:]
		}
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
func roundByte(v float32) uint8 {
	return uint8(min(max(int32(math.RoundToEven(float64(v))), 0), 255))
}

// A share is a pixel of the source, the pixel of the result that it lies in, and how much of that
// it makes: DecimateAlpha.
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

// areaRun is the pixels of a row that make one of the result: where the first begins, and how many
// they are.
type areaRun struct{ at, pixels int32 }

type areaBuffers struct {
	made      columnsKey
	x, y      []share
	runs      []areaRun
	weights   []float32 // of the pixels of all runs
	line, sum []float32
}

var areaPool = sync.Pool{New: func() any { return new(areaBuffers) }}

// columns turns the shares of a row into runs.
func (b *areaBuffers) columns(s scale, channels int) {
	b.x = s.shares(b.x)
	b.runs, b.weights = b.runs[:0], b.weights[:0]
	for i, part := range b.x {
		if i == 0 || part.to != b.x[i-1].to {
			b.runs = append(b.runs, areaRun{at: part.from * int32(channels)})
		}
		b.runs[len(b.runs)-1].pixels++
		b.weights = append(b.weights, part.weight)
	}
}

// area is resizeArea_: float32 sums, first along rows, then down.
func (s size) area(dst, src []uint8, x, y scale) {
	b := areaPool.Get().(*areaBuffers)
	defer areaPool.Put(b)
	if key := (columnsKey{x, s.channels, true}); b.made != key {
		b.made = key
		b.columns(x, s.channels)
	}
	b.y = y.shares(b.y)
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	used, n := lineStep(s.channels)*s.outWidth, lineSize(s.outWidth, s.channels)
	b.line, b.sum = grow(b.line, n), grow(b.sum, n)
	// Four bytes are read of each pixel; the last ones of a row are left to plain code.
	vectors, parts := 0, 0
	for hasVectors && vectors < len(b.runs) {
		r := b.runs[vectors]
		if int(r.at)+s.channels*int(r.pixels-1)+4 > stride {
			break
		}
		vectors++
		parts += int(r.pixels)
	}
	clear(b.sum)
	for i, part := range b.y {
		row := src[stride*int(part.from):][:stride]
		if vectors > 0 {
			areaRowAVX2(&b.line[0], &row[0], &b.runs[0], &b.weights[0], s.channels,
				4*lineStep(s.channels), vectors)
		}
		areaRow(b.line[lineStep(s.channels)*vectors:], row, s.channels, b.runs[vectors:],
			b.weights[parts:])
		if i > 0 && part.to != b.y[i-1].to {
			clear(b.sum)
		}
		addWeighted(b.sum[:used], b.line, part.weight)
		if i+1 == len(b.y) || b.y[i+1].to != part.to {
			roundLine(dst[outStride*int(part.to):][:outStride], b.sum, s.channels)
		}
	}
}

// areaRow sums the shares of a row's pixels.
func areaRow(out []float32, row []uint8, channels int, runs []areaRun, weights []float32) {
	for _, r := range runs {
		var sum [4]float32
		from := row[r.at:]
		for _, w := range weights[:r.pixels] {
			for c, v := range from[:channels] {
				sum[c] += float32(float32(v) * w)
			}
			from = from[channels:]
		}
		weights = weights[r.pixels:]
		out = out[copy(out, sum[:lineStep(channels)]):]
	}
}

// addWeighted adds a line times a weight to a sum.
func addWeighted(sum, line []float32, weight float32) {
	n := 0
	if hasVectors && len(sum) >= 8 {
		n = len(sum) &^ 7
		areaAddAVX2(&sum[0], &line[0], weight, n/8)
	}
	for i := n; i < len(sum); i++ {
		sum[i] += float32(line[i] * weight)
	}
}

// roundLine rounds a line to bytes.
func roundLine(out []uint8, line []float32, channels int) {
	if hasVectors {
		eachBlock(out, channels, func(to *uint8, value, blocks int) {
			roundAVX2(to, &line[value], blocks, channels == 3)
		})
		return
	}
	step := lineStep(channels)
	for i := range len(out) / channels {
		for c := range channels {
			out[channels*i+c] = roundByte(line[step*i+c])
		}
	}
}
