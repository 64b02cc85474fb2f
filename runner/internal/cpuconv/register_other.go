//go:build !(linux && amd64 && cgo)

package cpuconv

import (
	"errors"

	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
)

var errOther = errors.New("cpuconv: the operations are for linux on amd64")

// Preferred says whether the operation is to be taken on this processor in place of TensorFlow's own, in float32 or in bfloat16.
func Preferred(bf16 bool) bool { return false }

// Register makes the operations known to TensorFlow.
func Register(threads int) error { return errOther }

// Memory is for packed kernels.
type Memory struct{}

// NewMemory returns memory for kernels of so many numbers each.
func NewMemory(lengths ...int) (*Memory, error) { return nil, errOther }

// Take returns the next so many numbers.
func (m *Memory) Take(n int) []float32 { return nil }

// Free gives the memory back.
func (m *Memory) Free() error { return nil }

// PackedLength returns how many numbers an operation's kernel has that is packed.
func PackedLength(op *nodepb.NodeDef) (int, error) { return 0, errOther }

// Pack packs an operation's kernel.
func Pack(op *nodepb.NodeDef, shape []int64, kernel, packed []float32) error { return errOther }
