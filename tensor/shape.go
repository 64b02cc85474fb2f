package tensor

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MaxDims is the largest number of dimensions that TensorFlow's TensorShape can hold.
const MaxDims = 254

// Shape is the size of each dimension, outermost first. -1 is a dimension not known, nil a shape of
// unknown rank (as opposed to Shape{}, a scalar). Only a signature's shape has unknowns; a Tensor's
// has none.
type Shape []int64

// String writes the shape as Keras does: "(-1, 224, 224, 3)", "(5,)", "()"; an unknown rank is
// "unknown".
func (s Shape) String() string {
	if s == nil {
		return "unknown"
	}
	if len(s) == 1 {
		return fmt.Sprintf("(%d,)", s[0])
	}
	text := make([]string, len(s))
	for i, n := range s {
		text[i] = strconv.FormatInt(n, 10)
	}
	return "(" + strings.Join(text, ", ") + ")"
}

// Elements returns the product of the dimensions. Errors are an unknown rank, an unknown or
// negative dimension, more than MaxDims dimensions, and a product whose bytes, at 8 per element,
// overflow an int64. A zero does not excuse an overflow among the other dimensions: TensorFlow
// multiplies in order, and aborts.
func (s Shape) Elements() (int64, error) {
	if s == nil {
		return 0, fmt.Errorf("tensor: a shape of unknown rank has no number of elements")
	}
	if len(s) > MaxDims {
		return 0, fmt.Errorf("tensor: %d dimensions, more than the %d of TensorFlow", len(s),
			MaxDims)
	}
	product, zero := int64(1), false
	for i, n := range s {
		switch {
		case n < 0:
			return 0, fmt.Errorf("tensor: shape %v: dimension %d is negative", s, i)
		case n == 0:
			zero = true
		case n > math.MaxInt64/8/product:
			return 0, fmt.Errorf("tensor: shape %v has more elements than can be addressed", s)
		default:
			product *= n
		}
	}
	if zero {
		return 0, nil
	}
	return product, nil
}

// Accepts returns an error unless got fits s. Every dimension of got must be known; a -1 in s fits
// any size, and an unknown rank any shape.
func (s Shape) Accepts(got Shape) error {
	if _, err := got.Elements(); err != nil {
		return err
	}
	if s == nil {
		return nil
	}
	fits := len(s) == len(got)
	for i := 0; fits && i < len(s); i++ {
		fits = s[i] == -1 || s[i] == got[i]
	}
	if !fits {
		return fmt.Errorf("tensor: shape: expected %v, got %v", s, got)
	}
	return nil
}
