package preprocess

import (
	"errors"
	"fmt"
	"slices"
)

// Image is a decoded image: height x width x channels, row-major; channel c of pixel (x, y) is
// number Channels*(y*Width+x)+c. Colours are red, green, blue and alpha, also where [BGR] is their
// order in the tensor.
//
// Values holds an image that TensorFlow resized by another method than nearest; otherwise Pix holds
// it, and Values is empty.
type Image struct {
	Width, Height int
	Channels      int // 1, 3 or 4
	Pix           []uint8
	Values        []float32
}

// validate returns an error unless the image has at least one pixel and as many numbers as its size
// asks for.
func (m *Image) validate() error {
	if m == nil {
		return errors.New("preprocess: expected an image, got nil")
	}
	n := len(m.Pix)
	if len(m.Values) > 0 {
		n = len(m.Values)
	}
	// A quotient cannot overflow as the product of two hostile sides can.
	if m.Width < 1 || m.Height < 1 || m.Channels < 1 || n%m.Channels != 0 ||
		n/m.Channels%m.Width != 0 || n/m.Channels/m.Width != m.Height {
		return fmt.Errorf("preprocess: expected an image of width x height x channels numbers, "+
			"got %d x %d x %d with %d numbers", m.Width, m.Height, m.Channels, n)
	}
	return nil
}

// grow makes m an image of undefined pixels, in the memory it has where that is enough.
func (m *Image) grow(width, height, channels int) {
	m.Width, m.Height, m.Channels = width, height, channels
	m.growPix(width * height * channels)
	m.Values = m.Values[:0]
}

// growPix makes room for n bytes.
func (m *Image) growPix(n int) { m.Pix = slices.Grow(m.Pix[:0], n)[:n] }

// growValues is grow for an image of floats.
func (m *Image) growValues(width, height, channels int) {
	m.Width, m.Height, m.Channels = width, height, channels
	n := width * height * channels
	m.Pix, m.Values = m.Pix[:0], slices.Grow(m.Values[:0], n)[:n]
}
