package preprocess

import (
	"fmt"
	"sync"
)

// maxSide is the largest width or height of a tensor.
const maxSide = 1<<15 - 1

// Pipeline holds what Keras needs to know to make a tensor of an image. Its methods are safe for
// concurrent use as long as its fields are not changed. The zero value of all but Width and Height
// is what load_img and preprocess_input do by default: nearest, stretched, caffe.
type Pipeline struct {
	Width, Height int // of the tensor, in pixels; 1 to 32767

	// Filter resamples. No filter is applied where the image has the right size already.
	Filter Filter

	// Fit brings an image of another shape to Width x Height. CenterCrop first resizes the image so
	// that the target is 224/256 = 7/8 of it: the smaller of width and height (before the resize)
	// becomes s = floor(8*max(Width, Height)/7), the other floor(s*long/short), and then the crop
	// begins at half the excess, rounded to the nearest pixel and halves to even. For a square
	// target these are torchvision's Resize and CenterCrop.
	Fit Fit

	// Mode scales and orders the channels.
	Mode Mode

	// MaxPixels limits width x height as declared by the file; 0 means DefaultMaxPixels.
	MaxPixels int
}

// Validate returns an error that says what is wrong with the fields, nil if nothing is.
func (p *Pipeline) Validate() error {
	switch {
	case p.Width < 1 || p.Width > maxSide || p.Height < 1 || p.Height > maxSide:
		return fmt.Errorf("preprocess: expected a tensor of 1 to %d by 1 to %d pixels, got width "+
			"%d and height %d",
			maxSide, maxSide, p.Width, p.Height)
	case p.Filter < Nearest || p.Filter > Lanczos:
		return fmt.Errorf("preprocess: there is no %v", p.Filter)
	case p.Fit < Stretch || p.Fit > CenterCrop:
		return fmt.Errorf("preprocess: there is no %v", p.Fit)
	case p.Mode < Caffe || p.Mode > None:
		return fmt.Errorf("preprocess: there is no %v", p.Mode)
	case p.MaxPixels < 0:
		return fmt.Errorf("preprocess: expected MaxPixels of 0 or more, got %d", p.MaxPixels)
	}
	return nil
}

// scratch holds what one call of Append or AppendPixels needs and the next can use again.
type scratch struct {
	decoded, resized RGB
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxKept limits the bytes of one buffer that stay allocated from one image to the next.
const maxKept = 16 << 20

func (s *scratch) release() {
	for _, m := range []*RGB{&s.decoded, &s.resized} {
		if cap(m.Pix) > maxKept {
			m.Pix = nil
		}
	}
	scratches.Put(s)
}

// Append decodes the image (the bytes of a JPEG, PNG, GIF, BMP or WebP file), resizes and
// normalises it, and appends the tensor to dst: float32, Height x Width x 3, row-major, channels
// blue, green, red for Caffe and red, green, blue otherwise. If dst has the capacity nothing that
// grows with the image is allocated. On an error, a *FormatError, an *UnsupportedError, a
// *TooLargeError or the one of Validate, dst is returned as it was.
func (p *Pipeline) Append(dst []float32, image []byte) ([]float32, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := p.pixels(s, image); err != nil {
		return dst, err
	}
	return p.Mode.normalize(dst, s.resized.Pix), nil
}

// AppendPixels decodes and resizes the image as Append does, and appends its pixels to dst: uint8,
// Height x Width x 3, row-major, channels red, green, blue. They take a quarter of the tensor's
// memory, and Normalize makes the tensor of them.
func (p *Pipeline) AppendPixels(dst []uint8, image []byte) ([]uint8, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := p.pixels(s, image); err != nil {
		return dst, err
	}
	return append(dst, s.resized.Pix...), nil
}

// pixels decodes and resizes an image to s.resized.
func (p *Pipeline) pixels(s *scratch, image []byte) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if err := decode(&s.decoded, image, p.MaxPixels); err != nil {
		return err
	}
	return p.resize(&s.resized, &s.decoded)
}

// Resize brings an image to Width x Height with Filter and Fit: load_img after the decoding.
func (p *Pipeline) Resize(src *RGB) (*RGB, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := src.validate(); err != nil {
		return nil, err
	}
	dst := new(RGB)
	if err := p.resize(dst, src); err != nil {
		return nil, err
	}
	return dst, nil
}

// Normalize appends src to dst as float32, scaled and ordered as Mode says: img_to_array and
// preprocess_input.
func (p *Pipeline) Normalize(dst []float32, src *RGB) []float32 {
	return p.Mode.normalize(dst, src.Pix)
}
