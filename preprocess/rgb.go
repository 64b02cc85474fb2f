package preprocess

import (
	"errors"
	"fmt"
	"slices"
)

// RGB is a decoded image: uint8 red, green, blue, height x width x 3, row-major. Pixel (x, y)
// begins at Pix[3*(y*Width+x)].
type RGB struct {
	Width, Height int
	Pix           []uint8
}

// validate returns an error unless the image has at least one pixel and as many bytes as its size
// asks for.
func (m *RGB) validate() error {
	if m == nil {
		return errors.New("preprocess: expected an image, got nil")
	}
	// A quotient cannot overflow as the product of two hostile sides can.
	if m.Width < 1 || m.Height < 1 || len(m.Pix)%3 != 0 || len(m.Pix)/3%m.Width != 0 ||
		len(m.Pix)/3/m.Width != m.Height {
		return fmt.Errorf("preprocess: expected an image of width x height x 3 bytes, got %d x "+
			"%d with %d bytes",
			m.Width, m.Height, len(m.Pix))
	}
	return nil
}

// grow makes m an image of w x h with undefined pixels, in the memory it has where that is enough.
func (m *RGB) grow(w, h int) {
	m.Width, m.Height = w, h
	m.Pix = slices.Grow(m.Pix[:0], 3*w*h)[:3*w*h]
}
