package cvimage

import (
	"math"
	"sync"
)

// linearAt returns the pixel before pixel i of the result and the weight of the next one. With area
// it is the variant that INTER_AREA takes where a side grows.
func (s scale) linearAt(i int, area bool) (before int, beyond float32) {
	if !area {
		return s.position(i)
	}
	before = int(math.Floor(float64(i) * s.ratio))
	beyond = float32(float64(i+1) - float64(float64(before+1)*s.inverse))
	if beyond <= 0 {
		return before, 0
	}
	return before, beyond - float32(math.Floor(float64(beyond)))
}

// linearBuffers is the memory of one linear resize.
type linearBuffers struct {
	made    columnsKey
	at      []int32 // where the pixel before each one of the result begins in its row
	weights []int16 // of that pixel and of the next, once for each value of a line
	lines   [2][]int16
	// Vectors make the first of the pixels of the row itself, the rest of a copy of its end.
	vectors int
	endAt   []int32 // in the copy
	end     []uint8
}

// endSlack is how many bytes vectors read beyond the end of a row.
const endSlack = 8

// split prepares for vectors, which make so many pixels at a time.
func (b *linearBuffers) split(channels, stride, pixels int) {
	b.vectors = before(b.at, endSlack, stride) / pixels * pixels
	b.endAt = b.endAt[:0]
	if b.vectors == len(b.at) {
		return
	}
	base := b.at[b.vectors]
	b.end = grow(b.end, stride-int(base)+endSlack)
	for _, at := range b.at[b.vectors:] {
		b.endAt = append(b.endAt, at-base)
	}
	for len(b.endAt)%pixels != 0 {
		b.endAt = append(b.endAt, 0)
	}
	values := 2 * lineStep(channels)
	b.weights = append(b.weights, make([]int16, values*(b.vectors+len(b.endAt)-len(b.at)))...)
}

var linearPool = sync.Pool{New: func() any { return new(linearBuffers) }}

// columns prepares the horizontal pass. Pixels beyond the edges do not exist.
func (b *linearBuffers) columns(s scale, channels int, area bool) {
	step := lineStep(channels)
	b.at, b.weights = grow(b.at, s.out), grow(b.weights, 2*step*s.out)
	w := b.weights
	for i := range b.at {
		before, beyond := s.linearAt(i, area)
		if before < 0 {
			before, beyond = 0, 0
		}
		if before >= s.in-1 {
			before, beyond = s.in-1, 0
		}
		b.at[i] = int32(before * channels)
		left, right := fixed(1-beyond), fixed(beyond)
		for range step {
			w[0], w[1] = left, right
			w = w[2:]
		}
	}
}

// linear is resizeGeneric_ with HResizeLinear and VResizeLinear. The horizontal pass has 11 bits of
// fraction, of which 4 are dropped before the vertical one, where the edges repeat.
func (s size) linear(dst, src []uint8, x, y scale, area bool) {
	b := linearPool.Get().(*linearBuffers)
	defer linearPool.Put(b)
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	made := [2]int{-1, -1} // the source row that each line was made of
	for i := range b.lines {
		b.lines[i] = grow(b.lines[i], lineSize(s.outWidth, s.channels))
	}
	if key := (columnsKey{x, s.channels, area}); b.made != key {
		b.made = key
		b.columns(x, s.channels, area)
		if hasVectors {
			pixels := 4
			if s.channels == 1 {
				pixels = 8
			}
			b.split(s.channels, stride, pixels)
		}
	}
	line := func(row int) []int16 {
		row = min(max(row, 0), s.height-1)
		l := b.lines[row&1]
		if made[row&1] != row {
			made[row&1] = row
			b.row(l, src[stride*row:][:stride], s.channels)
		}
		return l
	}
	for i := range s.outHeight {
		before, beyond := y.linearAt(i, area)
		upper, lower := line(before), line(before+1)
		linearBlend(dst[outStride*i:][:outStride], upper, lower,
			&[2]int16{fixed(1 - beyond), fixed(beyond)}, s.channels)
	}
}

// linearWords puts the channels of two pixels side by side, as words: of the first eight bytes and
// of the second.
var linearWords = func() (words [5][64]uint8) {
	for _, channels := range []int{3, 4} {
		for i := range words[channels] {
			channel, next, half := i%16/4, i%4/2, i/32
			words[channels][i] = 0x80
			if i%2 == 0 && channel < channels {
				words[channels][i] = uint8(8*half + channels*next + channel)
			}
		}
	}
	return words
}()

// row is the horizontal pass over a row.
func (b *linearBuffers) row(out []int16, row []uint8, channels int) {
	step := lineStep(channels)
	if hasVectors {
		b.run(out, row, b.at[:b.vectors], b.weights, channels)
		if n := len(b.endAt); n > 0 {
			copy(b.end, row[b.at[b.vectors]:])
			b.run(out[step*b.vectors:], b.end, b.endAt, b.weights[2*step*b.vectors:], channels)
		}
		return
	}
	last := int32(len(row) - channels)
	w := b.weights
	for _, at := range b.at {
		left, right := row[at:][:channels], row[min(at+int32(channels), last):][:channels]
		for c, l := range left {
			out[c] = int16((int32(l)*int32(w[0]) + int32(right[c])*int32(w[1])) >> 4)
		}
		w, out = w[2*step:], out[step:]
	}
}

// run makes pixels with vectors.
func (b *linearBuffers) run(out []int16, row []uint8, at []int32, weights []int16, channels int) {
	switch {
	case len(at) == 0:
	case channels == 1:
		linearRow1AVX2(&out[0], &row[0], &at[0], &weights[0], len(at))
	default:
		linearRowAVX2(&out[0], &row[0], &at[0], &weights[0], &linearWords[channels], len(at))
	}
}

// linearBlend is the vertical pass for a row.
func linearBlend(out []uint8, upper, lower []int16, w *[2]int16, channels int) {
	if hasVectors {
		eachBlock(out, channels, func(to *uint8, value, blocks int) {
			linearBlendAVX2(to, &upper[value], &lower[value], &w[0], blocks, channels == 3)
		})
		return
	}
	step := lineStep(channels)
	a, b := int32(w[0]), int32(w[1])
	for ; len(out) >= channels; out = out[channels:] {
		for c := range channels {
			out[c] = uint8((a*int32(upper[c])>>16 + b*int32(lower[c])>>16 + 2) >> 2)
		}
		upper, lower = upper[step:], lower[step:]
	}
}
