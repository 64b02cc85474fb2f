package tfimage

import (
	"fmt"
	"math"
	"sync"
)

// A Method is one of tf.image.ResizeMethod.
type Method int

// The methods of tf.image.resize.
const (
	Bilinear Method = iota
	Nearest
	Bicubic
	Area
	Lanczos3
	Lanczos5
	Gaussian
	MitchellCubic
)

// maxSide keeps every coordinate exact in float32, as far as TensorFlow's own kernels are sure of
// theirs.
const maxSide = 1 << 24

// Resize is tf.image.resize(src, (to.Height, to.Width), method, antialias=antialias) as float32, in
// the memory of dst if that is enough. src is uint8 or float32, finite. antialias matters to all
// methods but nearest and area.
//
// The result is not rounded; for nearest, of which TensorFlow's has the type of src, the values are
// the same. An image that has the size already goes through the kernel like any other: gaussian and
// mitchellcubic blur it, and the weights of lanczos3 and lanczos5 are not quite 0 and 1.
func Resize[T pixels](dst []float32, src []T, from, to Size, channels int, method Method,
	antialias bool) ([]float32, error) {
	if err := check(src, from, channels); err != nil {
		return nil, err
	}
	if to.Height < 1 || to.Width < 1 || max(to.Height, to.Width, from.Height, from.Width) > maxSide {
		return nil, fmt.Errorf("tfimage: expected sides of 1 to %d pixels, got %d x %d to resize "+
			"to %d x %d", maxSide, from.Height, from.Width, to.Height, to.Width)
	}
	dst = grow(dst, to.Height*to.Width*channels)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	switch {
	case method == Nearest:
		nearest(dst, src, from, to, channels)
	case method == Area:
		s.area(from, to)
		resizeArea(dst, src, from, to, channels, s)
	case method == Bilinear && !antialias:
		bilinear(dst, src, from, to, channels, s)
	default:
		kernel, err := kernelOf(method)
		if err != nil {
			return nil, err
		}
		if method == Bicubic && !antialias {
			s.rows = cubicSpans(s.rows, from.Height, to.Height)
			s.columns = cubicSpans(s.columns, from.Width, to.Width)
		} else {
			s.rows = kernel.spans(s.rows, from.Height, to.Height, antialias)
			s.columns = kernel.spans(s.columns, from.Width, to.Width, antialias)
		}
		separable(dst, src, from, channels, s)
	}
	return dst, nil
}

// slack is how many values more than a row has its memory has, for the assembly.
const slack = 1

// scratch is the memory of one resize.
type scratch struct {
	rows, columns spans
	lines         [2][]float32
	lerps         []lerp
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// scaleOf is CalculateResizeScale: how many source pixels a pixel is wide.
func scaleOf(in, out int) float32 { return float32(in) / float32(out) }

// halfPixel is HalfPixelScaler: where the centre of pixel i lies among the centres of the source.
func halfPixel(i int, scale float32) float32 {
	return float32((float32(i)+0.5)*scale) - 0.5
}

func floor(x float32) float32 { return float32(math.Floor(float64(x))) }

func ceil(x float32) float32 { return float32(math.Ceil(float64(x))) }
