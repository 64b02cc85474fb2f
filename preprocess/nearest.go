package preprocess

// resampleNearest takes for each pixel of dst the source pixel that its centre falls on:
// ImagingScaleAffine in Pillow's Geometry.c, which adds up the position step by step, rounding
// errors included.
func resampleNearest(dst, src *Image, x, y axis) {
	channels := src.Channels
	dst.grow(x.wanted(), y.wanted(), channels)
	columns := make([]int, dst.Width) // where in a row each pixel is, negative where none is
	x.eachNearest(func(i, from int) { columns[i] = channels * from })
	stride := channels * src.Width
	y.eachNearest(func(i, from int) {
		out := dst.Pix[channels*dst.Width*i:][:channels*dst.Width]
		if from < 0 {
			clear(out)
			return
		}
		row := src.Pix[stride*from:][:stride]
		if channels != 3 {
			nearestRow(out, row, columns, channels)
			return
		}
		for _, at := range columns {
			if len(out) < 3 {
				break
			}
			if uint(at)+2 < uint(len(row)) {
				out[0], out[1], out[2] = row[at], row[at+1], row[at+2]
			} else {
				out[0], out[1], out[2] = 0, 0, 0
			}
			out = out[3:]
		}
	})
}

// eachNearest calls do for each wanted pixel with the source pixel it is a copy of, -1 where there
// is none.
func (a axis) eachNearest(do func(i, from int)) {
	step := a.scale()
	pos := float64(a.lo) + float64(step*0.5)
	for i := range a.last {
		if i >= a.first {
			from := int(pos)
			if from >= a.size {
				from = -1
			}
			do(i-a.first, from)
		}
		pos += step
	}
}

// nearestRow copies the pixels at columns.
func nearestRow(out, row []uint8, columns []int, channels int) {
	for _, at := range columns {
		if at >= 0 && at+channels <= len(row) {
			copy(out[:channels], row[at:])
		} else {
			clear(out[:channels])
		}
		out = out[channels:]
	}
}
