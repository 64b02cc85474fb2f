//go:build !(linux && amd64 && cgo)

package conv

import "errors"

// Preferred says whether the operation is faster on this processor than TensorFlow's own.
func Preferred() bool { return false }

// Register makes the operation known to TensorFlow.
func Register(threads int) error {
	return errors.New("conv: the operation is for linux on amd64")
}
