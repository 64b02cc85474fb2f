package tfimage

// areaSpans is how resize_area_op.cc weighs the pixels that one of the result covers: as much of
// each as lies in it. The spans may reach beyond the source by a pixel, where rounding errors do.
func areaSpans(s spans, in, out int) spans {
	scale := scaleOf(in, out)
	s.reset(out, out*(int(ceil(scale))+2))
	for i := range out {
		from, to := float32(float32(i)*scale), float32(float32(i+1)*scale)
		start, end := int(floor(from)), int(ceil(to))
		for p := start; p < end; p++ {
			var w float32
			switch low, high := float32(p), float32(p+1); {
			case low < from && high > to:
				w = scale
			case low < from:
				w = high - from
			case high > to:
				w = to - low
			default:
				w = 1
			}
			s.weights = append(s.weights, w)
		}
		s.add(start, end-start)
	}
	return s
}

func (s *scratch) area(from, to Size) {
	s.rows = areaSpans(s.rows, from.Height, to.Height)
	s.columns = areaSpans(s.columns, from.Width, to.Width)
}

// resizeArea is ResizeArea: sums along the rows, then of the rows, then over the area.
func resizeArea[T pixels](dst []float32, src []T, from, to Size, channels int, s *scratch) {
	scale := float32(1 / float64(float32(scaleOf(from.Height, to.Height)*scaleOf(from.Width,
		to.Width))))
	stride := from.Width * channels
	width := to.Width * channels
	inside := len(s.columns.all)
	for inside > 0 && beyond(s.columns.all[inside-1], from.Width) {
		inside--
	}
	rows := 0 // the most rows that a row is made of
	for _, r := range s.rows.all {
		rows = max(rows, len(r.weights))
	}
	s.lines[0] = grow(s.lines[0], rows*width+slack)
	lines := s.lines[0]
	start, end := 0, 0 // of the source rows in lines
	for y, r := range s.rows.all {
		kept := max(0, end-r.start)
		if kept > 0 {
			copy(lines, lines[(r.start-start)*width:(end-start)*width])
		}
		start = r.start
		for end = start + kept; end < start+len(r.weights); end++ {
			row := src[min(end, from.Height-1)*stride:]
			out := lines[(end-start)*width:]
			gatherColumns(out, row, channels, s.columns.all[:inside])
			for x := inside; x < to.Width; x++ {
				clampedSpan(out[x*channels:(x+1)*channels], row[:stride], s.columns.all[x])
			}
		}
		gatherRows(dst[y*width:(y+1)*width], lines, width, r.weights, scale)
	}
}

func beyond(s span, in int) bool { return s.start+len(s.weights) > in }

// clampedSpan sums a span of which the last pixels lie beyond the row: there the last one stands
// for them.
func clampedSpan[T pixels](out []float32, row []T, s span) {
	clear(out)
	for i, w := range s.weights {
		at := min((s.start+i)*len(out), len(row)-len(out))
		for c := range out {
			out[c] += float32(w * float32(row[at+c]))
		}
	}
}
