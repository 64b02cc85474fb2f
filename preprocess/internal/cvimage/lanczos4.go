package cvimage

import (
	"math"
	"sync"
)

// lanczosWeights is interpolateLanczos4: the weights of the eight pixels around a position that is
// x beyond the fourth.
func lanczosWeights(x float32) (weights [8]int16) {
	const s45 = 0.70710678118654752440084436210485
	turns := [8][2]float64{{1, 0}, {-s45, -s45}, {0, 1}, {s45, -s45}, {-1, 0}, {s45, s45}, {0, -1},
		{-s45, s45}}
	sin, cos := math.Sincos(float64(float64(-(x+3))*math.Pi) * 0.25)
	var exact [8]float32
	var sum float32
	for i, turn := range turns {
		distance := x + 3 - float32(i)
		if math.Abs(float64(distance)) >= float64(float32(1e-6)) {
			y := float64(float64(-distance)*math.Pi) * 0.25
			exact[i] = float32((float64(turn[0]*sin) + float64(turn[1]*cos)) / float64(y*y))
		} else {
			exact[i] = 1e30
		}
		sum += exact[i]
	}
	sum = 1 / sum
	for i, w := range exact {
		weights[i] = fixed(float32(w * sum))
	}
	return weights
}

// lanczosTap is where a pixel of the result comes from: eight pixels, of which the fourth is before
// it.
type lanczosTap struct {
	before  int
	weights [8]int16
}

type lanczosBuffers struct {
	x, y  []lanczosTap
	lines [8][]int32
}

var lanczosPool = sync.Pool{New: func() any { return new(lanczosBuffers) }}

func lanczosTaps(taps []lanczosTap, s scale) []lanczosTap {
	taps = taps[:0]
	for i := range s.out {
		before, beyond := s.position(i)
		taps = append(taps, lanczosTap{before, lanczosWeights(beyond)})
	}
	return taps
}

// lanczos4 is resizeGeneric_ with HResizeLanczos4 and VResizeLanczos4, both in integers. The edges
// repeat.
func (s size) lanczos4(dst, src []uint8, x, y scale) {
	b := lanczosPool.Get().(*lanczosBuffers)
	defer lanczosPool.Put(b)
	b.x, b.y = lanczosTaps(b.x, x), lanczosTaps(b.y, y)
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	var made [8]int
	for i := range b.lines {
		made[i] = -1
		if cap(b.lines[i]) < outStride {
			b.lines[i] = make([]int32, outStride)
		}
		b.lines[i] = b.lines[i][:outStride]
	}
	for i, tap := range b.y {
		var lines [8][]int32
		for k := range lines {
			row := min(max(tap.before-3+k, 0), s.height-1)
			lines[k] = b.lines[row&7]
			if made[row&7] != row {
				made[row&7] = row
				lanczosRow(lines[k], src[stride*row:][:stride], s.channels, b.x)
			}
		}
		lanczosBlend(dst[outStride*i:][:outStride], &lines, &tap.weights)
	}
}

func lanczosRow(out []int32, row []uint8, channels int, taps []lanczosTap) {
	last := len(row)/channels - 1
	for i := range taps {
		tap := &taps[i]
		for c := range channels {
			sum := int32(0)
			for k, w := range tap.weights {
				at := min(max(tap.before-3+k, 0), last)
				sum += int32(row[at*channels+c]) * int32(w)
			}
			out[c] = sum
		}
		out = out[channels:]
	}
}

func lanczosBlend(out []uint8, lines *[8][]int32, weights *[8]int16) {
	for i := range out {
		sum := int32(1 << 21)
		for k, w := range weights {
			sum += lines[k][i] * int32(w)
		}
		out[i] = uint8(min(max(sum>>22, 0), 255))
	}
}
