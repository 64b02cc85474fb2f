// Package tensor holds dense, row-major tensors in Go's own memory, with TensorFlow's data types
// and shapes.
//
// Everything that TensorFlow would answer with an abort of the process is an error here: a shape
// whose product overflows, 255 dimensions, a negative dimension, data that does not fit the shape.
// The package uses no cgo and no TensorFlow.
package tensor
