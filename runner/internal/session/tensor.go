package session

/*
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

static TF_TString* string_at(void* data, size_t i) { return (TF_TString*)data + i; }

static void keep(void* data, size_t length, void* unused) {
  (void)data, (void)length, (void)unused;
}

// Makes a tensor of numbers that outlive it.
static TF_Tensor* borrow(float* numbers, int64_t n) {
  return TF_NewTensor(TF_FLOAT, &n, 1, numbers, n * sizeof(float), keep, NULL);
}
*/
import "C"

import (
	"bytes"
	"unsafe"

	"kerasrun/tensor"
)

// Tensor is a tensor in C memory, which the garbage collector does not see: Delete frees it.
type Tensor struct{ c *C.TF_Tensor }

// NewTensor copies a valid tensor into C memory.
func NewTensor(t tensor.Tensor) (*Tensor, error) {
	if t.DType == tensor.String {
		texts := t.Data.([][]byte)
		length := len(texts) * int(unsafe.Sizeof(C.TF_TString{}))
		b, err := NewBuffer(int64(length))
		if err != nil {
			return nil, err
		}
		for i, text := range texts {
			s := C.string_at(b.data, C.size_t(i))
			C.TF_StringInit(s)
			C.TF_StringCopy(s, (*C.char)(unsafe.Pointer(unsafe.SliceData(text))),
				C.size_t(len(text)))
		}
		return b.tensor(t.DType, t.Shape, length, len(texts)), nil
	}
	raw, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	b, err := NewBuffer(int64(len(raw)))
	if err != nil {
		return nil, err
	}
	copy(unsafe.Slice((*byte)(b.data), b.length), raw)
	return b.Tensor(t.DType, t.Shape, b.length), nil
}

// Borrow makes a tensor of one dimension of numbers outside of Go's memory. They have to outlive
// it.
func Borrow(numbers []float32) *Tensor {
	return &Tensor{C.borrow((*C.float)(unsafe.SliceData(numbers)), C.int64_t(len(numbers)))}
}

// Delete frees the tensor; a second time it does nothing.
func (t *Tensor) Delete() {
	if t.c != nil {
		C.TF_DeleteTensor(t.c)
		t.c = nil
	}
}

// Delete frees tensors.
func Delete(tensors []*Tensor) {
	for _, t := range tensors {
		t.Delete()
	}
}

// DType returns the type of the elements.
func (t *Tensor) DType() tensor.DType { return tensor.DType(C.TF_TensorType(t.c)) }

// Shape returns the sizes.
func (t *Tensor) Shape() tensor.Shape {
	shape := make(tensor.Shape, C.TF_NumDims(t.c))
	for i := range shape {
		shape[i] = int64(C.TF_Dim(t.c, C.int(i)))
	}
	return shape
}

// Float32s returns the elements of a tensor of float32 in row-major order, not copied: they are
// there until Delete. They are nil for other types, and after Delete.
func (t *Tensor) Float32s() []float32 {
	if t.c == nil || t.DType() != tensor.Float32 {
		return nil
	}
	return unsafe.Slice((*float32)(C.TF_TensorData(t.c)), C.TF_TensorByteSize(t.c)/C.sizeof_float)
}

// Int8s is Float32s of a tensor of int8.
func (t *Tensor) Int8s() []int8 {
	if t.c == nil || t.DType() != tensor.Int8 {
		return nil
	}
	return unsafe.Slice((*int8)(C.TF_TensorData(t.c)), C.TF_TensorByteSize(t.c))
}

// Value copies the tensor out of C memory.
func (t *Tensor) Value() (tensor.Tensor, error) {
	dtype, shape := t.DType(), t.Shape()
	data, length := C.TF_TensorData(t.c), int(C.TF_TensorByteSize(t.c))
	if dtype == tensor.String {
		n, err := shape.Elements()
		if err != nil {
			return tensor.Tensor{}, err
		}
		texts := make([][]byte, n)
		for i := range texts {
			s := C.string_at(data, C.size_t(i))
			data := (*byte)(unsafe.Pointer(C.TF_StringGetDataPointer(s)))
			texts[i] = bytes.Clone(unsafe.Slice(data, int(C.TF_StringGetSize(s))))
		}
		return tensor.New(shape, texts)
	}
	raw := make([]byte, length)
	copy(raw, unsafe.Slice((*byte)(data), length))
	return tensor.FromBytes(dtype, shape, raw)
}
