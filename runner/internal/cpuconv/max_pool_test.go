package cpuconv

import (
	"math"
	"strings"
	"testing"

	tf "github.com/galeone/tensorflow/tensorflow/go"
)

// largest computes the largest numbers of windows as they are defined.
func (s shape) largest(x []float32) []float32 {
	var list []float32
	for p := range s.n * s.outH() * s.outW() {
		image, row, column := p/s.outW()/s.outH(), p/s.outW()%s.outH(), p%s.outW()
		for c := range s.in {
			largest := math.Inf(-1)
			for i := range s.kernelH {
				for j := range s.kernelW {
					y, x1 := row*s.strideH+i-s.top, column*s.strideW+j-s.left
					if y >= 0 && y < s.h && x1 >= 0 && x1 < s.w {
						largest = math.Max(largest, float64(x[((image*s.h+y)*s.w+x1)*s.in+c]))
					}
				}
			}
			list = append(list, float32(largest))
		}
	}
	return list
}

func (b builder) maxPool(s shape, x tf.Output) tf.Output {
	b.t.Helper()
	return b.op(MaxPoolOp, "pool", map[string]any{
		"window":  []int64{s.kernelH, s.kernelW},
		"strides": []int64{s.strideH, s.strideW},
		"padding": []int64{s.top, s.bottom, s.left, s.right},
		"sizes":   []int64{s.h, s.w, s.in},
		"layouts": []int64{s.x.kind, s.x.padding, 0, 0, s.y.kind, s.y.padding},
	}, x)
}

// maxPoolGraph is the operation in a session, between convolutions that change nothing but the
// layout.
func (s shape) maxPoolGraph(t *testing.T) *opGraph {
	t.Helper()
	g := newGraph(t)
	of := &opGraph{x: g.fed("x")}
	y := g.maxPool(s, g.converted("converted", of.x, layout{}, s.x, s.h, s.w, s.in))
	of.output = g.converted("output", y, s.y, layout{}, s.outH(), s.outW(), s.in)
	of.session = g.session()
	return of
}

func TestMaxPool(t *testing.T) {
	for i, s := range []shape{
		same(2, 112, 3, 64, 64, 1, 2, 1), same(1, 9, 2, 8, 8, 1, 2, 0),
		same(3, 7, 3, 16, 16, 1, 1, 1), same(1, 1, 5, 8, 8, 1, 3, 4),
		{n: 2, h: 11, w: 150, kernelH: 4, kernelW: 3, in: 24, out: 24, groups: 1, strideH: 3,
			strideW: 1, top: 3, bottom: 0, left: 0, right: 2},
	} {
		for j, x := range []layout{{}, {kind: layoutNCHW8C}, {kind: layoutNCHW8C, padding: 3}} {
			for k, y := range []layout{
				{}, {kind: layoutTiled}, {kind: layoutNCHW8C}, {kind: layoutNCHW8C, padding: 2},
			} {
				s.x, s.y = x, y
				g, of := s.maxPoolGraph(t), s.operands(uint64(100*i+10*j+k))
				if x == y && x == (layout{}) { // a convolution makes of one such number a pixel
					of.x[0] = float32(math.NaN())
				}
				got, err := s.run(g, map[tf.Output]*tf.Tensor{g.x: feed(t, of.x, s.n, s.h, s.w,
					s.in)})
				if err != nil {
					t.Fatalf("%v: %v", s, err)
				}
				for at, want := range s.largest(of.x) {
					if got[at] != want && (want == want || got[at] == got[at]) {
						t.Fatalf("%v: element %d: want %v, got %v", s, at, want, got[at])
					}
				}
			}
		}
	}
}

// TestMaxPoolRefuses holds that what does not fit is an error.
func TestMaxPoolRefuses(t *testing.T) {
	for what, change := range map[string]func(s *shape){
		"more of nothing than a window": func(s *shape) { s.top = 3 },
		"channels":                      func(s *shape) { s.in = 4 },
		"a tiled image":                 func(s *shape) { s.x.kind = layoutTiled },
		"stride below 1":                func(s *shape) { s.strideW = 0 },
	} {
		s := same(1, 6, 3, 8, 8, 1, 2, 0)
		change(&s)
		g := newGraph(t)
		x := g.fed("x")
		of := &opGraph{x: x, output: g.maxPool(s, x), session: g.session()}
		_, err := s.run(of, map[tf.Output]*tf.Tensor{x: feed(t, make([]float32, 36*s.in), 1, 6, 6,
			s.in)})
		if err == nil || !strings.Contains(err.Error(), "expected ") {
			t.Errorf("%s: want an error that says what is wanted, got %v", what, err)
		}
	}
	s := same(1, 6, 3, 8, 8, 1, 2, 0)
	g := s.maxPoolGraph(t)
	other := feed(t, make([]float32, 36*16), 1, 6, 6, 16)
	_, err := s.run(g, map[tf.Output]*tf.Tensor{g.x: other})
	const want = "expected an image with a window, of 8 channels, got 1 of 6x6x16"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("other channels: %v", err)
	}
}
