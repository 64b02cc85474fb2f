package preprocess

import (
	"math"
	"slices"
	"sync"
)

// An axis is the scaling of one dimension: the source from lo to hi, of size pixels in all, becomes
// out pixels, of which those from first to last are wanted.
type axis struct {
	size        int
	lo, hi      float32
	out         int
	first, last int
}

// wholeAxis scales all of a dimension.
func wholeAxis(size, out int) axis { return axis{size, 0, float32(size), out, 0, out} }

// whole reports whether the axis is all of the source, as it is.
func (a axis) whole() bool { return a.lo == 0 && a.hi == float32(a.size) && a.out == a.size }

// identity reports whether each wanted pixel is a copy of one source pixel.
func (a axis) identity() bool {
	return a.hi-a.lo == float32(a.out) && a.lo == float32(int(a.lo))
}

// wanted is the number of wanted pixels.
func (a axis) wanted() int { return a.last - a.first }

// precisionBits is Pillow's PRECISION_BITS: weights are fixed-point numbers with this many bits
// after the point.
const precisionBits = 32 - 8 - 2

// A kernel is a resampling filter as a function and the distance from 0 beyond which it is 0:
// Pillow's Resample.c.
type kernel struct {
	at      func(x float64) float64
	support float64
}

// Conversions to float64 keep a compiler from fusing a product and a sum, which would round once
// instead of twice.
var kernels = [...]kernel{
	Box: {func(x float64) float64 {
		if x > -0.5 && x <= 0.5 {
			return 1
		}
		return 0
	}, 0.5},
	Bilinear: {func(x float64) float64 { return max(0, 1-math.Abs(x)) }, 1},
	Hamming: {func(x float64) float64 {
		x = math.Abs(x)
		if x == 0 {
			return 1
		}
		if x >= 1 {
			return 0
		}
		x *= math.Pi
		return math.Sin(x) / x * float64(float64(float32(0.54))+
			float64(float64(float32(0.46))*math.Cos(x)))
	}, 1},
	Bicubic: {func(x float64) float64 {
		const a = -0.5
		x = math.Abs(x)
		if x < 1 {
			return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
		}
		if x < 2 {
			return float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a
		}
		return 0
	}, 2},
	Lanczos: {func(x float64) float64 {
		if -3 <= x && x < 3 {
			return sinc(x) * sinc(x/3)
		}
		return 0
	}, 3},
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// A window is the run of source pixels that make one pixel, with their weights.
type window struct {
	start   int
	weights []int32
}

// scale is the number of source pixels to a pixel of the result.
func (a axis) scale() float64 { return float64(a.hi-a.lo) / float64(a.out) }

// bounds returns the position of pixel i's centre in the source and the source pixels, start to
// end, that f reaches from it.
func (a axis) bounds(f Method, i int) (center float64, start, end int) {
	center = float64(a.lo) + float64((float64(i)+0.5)*a.scale())
	support := kernels[f].support * max(a.scale(), 1)
	return center, max(0, int(center-support+0.5)), min(a.size, int(center+support+0.5))
}

// windowTable computes windows, and holds the memory of those it computed last.
type windowTable struct {
	windows []window
	weights []int32
	exact   []float64 // the weights of one window, before rounding
}

// compute fills t with the windows of the wanted pixels from i on, at least one and more while they
// have together no more than limit weights: precompute_coeffs and normalize_coeffs_8bpc of
// Resample.c. Weights of 0 at the ends are left out.
func (t *windowTable) compute(a axis, f Method, i, limit int) {
	at, inverse := kernels[f].at, 1/max(a.scale(), 1)
	t.windows = slices.Grow(t.windows[:0], a.last-i)
	t.weights = t.weights[:0]
	for ; i < a.last; i++ {
		center, start, end := a.bounds(f, i)
		from := len(t.weights)
		if len(t.windows) > 0 && from+end-start > limit {
			return
		}
		t.exact = slices.Grow(t.exact[:0], end-start)
		sum := 0.0
		for x := start; x < end; x++ {
			w := at((float64(x) - center + 0.5) * inverse)
			t.exact = append(t.exact, w)
			sum += w
		}
		t.weights = slices.Grow(t.weights, end-start)
		for _, w := range t.exact {
			if sum != 0 {
				w /= sum
			}
			w = float64(w * (1 << precisionBits))
			if w < 0 {
				w -= 0.5
			} else {
				w += 0.5
			}
			t.weights = append(t.weights, int32(w))
		}
		weights := t.weights[from:]
		for len(weights) > 1 && weights[0] == 0 {
			weights = weights[1:]
			start++
		}
		for len(weights) > 1 && weights[len(weights)-1] == 0 {
			weights = weights[:len(weights)-1]
		}
		t.windows = append(t.windows, window{start, weights})
	}
}

// Windows that are small enough are kept from one image to the next: images of one camera or one
// collection tend to have the same sizes.
const (
	maxWeights     = 1 << 18 // weights computed at a time, 1 MiB
	maxKeptWeights = 1 << 15 // weights of an axis that is kept
	maxKeptAxes    = 256
)

type axisFilter struct {
	axis
	method Method
}

var kept = struct {
	sync.Mutex
	windows map[axisFilter][]window
}{windows: make(map[axisFilter][]window)}

// eachWindows calls do with the windows of all wanted pixels, as many at a time as memory allows;
// first is the number of the first of them.
func (a axis) eachWindows(f Method, do func(first int, w []window)) {
	key := axisFilter{a, f}
	kept.Lock()
	w, ok := kept.windows[key]
	kept.Unlock()
	if ok {
		do(a.first, w)
		return
	}
	var t windowTable
	for i := a.first; i < a.last; i += len(t.windows) {
		t.compute(a, f, i, maxWeights)
		do(i, t.windows)
	}
	if len(t.windows) == a.wanted() && len(t.weights) <= maxKeptWeights {
		kept.Lock()
		if len(kept.windows) >= maxKeptAxes {
			clear(kept.windows)
		}
		kept.windows[key] = t.windows
		kept.Unlock()
	}
}
