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

type lanczosBuffers struct {
	made    columnsKey
	at      []int32 // where the first of the eight pixels begins in its row, maybe before it
	weights []int16 // in pairs, each pair once for each value of a line
	lines   [8][]int32
}

var lanczosPool = sync.Pool{New: func() any { return new(lanczosBuffers) }}

// columns prepares the horizontal pass.
func (b *lanczosBuffers) columns(s scale, channels int) {
	step := lineStep(channels)
	b.at, b.weights = grow(b.at, s.out), grow(b.weights, 8*step*s.out)
	w := b.weights
	for i := range b.at {
		before, beyond := s.position(i)
		b.at[i] = int32((before - 3) * channels)
		weights := lanczosWeights(beyond)
		for k := 0; k < 8; k += 2 {
			for range step {
				w[0], w[1] = weights[k], weights[k+1]
				w = w[2:]
			}
		}
	}
}

// lanczosWords puts the channels of pixels 0 and 1, and of 2 and 3, side by side as words.
var lanczosWords = func() (words [5][32]uint8) {
	for _, channels := range []int{3, 4} {
		for i := range words[channels] {
			channel, pixel := i%16/4, i/16*2+i%4/2
			words[channels][i] = 0x80
			if i%2 == 0 && channel < channels {
				words[channels][i] = uint8(channels*pixel + channel)
			}
		}
	}
	return words
}()

// lanczos4 is resizeGeneric_ with HResizeLanczos4 and VResizeLanczos4, both in integers. The edges
// repeat.
func (s size) lanczos4(dst, src []uint8, x, y scale) {
	b := lanczosPool.Get().(*lanczosBuffers)
	defer lanczosPool.Put(b)
	if key := (columnsKey{x, s.channels, false}); b.made != key {
		b.made = key
		b.columns(x, s.channels)
	}
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	// first to last are the pixels that vectors make.
	first, last := 0, 0
	if hasVectors {
		for first < len(b.at) && b.at[first] < 0 {
			first++
		}
		read := 8
		if s.channels > 1 {
			read = 4*s.channels + 16
		}
		last = before(b.at, read, stride)
		if s.channels == 1 {
			last = first + (last-first)&^3
		}
	}
	var made [8]int
	for i := range b.lines {
		made[i] = -1
		b.lines[i] = grow(b.lines[i], lineSize(s.outWidth, s.channels))
	}
	for i := range s.outHeight {
		before, beyond := y.position(i)
		var lines [8][]int32
		for k := range lines {
			row := min(max(before-3+k, 0), s.height-1)
			lines[k] = b.lines[row&7]
			if made[row&7] != row {
				made[row&7] = row
				b.row(lines[k], src[stride*row:][:stride], s.channels, first, last)
			}
		}
		weights := lanczosWeights(beyond)
		lanczosBlend(dst[outStride*i:][:outStride], &lines, &weights, s.channels)
	}
}

// row is the horizontal pass over a row, with vectors for the pixels first to last.
func (b *lanczosBuffers) row(out []int32, row []uint8, channels, first, last int) {
	step := lineStep(channels)
	if last <= first {
		b.plain(out, row, channels, 0, len(b.at))
		return
	}
	b.plain(out, row, channels, 0, first)
	if channels == 1 {
		lanczosRow1AVX2(&out[first], &row[0], &b.at[first], &b.weights[8*first], last-first)
	} else {
		lanczosRowAVX2(&out[step*first], &row[0], &b.at[first], &b.weights[8*step*first],
			&lanczosWords[channels], 4*channels, last-first)
	}
	b.plain(out, row, channels, last, len(b.at))
}

// plain makes the pixels from one to another of a row.
func (b *lanczosBuffers) plain(out []int32, row []uint8, channels, from, to int) {
	step, end := lineStep(channels), len(row)-channels
	for i := from; i < to; i++ {
		w := b.weights[8*step*i:]
		for c := range channels {
			sum := int32(0)
			for k := range 8 {
				at := min(max(int(b.at[i])+k*channels, 0), end)
				sum += int32(row[at+c]) * int32(w[k/2*2*step+k%2])
			}
			out[step*i+c] = sum
		}
	}
}

// lanczosBlend is the vertical pass for a row.
func lanczosBlend(out []uint8, lines *[8][]int32, weights *[8]int16, channels int) {
	var w [8]int32
	for k, v := range weights {
		w[k] = int32(v)
	}
	if hasVectors {
		eachBlock(out, channels, func(to *uint8, value, blocks int) {
			var starts [8]*int32
			for k := range starts {
				starts[k] = &lines[k][value]
			}
			lanczosBlendAVX2(to, &starts, &w, blocks, channels == 3)
		})
		return
	}
	step := lineStep(channels)
	for i := range len(out) / channels {
		for c := range channels {
			sum := int32(1 << 21)
			for k, v := range w {
				sum += lines[k][step*i+c] * v
			}
			out[channels*i+c] = uint8(min(max(sum>>22, 0), 255))
		}
	}
}
