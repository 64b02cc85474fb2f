//go:build !(linux && amd64 && cgo)

package cpuconv

import (
	"errors"

	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
)

var errUnsupported = errors.New("cpuconv: the operations are for linux on amd64")

// Preferred returns whether the operations are to be taken on this processor in place of
// TensorFlow's own, in float32 or in bfloat16.
func Preferred(bf16 bool) bool { return false }

// Register makes the operations known to TensorFlow.
func Register(threads int) error { return errUnsupported }

// Memory is for packed filters.
type Memory struct{}

// NewMemory returns memory for packed filters of so many floats each.
func NewMemory(lengths ...int) (*Memory, error) { return nil, errUnsupported }

// Take returns the next n floats.
func (m *Memory) Take(n int) []float32 { return nil }

// Free gives the memory back.
func (m *Memory) Free() error { return nil }

// PackedLength returns how many floats an operation's packed filter has.
func PackedLength(op *nodepb.NodeDef) (int, error) { return 0, errUnsupported }

// PackBytes packs an operation's filter of bytes.
func PackBytes(op *nodepb.NodeDef, shape []int64, kernel []int8, scales, packed []float32) error {
	return errUnsupported
}

// Pack packs an operation's filter.
func Pack(
	op *nodepb.NodeDef,
	shape []int64,
	kernel, packed []float32,
) error {
	return errUnsupported
}
