package classify

import (
	"errors"
	"fmt"
)

// ErrNoImages says that a model's input is not what this package makes of an image.
var ErrNoImages = errors.New("the manifest does not say how to make the input of an image")

// ImageError says why one of several images has no predictions.
type ImageError struct {
	Index int // among the images of the call
	Err   error
}

func (e *ImageError) Error() string { return fmt.Sprintf("image %d: %v", e.Index, e.Err) }

// Unwrap returns the reason without the index.
func (e *ImageError) Unwrap() error { return e.Err }

// TooLongError says that an image's file has more bytes than [Limits] allow. Nothing was decoded.
type TooLongError struct{ Bytes, Limit int64 }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("an image of %d bytes is over the limit of %d", e.Bytes, e.Limit)
}

// OutputError says that a model's output is not a row of classes for each image.
type OutputError struct {
	Output string // its name; "" where the caller knows it
	Err    error
}

func (e *OutputError) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("output: %v", e.Err)
	}
	return fmt.Sprintf("output %q: %v", e.Output, e.Err)
}

// Unwrap returns the reason without the output's name.
func (e *OutputError) Unwrap() error { return e.Err }
