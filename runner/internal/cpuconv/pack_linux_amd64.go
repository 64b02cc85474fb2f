package cpuconv

/*
#include "conv2d.h"
*/
import "C"

import (
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
)

// Memory is for packed kernels. A run of one picture goes through all of it, so it is in huge pages, where the system has them: there would be a look-up
// for each 4 KB.
type Memory struct{ mapped, rest []byte }

const hugePage = 2 << 20

// NewMemory returns memory for kernels of so many numbers each.
func NewMemory(lengths ...int) (*Memory, error) {
	size := hugePage
	for _, n := range lengths {
		size += bytesOf(n)
	}
	mapped, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("cpuconv: memory for %d bytes of kernels: %w", size, err)
	}
	rest := mapped[-uintptr(unsafe.Pointer(unsafe.SliceData(mapped)))%hugePage:]
	_ = syscall.Madvise(rest, syscall.MADV_HUGEPAGE) // a system may have none
	return &Memory{mapped, rest}, nil
}

// bytesOf returns what a kernel takes: whole cache lines.
func bytesOf(numbers int) int { return (4*numbers + 63) / 64 * 64 }

// Take returns the next so many numbers, of a length that NewMemory was told, in the order in which it was.
func (m *Memory) Take(n int) []float32 {
	numbers := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(m.rest))), n)
	m.rest = m.rest[bytesOf(n):]
	return numbers
}

// Free gives the memory back.
func (m *Memory) Free() error { return syscall.Munmap(m.mapped) }

// convolution returns what an operation computes, but for the form of pictures.
func convolution(op *nodepb.NodeDef) C.struct_kerasrun_conv {
	ints := func(name string) []int64 { return op.Attr[name].GetList().GetI() }
	strides, padding := ints("strides"), ints("padding")
	c := C.struct_kerasrun_conv{
		stride_h: C.long(strides[0]), stride_w: C.long(strides[1]),
		top: C.long(padding[0]), bottom: C.long(padding[1]), left: C.long(padding[2]), right: C.long(padding[3]),
	}
	var kernel [C.KERASRUN_KERNEL_SIZES]C.int32_t
	for i, size := range ints("kernel") {
		kernel[i] = C.int32_t(size)
	}
	C.kerasrun_conv_kernel(&c, &kernel[0])
	if op.Attr["bf16"].GetB() {
		c.bf16 = 1
	}
	return c
}

// PackedLength returns how many numbers an operation's kernel has that is packed. The error says what is wrong with the operation's attributes.
func PackedLength(op *nodepb.NodeDef) (int, error) {
	if _, err := kernelSizes(op); err != nil {
		return 0, err
	}
	c := convolution(op)
	return int(C.kerasrun_conv_packed(&c)), nil
}

// Pack packs an operation's kernel, height by width by channels of a group by channels of the output (or, for a product of matrices, the last two): it
// lies then in the order in which it is read. It is an error if the shape or a length is not what the operation reads or writes. Register comes first.
func Pack(op *nodepb.NodeDef, shape []int64, kernel, packed []float32) error {
	sizes, err := kernelSizes(op)
	if err != nil {
		return err
	}
	want, read := sizes[:4], int64(1)
	if len(shape) == 2 && sizes[0]*sizes[1]*sizes[4] == 1 {
		want = sizes[2:4]
	}
	if !slices.Equal(shape, want) {
		return fmt.Errorf("expected a kernel of shape %v, got %v", want, shape)
	}
	for _, size := range want {
		read *= size
	}
	if int64(len(kernel)) != read {
		return fmt.Errorf("expected a kernel of %d numbers, got %d", read, len(kernel))
	}
	c := convolution(op)
	if n := int(C.kerasrun_conv_packed(&c)); len(packed) != n {
		return fmt.Errorf("expected room for %d packed numbers, got %d", n, len(packed))
	}
	C.kerasrun_conv_pack(&c, (*C.float)(unsafe.SliceData(kernel)), (*C.float)(unsafe.SliceData(packed)))
	return nil
}

// kernelSizes returns an operation's kernel's height, width, channels of a group, channels of the output, and groups.
func kernelSizes(op *nodepb.NodeDef) ([]int64, error) {
	const maxNumbers = 1 << 40 // so that no product of sizes overflows
	sizes := op.Attr["kernel"].GetList().GetI()
	valid := len(sizes) == C.KERASRUN_KERNEL_SIZES && len(op.Attr["strides"].GetList().GetI()) == 2 && len(op.Attr["padding"].GetList().GetI()) == 4
	numbers := int64(1)
	for _, size := range sizes {
		if valid = valid && 0 < size && size <= maxNumbers/numbers; valid {
			numbers *= size
		}
	}
	if !valid || sizes[3]%(8*sizes[4]) != 0 {
		return nil, fmt.Errorf("expected a kernel of at least one pixel and 8 channels a group or a multiple, 2 strides and 4 paddings, got kernel %v, strides %v, padding %v",
			sizes, op.Attr["strides"].GetList().GetI(), op.Attr["padding"].GetList().GetI())
	}
	return sizes, nil
}
