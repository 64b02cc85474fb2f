package tfimage

import (
	"math"
	"slices"
)

// A span is the pixels of the source that one of the result is made of, and their weights.
type span struct {
	start   int
	weights []float32
}

// spans are the spans of all rows, or of all columns, of a result.
type spans struct {
	all     []span
	weights []float32 // the memory of their weights
}

func (s *spans) reset(count, weights int) {
	s.all = grow(s.all, count)[:0]
	s.weights = slices.Grow(s.weights[:0], weights)
}

// add adds the span that begins at start and has the last n weights.
func (s *spans) add(start, n int) {
	end := len(s.weights)
	s.all = append(s.all, span{start, s.weights[end-n : end : end]})
}

// spans is ComputeSpansCore of scale_and_translate_op.cc. Weights of 0 that it adds at the end of a
// span are left out.
func (k kernel) spans(s spans, in, out int, antialias bool) spans {
	scale := float32(out) / float32(in)
	inverse := float32(1 / float64(scale))
	spread := float32(1)
	if antialias {
		spread = max(inverse, 1)
	}
	radius := float32(k.radius * spread)
	size := min(2*int(ceil(radius))+1, in)
	s.reset(out, out*size)
	for i := range out {
		at := float32((float32(i) + 0.5) * inverse)
		if at > float32(in) {
			s.add(0, 0)
			continue
		}
		start := min(max(int(ceil(at-radius-0.5)), 0), in-1)
		end := min(max(int(floor(at+radius-0.5)), 0), in-1) + 1
		first := len(s.weights)
		sum := float32(0)
		for p := start; p < end; p++ {
			distance := float32(p) + 0.5 - at
			w := k.weight(abs(distance * float32(1/spread)))
			sum += w
			s.weights = append(s.weights, w)
		}
		normalize(s.weights[first:], sum)
		s.add(start, end-start)
	}
	return s
}

// normalize divides weights by their sum. Where that is next to 0 the weights are 0.
func normalize(weights []float32, sum float32) {
	if abs(sum) < minSum {
		clear(weights)
		return
	}
	scale := 1 / sum
	for i := range weights {
		weights[i] *= scale
	}
}

// minSum is 1000 times the smallest normal float32.
const minSum = float32(1000 * 0x1p-126)

func abs(x float32) float32 { return float32(math.Abs(float64(x))) }

// cubicTable holds the weights of Keys's cubic (a = -0.5) at 0 to 1 and, each following the one a
// pixel nearer, at 1 to 2, in steps of 1/1024: InitCoeffsTable of resize_bicubic_op.cc.
var cubicTable = func() (t [2 * (cubicSteps + 1)]float32) {
	const a = -0.5
	for i := range cubicSteps + 1 {
		x := float64(i) / cubicSteps
		t[2*i] = float32(float64(float64(float64((a+2)*x)-(a+3))*x)*x + 1)
		x++
		t[2*i+1] = float32(float64(float64(float64(float64(a*x)-5*a)*x)+8*a)*x - 4*a)
	}
	return t
}()

const cubicSteps = 1 << 10

// cubicSpans is GetWeightsAndIndices of resize_bicubic_op.cc, with half-pixel centres. Pixels
// beyond the edge, which have the weight 0 there, are left out.
func cubicSpans(s spans, in, out int) spans {
	s.reset(out, 4*out)
	scale := scaleOf(in, out)
	for i := range out {
		at := halfPixel(i, scale)
		p := int(floor(at))
		step := int(math.RoundToEven(float64((at - float32(p)) * cubicSteps)))
		all := [4]float32{
			cubicTable[2*step+1], cubicTable[2*step],
			cubicTable[2*(cubicSteps-step)], cubicTable[2*(cubicSteps-step)+1],
		}
		start := max(p-1, 0)
		end := min(p+3, in)
		first := len(s.weights)
		sum := float32(0)
		for j := start; j < end; j++ {
			w := all[j-p+1]
			sum += w
			s.weights = append(s.weights, w)
		}
		if abs(sum) >= minSum {
			normalize(s.weights[first:], sum)
		}
		s.add(start, end-start)
	}
	return s
}

// separable applies s.rows and then, to each row of the result, s.columns.
func separable[T pixels](dst []float32, src []T, from Size, channels int, s *scratch) {
	stride := from.Width * channels
	width := len(s.columns.all) * channels
	s.lines[0] = grow(s.lines[0], stride+slack)
	line := s.lines[0]
	for y, r := range s.rows.all {
		gatherRows(line[:stride], src[r.start*stride:], stride, r.weights, 1)
		gatherColumns(dst[y*width:(y+1)*width], line, channels, s.columns.all)
	}
}

// gatherRowsGo is [gatherRows] in Go.
func gatherRowsGo[T pixels](out []float32, rows []T, stride int, weights []float32, scale float32) {
	clear(out)
	for i, w := range weights {
		row := rows[i*stride:][:len(out)]
		for j, v := range row {
			out[j] += float32(w * float32(v))
		}
	}
	if scale != 1 {
		for j := range out {
			out[j] *= scale
		}
	}
}

// gatherColumnsGo is [gatherColumns] in Go.
func gatherColumnsGo[T pixels](out []float32, row []T, channels int, all []span) {
	switch channels {
	case 1:
		for x, s := range all {
			sum := float32(0)
			p := row[s.start:][:len(s.weights)]
			for i, w := range s.weights {
				sum += float32(w * float32(p[i]))
			}
			out[x] = sum
		}
	case 3:
		for x, s := range all {
			var a, b, c float32
			p := row[3*s.start:]
			for _, w := range s.weights {
				q := p[:3]
				a += float32(w * float32(q[0]))
				b += float32(w * float32(q[1]))
				c += float32(w * float32(q[2]))
				p = p[3:]
			}
			o := out[3*x : 3*x+3]
			o[0], o[1], o[2] = a, b, c
		}
	default:
		for x, s := range all {
			var a, b, c, d float32
			p := row[4*s.start:]
			for _, w := range s.weights {
				q := p[:4]
				a += float32(w * float32(q[0]))
				b += float32(w * float32(q[1]))
				c += float32(w * float32(q[2]))
				d += float32(w * float32(q[3]))
				p = p[4:]
			}
			o := out[4*x : 4*x+4]
			o[0], o[1], o[2], o[3] = a, b, c, d
		}
	}
}
