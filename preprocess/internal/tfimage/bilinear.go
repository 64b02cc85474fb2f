package tfimage

// A lerp is where a row or a column lies between two of the source.
type lerp struct {
	lower, upper int
	weight       float32 // of the upper one
}

// lerpOf is compute_interpolation_weights of resize_bilinear_op.cc.
func lerpOf(i, in, out int) lerp {
	at := halfPixel(i, scaleOf(in, out))
	f := floor(at)
	return lerp{min(max(int(f), 0), in-1), min(int(ceil(at)), in-1), at - f}
}

// bilinear is ResizeBilinear with half-pixel centres: first along the rows, then between them, each
// a + (b - a) * weight. The rows are done once for all that lie between the same two.
func bilinear[T pixels](dst []float32, src []T, from, to Size, channels int, s *scratch) {
	s.lerps = grow(s.lerps, to.Width)
	for x := range s.lerps {
		l := lerpOf(x, from.Width, to.Width)
		l.lower *= channels
		l.upper *= channels
		s.lerps[x] = l
	}
	stride := from.Width * channels
	width := to.Width * channels
	known := [2]int{-1, -1} // the source rows in s.lines
	line := func(y, other int) []float32 {
		for i := range known {
			if known[i] == y {
				return s.lines[i]
			}
		}
		i := 0
		if known[0] == other {
			i = 1
		}
		known[i] = y
		s.lines[i] = grow(s.lines[i], width+slack)
		lerpColumns(s.lines[i], src[y*stride:], channels, s.lerps)
		return s.lines[i]
	}
	for y := range to.Height {
		l := lerpOf(y, from.Height, to.Height)
		top := line(l.lower, l.upper)
		bottom := line(l.upper, l.lower)
		lerpRows(dst[y*width:(y+1)*width], top, bottom, l.weight)
	}
}

// lerpColumnsGo is [lerpColumns] in Go, as those below are.
func lerpColumnsGo[T pixels](out []float32, row []T, channels int, lerps []lerp) {
	switch channels {
	case 1:
		for x, l := range lerps {
			a, b := float32(row[l.lower]), float32(row[l.upper])
			out[x] = a + float32((b-a)*l.weight)
		}
	default:
		for x, l := range lerps {
			a, b := row[l.lower:l.lower+channels], row[l.upper:l.upper+channels]
			o := out[x*channels : (x+1)*channels]
			for c := range o {
				v := float32(a[c])
				o[c] = v + float32((float32(b[c])-v)*l.weight)
			}
		}
	}
}

func lerpRowsGo(out, top, bottom []float32, weight float32) {
	top, bottom = top[:len(out)], bottom[:len(out)]
	for i, a := range top {
		out[i] = a + float32((bottom[i]-a)*weight)
	}
}
