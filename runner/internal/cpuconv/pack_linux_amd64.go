package cpuconv

/*
#include "conv2d.h"
#include "qconv2d.h"
*/
import "C"

import (
	"fmt"
	"math"
	"slices"
	"syscall"
	"unsafe"

	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
)

// Memory is for packed filters. A run of one image goes through all of it, so it is in huge pages,
// where the system has them: there would be a look-up for each 4 KB.
type Memory struct{ mapped, rest []byte }

const hugePage = 2 << 20

// NewMemory returns memory for packed filters of so many floats each. The caller frees it.
func NewMemory(lengths ...int) (*Memory, error) {
	size := hugePage
	for _, n := range lengths {
		if n < 0 || n > (math.MaxInt-size-64)/4 {
			return nil, fmt.Errorf("cpuconv: expected packed filters that fit, got %d floats", n)
		}
		size += bytesOf(n)
	}
	const prot = syscall.PROT_READ | syscall.PROT_WRITE
	const flags = syscall.MAP_PRIVATE | syscall.MAP_ANON
	mapped, err := syscall.Mmap(-1, 0, size, prot, flags)
	if err != nil {
		return nil, fmt.Errorf("cpuconv: memory for %d bytes of packed filters: %w", size, err)
	}
	rest := mapped[-uintptr(unsafe.Pointer(unsafe.SliceData(mapped)))%hugePage:]
	_ = syscall.Madvise(rest, syscall.MADV_HUGEPAGE) // a system may have none
	return &Memory{mapped, rest}, nil
}

// bytesOf returns what a packed filter takes: whole cache lines.
func bytesOf(floats int) int { return (4*floats + 63) / 64 * 64 }

// Take returns the next n floats, of a length that NewMemory was told, in that sequence.
func (m *Memory) Take(n int) []float32 {
	room := m.rest[:bytesOf(n)]
	m.rest = m.rest[bytesOf(n):]
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(room))), n)
}

// Free gives the memory back.
func (m *Memory) Free() error { return syscall.Munmap(m.mapped) }

// convolution returns what an operation computes, but for its layouts. The error says what is wrong
// with its attributes.
func convolution(op *nodepb.NodeDef) (C.struct_kerasrun_conv2d, error) {
	ints := func(name string) []int64 { return op.Attr[name].GetList().GetI() }
	filter, strides, padding := ints("filter"), ints("strides"), ints("padding")
	var c C.struct_kerasrun_conv2d
	valid := len(filter) == C.KERASRUN_FILTER_SIZES && len(strides) == 2 && len(padding) == 4
	for _, n := range slices.Concat(filter, strides, padding) {
		valid = valid && 0 <= n && n <= math.MaxInt32
	}
	_, bytes := op.Attr["zero"]
	if valid {
		c.stride_h, c.stride_w = C.int64_t(strides[0]), C.int64_t(strides[1])
		c.pad_top, c.pad_bottom = C.int64_t(padding[0]), C.int64_t(padding[1])
		c.pad_left, c.pad_right = C.int64_t(padding[2]), C.int64_t(padding[3])
		var sizes [C.KERASRUN_FILTER_SIZES]C.int32_t
		for i, size := range filter {
			sizes[i] = C.int32_t(size)
		}
		C.kerasrun_conv2d_set_filter(&c, &sizes[0])
		if op.Attr["bf16"].GetB() {
			c.bf16 = 1
		}
	}
	if valid && bytes && C.kerasrun_qconv2d_valid(&c) != 0 {
		return c, nil
	}
	if !valid || bytes || C.kerasrun_conv2d_valid(&c) == 0 {
		return c, fmt.Errorf(
			"expected a filter of at least one pixel and 8 channels a group or a multiple, "+
				"2 strides and 4 paddings, got filter %v, strides %v, padding %v",
			filter,
			strides,
			padding,
		)
	}
	return c, nil
}

// PackedLength returns how many floats an operation's packed filter has. The error says what is
// wrong with the operation's attributes.
func PackedLength(op *nodepb.NodeDef) (int, error) {
	c, err := convolution(op)
	if err != nil {
		return 0, err
	}
	if _, bytes := op.Attr["zero"]; bytes {
		return int(C.kerasrun_qconv2d_packed_size(&c)), nil
	}
	return int(C.kerasrun_conv2d_packed_size(&c)), nil
}

