package cvimage

import (
	"fmt"
	"math"
)

// Interpolation is a method of cv2.resize.
type Interpolation int

// The methods, named as OpenCV's INTER_*.
const (
	Nearest Interpolation = iota
	Linear
	Area
	Cubic
	Lanczos4
)

// size is the geometry of a resize.
type size struct {
	width, height       int // of the source
	outWidth, outHeight int
	channels            int
}

// Resize returns cv2.resize(src, (outWidth, outHeight), interpolation=method) of a uint8 image of
// height x width x channels. An image that has the size already is copied. The result is in the
// memory of dst if that is enough, which must not overlap src. It panics where src has not as many
// bytes as its size asks for, where a side is not positive, and where channels is not 1, 3 or 4.
func Resize(dst, src []uint8, width, height, channels, outWidth, outHeight int,
	method Interpolation) []uint8 {
	s := size{width, height, outWidth, outHeight, channels}
	if width < 1 || height < 1 || outWidth < 1 || outHeight < 1 || channels != 1 && channels != 3 &&
		channels != 4 || len(src) != width*height*channels {
		panic(fmt.Sprintf("cvimage: expected an image of 1, 3 or 4 channels, got %d bytes for %+v",
			len(src), s))
	}
	n := outWidth * outHeight * channels
	if cap(dst) < n {
		dst = make([]uint8, n)
	}
	dst = dst[:n]
	if width == outWidth && height == outHeight {
		copy(dst, src)
		return dst
	}
	x, y := newScale(width, outWidth), newScale(height, outHeight)
	whole := x.whole && y.whole
	switch {
	case method == Nearest:
		s.nearest(dst, src, x, y)
	case whole && x.times == 2 && y.times == 2 && (method == Linear || method == Area):
		s.halve(dst, src)
	case method == Area && x.ratio >= 1 && y.ratio >= 1 && whole:
		s.average(dst, src, x.times, y.times)
	case method == Area && x.ratio >= 1 && y.ratio >= 1:
		s.area(dst, src, x, y)
	case method == Cubic:
		s.cubic(dst, src, x, y)
	case method == Lanczos4:
		s.lanczos4(dst, src, x, y)
	default:
		s.linear(dst, src, x, y, method == Area)
	}
	return dst
}

// scale is the scaling of one side, in hal::resize's arithmetic.
type scale struct {
	in, out int
	inverse float64 // inv_scale: out / in
	ratio   float64 // scale: in / out, rounded twice
	times   int     // ratio as an integer
	whole   bool    // whether ratio is one
}

func newScale(in, out int) scale {
	s := scale{in: in, out: out, inverse: float64(out) / float64(in)}
	s.ratio = 1 / s.inverse
	s.times = int(math.RoundToEven(s.ratio))
	const epsilon = 0x1p-52
	s.whole = math.Abs(s.ratio-float64(s.times)) < epsilon
	return s
}

// position returns where pixel i of the result lies in the source: the pixel before it and how far
// it is beyond that.
func (s scale) position(i int) (before int, beyond float32) {
	f := float32(float64((float64(i)+0.5)*s.ratio) - 0.5)
	floor := math.Floor(float64(f))
	return int(floor), f - float32(floor)
}

// fixed turns a weight into a number with 11 bits after the point, as saturate_cast<short> does.
func fixed(weight float32) int16 {
	return int16(min(max(int32(math.RoundToEven(float64(weight*2048))), -32768), 32767))
}
