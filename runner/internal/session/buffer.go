package session

/*
#include "buffer.h"
#include "pages.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"kerasrun/tensor"
)

// Buffer is C memory for a tensor's elements. Either Tensor gives it away, or Free frees it.
type Buffer struct {
	data   unsafe.Pointer
	length int // bytes
}

// NewBuffer returns so many bytes, aligned as TensorFlow wants them, and not initialised.
func NewBuffer(length int64) (Buffer, error) {
	// TensorFlow takes no null pointer for the data of an empty tensor.
	data := C.kerasrun_buffer_alloc(C.size_t(max(length, 1)))
	if data == nil {
		return Buffer{}, fmt.Errorf("out of memory: a tensor of %d bytes", length)
	}
	return Buffer{data, int(length)}, nil
}

// Free frees the memory.
func (b Buffer) Free() { C.kerasrun_buffer_free(b.data) }

// Float32s is the memory as numbers.
func (b Buffer) Float32s() []float32 { return unsafe.Slice((*float32)(b.data), b.length/4) }

// Tensor makes the buffer's first bytes a tensor of this type and shape, and gives the buffer away.
// The elements must be initialised.
func (b Buffer) Tensor(dtype tensor.DType, shape tensor.Shape, length int) *Tensor {
	return b.tensor(dtype, shape, length, 0)
}

// tensor is Tensor for elements that begin with some strings.
func (b Buffer) tensor(dtype tensor.DType, shape tensor.Shape, length, strings int) *Tensor {
	dims := unsafe.SliceData(shape)
	return &Tensor{C.kerasrun_buffer_tensor(C.TF_DataType(dtype),
		(*C.int64_t)(unsafe.Pointer(dims)), C.int(len(shape)),
		b.data, C.size_t(length), C.size_t(strings))}
}

// Trim gives free memory back to the system, spare buffers included, and drops clean file-backed
// pages of TensorFlow's libraries (MADV_DONTNEED).
func Trim() {
	C.kerasrun_buffer_trim()
	C.kerasrun_drop_pages()
}
