package preprocess

import "fmt"

// axes returns, for each dimension, which source pixels are scaled to which size, and which of the
// scaled pixels are kept.
func (p *Pipeline) axes(width, height int) (x, y axis, err error) {
	w, h := p.Width, p.Height
	x, y = axis{width, 0, width, w, 0, w}, axis{height, 0, height, h, 0, h}
	switch p.Resize.Fit {
	case Crop: // load_img; a side of 0 is possible and Pillow takes it
		if width != w || height != h {
			cropWidth, cropHeight := min(width, height*w/h), min(height, width*h/w)
			x.lo, y.lo = (width-cropWidth)/2, (height-cropHeight)/2
			x.hi, y.hi = x.lo+cropWidth, y.lo+cropHeight
		}
	case ShortSide:
		short := p.Resize.ShortSide
		x.out, y.out = short, short
		if width < height {
			y.out = short * height / width
		} else {
			x.out = short * width / height
		}
		if max(x.out, y.out) > maxResized {
			return x, y, fmt.Errorf(
				"preprocess: an image of %d x %d is too long for %v: resized it would be %d x %d",
				width, height, p.Resize.Fit, x.out, y.out)
		}
		x.first, y.first = roundHalfEven(x.out-w), roundHalfEven(y.out-h)
		x.last, y.last = x.first+w, y.first+h
	}
	return x, y, nil
}

// maxResized limits the longer side, in pixels, of an image that is resized before it is cropped.
const maxResized = 1 << 24

// roundHalfEven returns n/2 rounded, halves to even, as Python's round.
func roundHalfEven(n int) int {
	return (n + n>>1&1) / 2
}

// resize writes src, fitted and resized, to dst.
func (p *Pipeline) resize(dst, src *Image) error {
	if p.Resize.Fit == NoFit {
		dst.grow(src.Width, src.Height, src.Channels)
		copy(dst.Pix, src.Pix)
		return nil
	}
	x, y, err := p.axes(src.Width, src.Height)
	if err != nil {
		return err
	}
	scale(dst, src, x, y, p.Resize.Method)
	return nil
}

// scale scales src to dst. An image of the right size is copied, whatever the method.
func scale(dst, src *Image, x, y axis, f Method) {
	if f == Nearest {
		resampleNearest(dst, src, x, y)
	} else {
		resample(dst, src, x, y, f)
	}
}
