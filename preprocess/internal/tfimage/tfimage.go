// Package tfimage computes what TensorFlow 2.21's image operations compute on an x86-64 processor,
// to the bit: tf.io.decode_image, tf.image.resize, tf.image.rgb_to_grayscale and the boxes of
// Keras's aspect ratios.
//
// Images are interleaved, height x width x channels, row-major, of 1, 3 or 4 channels. Formulas are
// those of tensorflow/core/kernels/image and of tensorflow/python/ops/image_ops_impl.py. Products
// are rounded to float32 before they are added, for the published builds of TensorFlow do not fuse
// them.
package tfimage

import "fmt"

// A Size is a height and a width in pixels.
type Size struct{ Height, Width int }

// pixels are the types of samples that are resized.
type pixels interface{ uint8 | float32 }

// grow returns dst[:n], in new memory where dst has too little.
func grow[T any](dst []T, n int) []T {
	if cap(dst) < n {
		return make([]T, n)
	}
	return dst[:n]
}

// check returns an error unless samples is an image of that size, with a known number of channels.
func check[T pixels](samples []T, size Size, channels int) error {
	if channels != 1 && channels != 3 && channels != 4 {
		return fmt.Errorf("tfimage: expected 1, 3 or 4 channels, got %d", channels)
	}
	// A quotient cannot overflow as the product of two hostile sides can.
	if size.Height < 1 || size.Width < 1 || len(samples)%(size.Width*channels) != 0 ||
		len(samples)/channels/size.Width != size.Height {
		return fmt.Errorf("tfimage: expected an image of height x width x %d samples, got %d x %d "+
			"with %d samples", channels, size.Height, size.Width, len(samples))
	}
	return nil
}
