package conv

/*
#include "conv.h"
*/
import "C"

import (
	"fmt"
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
		return nil, fmt.Errorf("conv: memory for %d bytes of kernels: %w", size, err)
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

// PackedLength returns how many numbers an operation's kernel has that is packed.
func PackedLength(op *nodepb.NodeDef) int {
	c := convolution(op)
	return int(C.kerasrun_conv_packed(&c))
}

// Pack packs an operation's kernel, height by width by channels of a group by channels of the output: it lies then in the order in which it is read.
// Register comes first.
func Pack(op *nodepb.NodeDef, kernel, packed []float32) {
	c := convolution(op)
	C.kerasrun_conv_pack(&c, (*C.float)(unsafe.SliceData(kernel)), (*C.float)(unsafe.SliceData(packed)))
}
