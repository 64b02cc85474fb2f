package cvimage

import (
	"math"
	"sync"
)

var nearestPool = sync.Pool{New: func() any { return new([]int32) }}

// nearest is resizeNN.
func (s size) nearest(dst, src []uint8, x, y scale) {
	list := nearestPool.Get().(*[]int32)
	defer nearestPool.Put(list)
	at := grow(*list, s.outWidth)
	*list = at
	for i := range at {
		at[i] = int32(s.channels * x.nearest(i))
	}
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
	// Four bytes are read of each pixel, and four written for three.
	vectors := 0
	if hasVectors {
		vectors = before(at[:max(0, len(at)-2)], 4, stride) &^ 7
	}
	last := -1
	for i := range s.outHeight {
		out := dst[outStride*i:][:outStride]
		from := y.nearest(i)
		if from == last {
			copy(out, dst[outStride*(i-1):])
			continue
		}
		last = from
		row := src[stride*from:][:stride]
		if vectors > 0 {
			switch s.channels {
			case 1:
				nearest1AVX2(&out[0], &row[0], &at[0], vectors)
			case 3:
				nearest3AVX2(&out[0], &row[0], &at[0], vectors)
			case 4:
				nearest4AVX2(&out[0], &row[0], &at[0], vectors)
			}
			out = out[vectors*s.channels:]
		}
		nearestRow(out, row, at[vectors:], s.channels)
	}
}

// nearestRow copies the pixels of a row that begin at the offsets.
func nearestRow(out, row []uint8, at []int32, channels int) {
	switch channels {
	case 1:
		for i, a := range at {
			out[i] = row[a]
		}
	case 3:
		for _, a := range at {
			*(*[3]uint8)(out) = [3]uint8(row[a:])
			out = out[3:]
		}
	case 4:
		for _, a := range at {
			*(*[4]uint8)(out) = [4]uint8(row[a:])
			out = out[4:]
		}
	}
}

// nearest returns the source pixel that pixel i is a copy of.
func (s scale) nearest(i int) int {
	return min(int(math.Floor(float64(i)*s.ratio)), s.in-1)
}
