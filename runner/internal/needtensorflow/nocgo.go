//go:build !cgo

// Package needtensorflow ends a build that cannot succeed in a line that says what is missing:
// cgo, or TensorFlow's C library. What calls TensorFlow imports it.
package needtensorflow

import _ "embed"

// A file that is not there ends the build before anything is compiled, and its name is printed.
//
//go:embed "cgo is off, and TensorFlow is called through it: install gcc, set CGO_ENABLED=1"
var _ string
