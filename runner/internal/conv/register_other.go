//go:build !(linux && amd64 && cgo)

package conv

import "errors"

// Preferred says whether the operation is to be taken on this processor in place of TensorFlow's own, in float32 or in bfloat16.
func Preferred(bf16 bool) bool { return false }

// Register makes the operations known to TensorFlow.
func Register(threads int) error {
	return errors.New("conv: the operations are for linux on amd64")
}
