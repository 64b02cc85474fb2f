package runner

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

// buffer is C memory for a tensor's elements, as long as it is not in a feed.
type buffer struct {
	data   unsafe.Pointer
	length int // bytes
}

func newBuffer(length int64) (buffer, error) {
	// TensorFlow takes no null pointer for the data of an empty tensor.
	data := C.kerasrun_take(C.size_t(max(length, 1)))
	if data == nil {
		return buffer{}, fmt.Errorf("out of memory: a tensor of %d bytes", length)
	}
	return buffer{data, int(length)}, nil
}

func (b buffer) free() { C.kerasrun_give_back(b.data) }

// feed makes the buffer's beginning a tensor of this type and shape, and gives the buffer away. The elements must be initialised.
func (b buffer) feed(dtype tensor.DType, shape tensor.Shape, length, strings int) *feed {
	dims := unsafe.SliceData(shape)
	return &feed{C.kerasrun_tensor(C.TF_DataType(dtype), (*C.int64_t)(unsafe.Pointer(dims)), C.int(len(shape)), b.data,
		C.size_t(length), C.size_t(strings))}
}

// trim gives memory back to the system that is free, spare buffers included, and pages of TensorFlow's libraries that the file has too.
func trim() {
	C.kerasrun_trim()
	C.kerasrun_drop_pages()
}
