// Package needtensorflow ends a build that cannot succeed in a line that says what is missing:
// cgo, or TensorFlow's C library. What calls TensorFlow imports it.
package needtensorflow

/*
#if defined(__has_include)
#if !__has_include("tensorflow/c/c_api.h")
#error "TensorFlow's C library is missing: make setup, or go run ./cmd/libtensorflow --out DIR"
#endif
#endif
*/
import "C"
