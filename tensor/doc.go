// Package tensor holds dense, row-major tensors in Go's own memory, with TensorFlow's data types
// and shapes.
//
// What makes TensorFlow abort the process is an error here: a shape whose product overflows, 255
// dimensions, a negative dimension, data that does not fit the shape. The package uses no cgo and
// no TensorFlow.
//
// A [Tensor] holds a slice and nothing that has to be freed. Functions that return views of memory
// say so. Tensors can be read from many goroutines as long as none writes to their data.
package tensor
