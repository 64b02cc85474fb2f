package cvimage

import "math"

// nearest is resizeNN.
func (s size) nearest(dst, src []uint8, x, y scale) {
	columns := make([]int, s.outWidth)
	for i := range columns {
		columns[i] = s.channels * x.nearest(i)
	}
	stride, outStride := s.channels*s.width, s.channels*s.outWidth
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
		switch s.channels {
		case 1:
			for j, at := range columns {
				out[j] = row[at]
			}
		case 3:
			for _, at := range columns {
				p := row[at : at+3]
				out[0], out[1], out[2] = p[0], p[1], p[2]
				out = out[3:]
			}
		case 4:
			for _, at := range columns {
				*(*[4]uint8)(out) = [4]uint8(row[at:])
				out = out[4:]
			}
		}
	}
}

// nearest returns the source pixel that pixel i is a copy of.
func (s scale) nearest(i int) int {
	return min(int(math.Floor(float64(i)*s.ratio)), s.in-1)
}