// PackBytes is Pack of a filter of -127 to 127, which scales multiply, one for each output channel.
// A depthwise convolution's kernel is kernel[kh][kw][oc][1]. One that is dilated has the rows and
// columns of the filter that are no zeros.
func PackBytes(op *nodepb.NodeDef, shape []int64, kernel []int8, scales, packed []float32) error {
	c, err := convolution(op)
	if err != nil {
		return err
	}
	dilations := op.Attr["dilations"].GetList().GetI()
	if len(dilations) != 2 || slices.Min(dilations) < 1 {
		return fmt.Errorf("expected two dilations of 1 or more, got %v", dilations)
	}
	rows, columns := (int64(c.kh)-1)/dilations[0]+1, (int64(c.kw)-1)/dilations[1]+1
	want := []int64{rows, columns, int64(c.ic), int64(c.oc)}
	if c.ic == 1 && c.groups == c.oc {
		want[2], want[3] = want[3], 1
	}
	if len(shape) == 2 && c.kh*c.kw*c.groups == 1 {
		want = want[2:]
	}
	if !slices.Equal(shape, want) {
		return fmt.Errorf("expected a kernel of shape %v, got %v", want, shape)
	}
	pixel := int64(c.ic * c.oc)
	if n := int(rows * columns * pixel); len(kernel) != n || len(scales) != int(c.oc) {
		return fmt.Errorf("expected a kernel of %d numbers with %d scales, got %d with %d", n,
			int(c.oc), len(kernel), len(scales))
	}
	if n := int(C.kerasrun_qconv2d_packed_size(&c)); len(packed) != n {
		return fmt.Errorf("expected room for %d packed numbers, got %d", n, len(packed))
	}
	if slices.Min(kernel) < -127 {
		return fmt.Errorf("expected weights of -127 to 127, got %d", slices.Min(kernel))
	}
	if rows != int64(c.kh) || columns != int64(c.kw) {
		dilated := make([]int8, int64(c.kh*c.kw)*pixel)
		for i := range rows * columns {
			at := i/columns*dilations[0]*int64(c.kw) + i%columns*dilations[1]
			copy(dilated[at*pixel:], kernel[i*pixel:(i+1)*pixel])
		}
		kernel = dilated
	}
	multipliers := make([]float32, len(scales))
	for i, scale := range scales {
		multipliers[i] = op.Attr["scale"].GetF() * scale
	}
	filter, by := (*C.int8_t)(unsafe.SliceData(kernel)), (*C.float)(unsafe.SliceData(multipliers))
	to := (*C.float)(unsafe.SliceData(packed))
	C.kerasrun_qconv2d_pack(&c, filter, by, C.int32_t(op.Attr["zero"].GetI()), to)
	return nil
}

// Pack packs an operation's filter, kernel[kh][kw][ic][oc] or, for a product of matrices,
// kernel[ic][oc]: packed has it as the micro-kernels read it. It is an error if the shape or a
// length is not what the operation reads or writes. Register comes first.
func Pack(op *nodepb.NodeDef, shape []int64, kernel, packed []float32) error {
	c, err := convolution(op)
	if err != nil {
		return err
	}
	want := []int64{int64(c.kh), int64(c.kw), int64(c.ic), int64(c.oc)}
	if len(shape) == 2 && c.kh*c.kw*c.groups == 1 {
		want = want[2:]
	}
	if !slices.Equal(shape, want) {
		return fmt.Errorf("expected a kernel of shape %v, got %v", want, shape)
	}
	if n := int(c.kh * c.kw * c.ic * c.oc); len(kernel) != n {
		return fmt.Errorf("expected a kernel of %d numbers, got %d", n, len(kernel))
	}
	if n := int(C.kerasrun_conv2d_packed_size(&c)); len(packed) != n {
		return fmt.Errorf("expected room for %d packed numbers, got %d", n, len(packed))
	}
	filter, to := (*C.float)(unsafe.SliceData(kernel)), (*C.float)(unsafe.SliceData(packed))
	C.kerasrun_conv2d_pack(&c, filter, to)
	return nil
}
