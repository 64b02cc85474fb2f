package tensor

import (
	"fmt"
	"strings"
)

// DType is the type of a tensor's elements, with the numbers of TensorFlow's own enum
// (types.proto).
type DType int32

// The types whose elements a Tensor can hold.
const (
	Float32  DType = 1
	Float64  DType = 2
	Int32    DType = 3
	Uint8    DType = 4
	Int16    DType = 5
	Int8     DType = 6
	String   DType = 7
	Int64    DType = 9
	Bool     DType = 10
	Bfloat16 DType = 14
	Uint16   DType = 17
	Float16  DType = 19
	Uint32   DType = 22
	Uint64   DType = 23
)

// dtypes names every type of types.proto. A size of 0 marks those of which a Tensor holds no
// fixed-size elements.
var dtypes = map[DType]struct {
	name, protoName string
	size            int
}{
	Float32:  {"float32", "DT_FLOAT", 4},
	Float64:  {"float64", "DT_DOUBLE", 8},
	Int32:    {"int32", "DT_INT32", 4},
	Uint8:    {"uint8", "DT_UINT8", 1},
	Int16:    {"int16", "DT_INT16", 2},
	Int8:     {"int8", "DT_INT8", 1},
	String:   {"string", "DT_STRING", 0},
	8:        {"complex64", "DT_COMPLEX64", 0},
	Int64:    {"int64", "DT_INT64", 8},
	Bool:     {"bool", "DT_BOOL", 1},
	11:       {"qint8", "DT_QINT8", 0},
	12:       {"quint8", "DT_QUINT8", 0},
	13:       {"qint32", "DT_QINT32", 0},
	Bfloat16: {"bfloat16", "DT_BFLOAT16", 2},
	15:       {"qint16", "DT_QINT16", 0},
	16:       {"quint16", "DT_QUINT16", 0},
	Uint16:   {"uint16", "DT_UINT16", 2},
	18:       {"complex128", "DT_COMPLEX128", 0},
	Float16:  {"float16", "DT_HALF", 2},
	20:       {"resource", "DT_RESOURCE", 0},
	21:       {"variant", "DT_VARIANT", 0},
	Uint32:   {"uint32", "DT_UINT32", 4},
	Uint64:   {"uint64", "DT_UINT64", 8},
}

// String returns NumPy's name of the type, as "float32"; of a type with no name, as "dtype(99)".
func (d DType) String() string {
	if t, ok := dtypes[d]; ok {
		return t.name
	}
	return fmt.Sprintf("dtype(%d)", int32(d))
}

// Name returns TensorFlow's name of the type, as "DT_FLOAT"; of a type with no name, as
// "dtype(99)".
func (d DType) Name() string {
	if t, ok := dtypes[d]; ok {
		return t.protoName
	}
	return d.String()
}

// Size returns the bytes that one element takes; 0 for String and for every type that a Tensor
// cannot hold.
func (d DType) Size() int { return dtypes[d].size }

// ParseDType reads a type's name in either spelling, "float32" or "DT_FLOAT".
func ParseDType(name string) (DType, error) {
	for d, t := range dtypes {
		if name == t.name || name == t.protoName {
			return d, nil
		}
	}
	var known []string
	for _, d := range []DType{Float32, Float64, Float16, Bfloat16, Int8, Int16, Int32, Int64, Uint8,
		Uint16, Uint32, Uint64, Bool, String} {
		known = append(known, d.String())
	}
	return 0, fmt.Errorf("tensor: no data type is called %q; known are %s", name,
		strings.Join(known, ", "))
}
