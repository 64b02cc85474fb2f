package cvimage

import (
	"math"
	"sync"
)

// linearTable is where the pixels of one side come from: weights[2*i] of the pixel at and
// weights[2*i+1] of the next.
type linearTable struct {
	at      []int32
	weights []int16
}

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

func (t *linearTable) add(before int, beyond float32) {
	t.at = append(t.at, int32(before))
	t.weights = append(t.weights, fixed(1-beyond), fixed(beyond))
}

// columns fills the table for the horizontal pass. Pixels beyond the edges do not exist.
func (t *linearTable) columns(s scale, area bool) {
	t.at, t.weights = t.at[:0], t.weights[:0]
	for i := range s.out {
		before, beyond := s.linearAt(i, area)
		if before < 0 {
			before, beyond = 0, 0
		}
		if before >= s.in-1 {
			before, beyond = s.in-1, 0
		}
		t.add(before, beyond)
	}
}

// rows fills the table for the vertical pass, where the edges repeat.
func (t *linearTable) rows(s scale, area bool) {
	t.at, t.weights = t.at[:0], t.weights[:0]
	for i := range s.out {
		t.add(s.linearAt(i, area))
	}
}

// linearBuffers is the memory of one linear resize.
type linearBuffers struct {
	x, y  linearTable
	lines [2][]int16
}

var linearPool = sync.Pool{New: func() any { return new(linearBuffers) }}

// linear is resizeGeneric_ with HResizeLinear and VResizeLinear. The horizontal pass has 11 bits of
// fraction, of which 4 are dropped before the vertical one.
func (s size) linear(dst, src []uint8, x, y scale, area bool) {
	b := linearPool.Get().(*linearBuffers)
	defer linearPool.Put(b)
	b.x.columns(x, area)
	b.y.rows(y, area)
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	made := [2]int{-1, -1} // the source row that each line was made of
	for i := range b.lines {
		if cap(b.lines[i]) < outStride {
			b.lines[i] = make([]int16, outStride)
		}
		b.lines[i] = b.lines[i][:outStride]
	}
	line := func(row int) []int16 {
		row = min(max(row, 0), s.height-1)
		l := b.lines[row&1]
		if made[row&1] != row {
			made[row&1] = row
			linearRow(l, src[stride*row:][:stride], s.channels, &b.x)
		}
		return l
	}
	for i, before := range b.y.at {
		upper, lower := line(int(before)), line(int(before)+1)
		linearBlend(dst[outStride*i:][:outStride], upper, lower, b.y.weights[2*i],
			b.y.weights[2*i+1])
	}
}

// linearRow is the horizontal pass over a row.
func linearRow(out []int16, row []uint8, channels int, t *linearTable) {
	last := int32(len(row)/channels - 1)
	w := t.weights
	for _, at := range t.at {
		a, b := int32(w[0]), int32(w[1])
		w = w[2:]
		left := row[int(at)*channels:]
		right := row[int(min(at+1, last))*channels:]
		for c := range channels {
			out[c] = int16((int32(left[c])*a + int32(right[c])*b) >> 4)
		}
		out = out[channels:]
	}
}

// linearBlend is the vertical pass for a row.
func linearBlend(out []uint8, upper, lower []int16, a, b int16) {
	upper, lower = upper[:len(out)], lower[:len(out)]
	for i := range out {
		out[i] = uint8((int32(a)*int32(upper[i])>>16 + int32(b)*int32(lower[i])>>16 + 2) >> 2)
	}
}
