// Package session runs graphs with TensorFlow. It is the one package that calls TensorFlow's C API;
// what goes in and comes out are Go's types and [Tensor], which is memory of C.
//
// It calls the C API below the Go binding, which frees the memory of tensors in finalizers only,
// copies them twice, and has no strings of any shape and no uint32 and uint64. Models are loaded
// through tfgo, and what it panics with comes back as an error.
//
// A [Session] and a [Call] are safe for concurrent use; Close and Delete come after all runs.
package session

import _ "kerasrun/runner/internal/needtensorflow" // so that a build without it says so
