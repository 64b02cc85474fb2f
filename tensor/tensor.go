package tensor

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// Tensor is a dense tensor. Data is a slice of the Go type of DType, row-major, as long as the
// product of Shape:
//
//	Float32 []float32   Float64 []float64   Bfloat16, Float16, Uint16 []uint16 (the bits)
//	Int8    []int8      Int16   []int16     Int32 []int32   Int64  []int64
//	Uint8   []uint8     Uint32  []uint32    Uint64 []uint64 Bool   []bool   String [][]byte
type Tensor struct {
	DType DType
	Shape Shape
	Data  any
}

// Element is a Go type that New can tell the DType of.
type Element interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 |
		bool | []byte
}

// New returns the tensor of data, which it keeps and does not copy. []uint16 makes a Uint16 tensor;
// the 16-bit float types need a Tensor literal.
func New[T Element](shape Shape, data []T) (Tensor, error) {
	t := Tensor{Shape: shape, Data: data}
	switch any(data).(type) {
	case []float32:
		t.DType = Float32
	case []float64:
		t.DType = Float64
	case []int8:
		t.DType = Int8
	case []int16:
		t.DType = Int16
	case []int32:
		t.DType = Int32
	case []int64:
		t.DType = Int64
	case []uint8:
		t.DType = Uint8
	case []uint16:
		t.DType = Uint16
	case []uint32:
		t.DType = Uint32
	case []uint64:
		t.DType = Uint64
	case []bool:
		t.DType = Bool
	case [][]byte:
		t.DType = String
	}
	return t, t.Validate()
}

// Validate returns an error unless Data is a slice of DType's Go type with as many elements as
// Shape, which must be known.
func (t Tensor) Validate() error {
	want, err := t.Shape.Elements()
	if err != nil {
		return err
	}
	got, ok := t.length()
	if !ok {
		return fmt.Errorf("tensor: %v elements cannot be held in Go's %T", t.DType, t.Data)
	}
	if int64(got) != want {
		return fmt.Errorf("tensor: shape %v: expected %d elements, got %d", t.Shape, want, got)
	}
	return nil
}

// length returns the number of elements in Data; false where Data is not of DType's Go type.
func (t Tensor) length() (int, bool) {
	switch data := t.Data.(type) {
	case []float32:
		return len(data), t.DType == Float32
	case []float64:
		return len(data), t.DType == Float64
	case []int8:
		return len(data), t.DType == Int8
	case []int16:
		return len(data), t.DType == Int16
	case []int32:
		return len(data), t.DType == Int32
	case []int64:
		return len(data), t.DType == Int64
	case []uint8:
		return len(data), t.DType == Uint8
	case []uint16:
		return len(data), t.DType == Uint16 || t.DType == Float16 || t.DType == Bfloat16
	case []uint32:
		return len(data), t.DType == Uint32
	case []uint64:
		return len(data), t.DType == Uint64
	case []bool:
		return len(data), t.DType == Bool
	case [][]byte:
		return len(data), t.DType == String
	}
	return 0, false
}

// Float32s returns the elements of a valid Float32 tensor, row-major, without a copy.
func (t Tensor) Float32s() ([]float32, error) {
	if t.DType != Float32 {
		return nil, fmt.Errorf("tensor: expected float32 elements, got %v", t.DType)
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t.Data.([]float32), nil
}

// littleEndian says whether this machine's numbers lie in memory as the bytes of a tensor do.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// Bytes returns the elements of a valid tensor as little-endian bytes, row-major. On a
// little-endian machine they are the tensor's own memory; otherwise a copy. A String tensor has no
// such bytes.
func (t Tensor) Bytes() ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if !littleEndian && t.DType != String {
		return binary.Append(nil, binary.LittleEndian, t.Data)
	}
	switch data := t.Data.(type) {
	case []float32:
		return view[byte](data), nil
	case []float64:
		return view[byte](data), nil
	case []int8:
		return view[byte](data), nil
	case []int16:
		return view[byte](data), nil
	case []int32:
		return view[byte](data), nil
	case []int64:
		return view[byte](data), nil
	case []uint8:
		return data, nil
	case []uint16:
		return view[byte](data), nil
	case []uint32:
		return view[byte](data), nil
	case []uint64:
		return view[byte](data), nil
	case []bool:
		return view[byte](data), nil
	}
	return nil, fmt.Errorf("tensor: %v elements have no fixed size in bytes", t.DType)
}

// FromBytes returns the tensor whose elements are raw, little-endian and row-major; len(raw) must
// be what shape and type take. Where the machine's byte order and raw's alignment allow, the tensor
// keeps raw and does not copy it.
func FromBytes(d DType, shape Shape, raw []byte) (Tensor, error) {
	n, err := shape.Elements()
	if err != nil {
		return Tensor{}, err
	}
	if d.Size() == 0 {
		return Tensor{}, fmt.Errorf("tensor: %v elements have no fixed size in bytes", d)
	}
	if want := n * int64(d.Size()); int64(len(raw)) != want {
		return Tensor{}, fmt.Errorf("tensor: %v of shape %v: expected %d bytes, got %d", d, shape,
			want,
			len(raw))
	}
	t := Tensor{DType: d, Shape: shape}
	switch d {
	case Float32:
		t.Data = elements[float32](raw)
	case Float64:
		t.Data = elements[float64](raw)
	case Int8:
		t.Data = elements[int8](raw)
	case Int16:
		t.Data = elements[int16](raw)
	case Int32:
		t.Data = elements[int32](raw)
	case Int64:
		t.Data = elements[int64](raw)
	case Uint8:
		t.Data = raw
	case Uint16, Float16, Bfloat16:
		t.Data = elements[uint16](raw)
	case Uint32:
		t.Data = elements[uint32](raw)
	case Uint64:
		t.Data = elements[uint64](raw)
	case Bool:
		// A Go bool of another value than 0 and 1 behaves as neither true nor false.
		for i, b := range raw {
			if b > 1 {
				return Tensor{}, fmt.Errorf("tensor: bool element %d is %d, neither 0 nor 1", i, b)
			}
		}
		t.Data = elements[bool](raw)
	}
	return t, t.Validate()
}

type fixed interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool
}

// elements returns little-endian bytes as a slice of numbers: the same memory where it can be.
func elements[T fixed](raw []byte) []T {
	size := int(unsafe.Sizeof(*new(T)))
	if len(raw) == 0 {
		return []T{}
	}
	if littleEndian && uintptr(unsafe.Pointer(&raw[0]))%unsafe.Alignof(*new(T)) == 0 {
		return view[T](raw)
	}
	data := make([]T, len(raw)/size)
	if littleEndian {
		copy(view[byte](data), raw)
	} else if _, err := binary.Decode(raw, binary.LittleEndian, data); err != nil {
		panic(err) // the lengths are equal
	}
	return data
}

// view returns the memory of data as elements of another size. It is aligned and its bytes divide
// evenly.
func view[To, From fixed](data []From) []To {
	if len(data) == 0 {
		return []To{}
	}
	n := len(data) * int(unsafe.Sizeof(data[0])) / int(unsafe.Sizeof(*new(To)))
	return unsafe.Slice((*To)(unsafe.Pointer(unsafe.SliceData(data))), n)
}
