package preprocess

import (
	"fmt"
	"math"
	"sync"
)

// maxResized limits the longer side, in pixels, of an image that is resized before it is cropped.
const maxResized = 1 << 24

// roundHalfEven returns n/2 rounded, halves to even, as Python's round.
func roundHalfEven(n int) int {
	return (n + n>>1&1) / 2
}

// shortSide returns the size of an image whose short side is resized to short, its shape kept, as
// torchvision's Resize has it.
func shortSide(width, height, short int) (w, h int, err error) {
	w, h = short, short
	if width < height {
		h = short * height / width
	} else {
		w = short * width / height
	}
	if max(w, h) > maxResized {
		return 0, 0, fmt.Errorf("preprocess: an image of %d x %d is too long for short_side: "+
			"resized it would be %d x %d", width, height, w, h)
	}
	return w, h, nil
}

// axes returns, for each dimension, which part of the source is scaled to which size, and which of
// the scaled pixels are kept, as Pillow has it.
func (p *Pipeline) axes(width, height int) (x, y axis, err error) {
	w, h := p.Width, p.Height
	x, y = wholeAxis(width, w), wholeAxis(height, h)
	switch p.Resize.Fit {
	case Crop: // load_img; a side of 0 is possible and Pillow takes it
		if width != w || height != h {
			cropWidth, cropHeight := min(width, height*w/h), min(height, width*h/w)
			left, top := (width-cropWidth)/2, (height-cropHeight)/2
			x.lo, x.hi = float32(left), float32(left+cropWidth)
			y.lo, y.hi = float32(top), float32(top+cropHeight)
		}
	case ImageOpsFit:
		x.lo, y.lo, x.hi, y.hi = fitBox(float64(width), float64(height), float64(w), float64(h))
	case ShortSide:
		if x.out, y.out, err = shortSide(width, height, p.Resize.ShortSide); err != nil {
			return x, y, err
		}
		x.first, y.first = roundHalfEven(x.out-w), roundHalfEven(y.out-h)
		x.last, y.last = x.first+w, y.first+h
	}
	return x, y, nil
}

// fitBox is the box that ImageOps.fit resizes, in its float64 and then in the float32 of resize.
func fitBox(width, height, w, h float64) (left, top, right, bottom float32) {
	cropWidth, cropHeight := width, height
	ratio, want := width/height, w/h
	switch {
	case ratio > want:
		cropWidth = float64(want * height)
	case ratio < want:
		cropHeight = width / want
	}
	x, y := float64((width-cropWidth)*0.5), float64((height-cropHeight)*0.5)
	return float32(x), float32(y), float32(x + cropWidth), float32(y + cropHeight)
}

// contain is the size that ImageOps.contain gives an image of width x height within w x h.
func contain(width, height, w, h int) (int, int) {
	ratio, want := float64(width)/float64(height), float64(w)/float64(h)
	switch {
	case ratio > want:
		h = int(math.RoundToEven(float64(height) / float64(width) * float64(w)))
	case ratio < want:
		w = int(math.RoundToEven(float64(width) / float64(height) * float64(h)))
	}
	return w, h
}

// inners keeps the memory of images that become a part of another, or of which a part is kept.
var inners = sync.Pool{New: func() any { return new(Image) }}

// resize writes src, fitted and resized, to dst.
func (p *Pipeline) resize(dst, src *Image) error {
	switch {
	case p.Resize.Fit == NoFit:
		if err := p.checkSize(src); err != nil {
			return err
		}
		dst.grow(src.Width, src.Height, src.Channels)
		copy(dst.Pix, src.Pix)
		return nil
	case p.Resize.By == TensorFlow:
		return p.resizeTensorFlow(dst, src)
	case p.Resize.By == OpenCV:
		return p.resizeOpenCV(dst, src)
	case p.Resize.Fit == Pad:
		p.padPillow(dst, src)
		return nil
	}
	x, y, err := p.axes(src.Width, src.Height)
	if err != nil {
		return err
	}
	scale(dst, src, x, y, p.Resize.Method)
	return nil
}

// padPillow is ImageOps.pad.
func (p *Pipeline) padPillow(dst, src *Image) {
	w, h := contain(src.Width, src.Height, p.Width, p.Height)
	if w == p.Width && h == p.Height {
		scale(dst, src, wholeAxis(src.Width, w), wholeAxis(src.Height, h), p.Resize.Method)
		return
	}
	dst.grow(p.Width, p.Height, src.Channels)
	fill(dst.Pix, uint8(p.Resize.Fill))
	if w == 0 || h == 0 {
		return
	}
	inner := inners.Get().(*Image)
	defer keep(&inners, inner)
	scale(inner, src, wholeAxis(src.Width, w), wholeAxis(src.Height, h), p.Resize.Method)
	place(dst.Pix, dst.Width, inner.Pix, w, src.Channels, roundHalfEven(p.Width-w),
		roundHalfEven(p.Height-h))
}

// fill sets all of a slice to a value.
func fill[T any](s []T, value T) {
	for i := range s {
		s[i] = value
	}
}

// place copies an image of a width into a larger one.
func place[T any](dst []T, dstWidth int, src []T, width, channels, left, top int) {
	for y := 0; len(src) > 0; y++ {
		copy(dst[channels*(dstWidth*(top+y)+left):][:channels*width], src)
		src = src[channels*width:]
	}
}

// scale scales src to dst. An image of the right size is copied, whatever the method. Colours with
// alpha are weighed by it, as Image.resize does through the mode RGBa.
func scale(dst, src *Image, x, y axis, m Method) {
	switch {
	case m == Nearest:
		resampleNearest(dst, src, x, y)
	case src.Channels == 4 && !(x.whole() && y.whole()):
		weighed := inners.Get().(*Image)
		weighed.grow(src.Width, src.Height, 4)
		premultiply(weighed.Pix, src.Pix)
		resample(dst, weighed, x, y, m)
		keep(&inners, weighed)
		unpremultiply(dst.Pix)
	default:
		resample(dst, src, x, y, m)
	}
}

// premultiply is Convert.c's rgbA2rgba.
func premultiply(dst, src []uint8) {
	for len(src) >= 4 && len(dst) >= 4 {
		a := uint32(src[3])
		for c := range 3 {
			t := uint32(src[c])*a + 128
			dst[c] = uint8((t>>8 + t) >> 8)
		}
		dst[3] = src[3]
		dst, src = dst[4:], src[4:]
	}
}

// unpremultiply is Convert.c's rgba2rgbA.
func unpremultiply(pix []uint8) {
	for len(pix) >= 4 {
		if a := uint32(pix[3]); a != 0 && a != 255 {
			for c := range 3 {
				pix[c] = uint8(min(255*uint32(pix[c])/a, 255))
			}
		}
		pix = pix[4:]
	}
}
