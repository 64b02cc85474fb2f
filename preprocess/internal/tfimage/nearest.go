package tfimage

// nearest is ResizeNearestNeighbor with half-pixel centres.
func nearest[T pixels](dst []float32, src []T, from, to Size, channels int) {
	columns := make([]int, to.Width)
	for x := range columns {
		columns[x] = channels * nearestIndex(x, from.Width, to.Width)
	}
	for y := range to.Height {
		row := src[nearestIndex(y, from.Height, to.Height)*from.Width*channels:]
		out := dst[y*to.Width*channels:]
		switch channels {
		case 1:
			for x, at := range columns {
				out[x] = float32(row[at])
			}
		case 3:
			for _, at := range columns {
				p, o := row[at:at+3], out[:3]
				o[0], o[1], o[2] = float32(p[0]), float32(p[1]), float32(p[2])
				out = out[3:]
			}
		default:
			for _, at := range columns {
				p, o := row[at:at+4], out[:4]
				o[0], o[1], o[2], o[3] = float32(p[0]), float32(p[1]), float32(p[2]), float32(p[3])
				out = out[4:]
			}
		}
	}
}

func nearestIndex(i, in, out int) int {
	return max(0, min(int(floor((float32(i)+0.5)*scaleOf(in, out))), in-1))
}
