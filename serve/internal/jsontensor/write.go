package jsontensor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"kerasrun/tensor"
)

// Append appends a valid tensor to dst as nested lists, a scalar as a lone value. Floats have the
// fewest digits that give them back, always with a decimal point or an exponent, as TensorFlow
// Serving writes them; what is not finite is NaN, Infinity or -Infinity. Strings are text, which
// must be valid UTF-8, or with b64 {"b64": "..."}.
func Append(dst []byte, t tensor.Tensor, b64 bool) ([]byte, error) {
	w, err := newWriter(t, b64)
	if err != nil {
		return dst, err
	}
	return w.nested(dst, 0)
}

// AppendFlat appends a valid tensor's elements to dst as one list.
func AppendFlat(dst []byte, t tensor.Tensor) ([]byte, error) {
	n, err := t.Shape.Elements()
	if err != nil {
		return dst, err
	}
	t.Shape = tensor.Shape{n}
	return Append(dst, t, false)
}

// RowWriter appends the rows of a tensor one by one.
type RowWriter struct{ w *writer }

// NewRowWriter returns a writer of a valid tensor that has a first dimension.
func NewRowWriter(t tensor.Tensor, b64 bool) (*RowWriter, error) {
	if len(t.Shape) == 0 {
		return nil, fmt.Errorf("a scalar has no rows")
	}
	w, err := newWriter(t, b64)
	return &RowWriter{w}, err
}

// Append appends the next row; there are as many as the first dimension says.
func (r *RowWriter) Append(dst []byte) ([]byte, error) { return r.w.nested(dst, 1) }

type writer struct {
	shape tensor.Shape
	leaf  func(dst []byte, i int) ([]byte, error)
	next  int // element
}

func newWriter(t tensor.Tensor, b64 bool) (*writer, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	w := &writer{shape: t.Shape}
	switch data := t.Data.(type) {
	case []float32:
		w.leaf = func(dst []byte, i int) ([]byte, error) {
			return AppendFloat(dst, float64(data[i]),
				32), nil
		}
	case []float64:
		w.leaf = func(dst []byte, i int) ([]byte, error) {
			return AppendFloat(dst, data[i], 64),
				nil
		}
	case []int8:
		w.leaf = whole(data)
	case []int16:
		w.leaf = whole(data)
	case []int32:
		w.leaf = whole(data)
	case []int64:
		w.leaf = whole(data)
	case []uint8:
		w.leaf = whole(data)
	case []uint32:
		w.leaf = whole(data)
	case []uint64:
		w.leaf = func(dst []byte, i int) ([]byte, error) {
			return strconv.AppendUint(dst, data[i], 10), nil
		}
	case []bool:
		w.leaf = func(dst []byte, i int) ([]byte, error) {
			return strconv.AppendBool(dst, data[i]),
				nil
		}
	case [][]byte:
		w.leaf = func(dst []byte, i int) ([]byte, error) { return appendBytes(dst, data[i], b64) }
	case []uint16:
		if t.DType != tensor.Uint16 {
			return nil, fmt.Errorf("%v has no form in JSON", t.DType)
		}
		w.leaf = whole(data)
	}
	return w, nil
}

func whole[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](data []T) func([]byte,
	int) ([]byte, error) {
	return func(dst []byte, i int) ([]byte, error) {
		return strconv.AppendInt(dst, int64(data[i]),
			10), nil
	}
}

func (w *writer) nested(dst []byte, level int) ([]byte, error) {
	if level == len(w.shape) {
		w.next++
		return w.leaf(dst, w.next-1)
	}
	dst = append(dst, '[')
	for i := range w.shape[level] {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		var err error
		if dst, err = w.nested(dst, level+1); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// AppendFloat appends a float of that many bits to dst.
func AppendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'g', -1, bits)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// AppendString appends text to dst as a JSON string.
func AppendString(dst []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can be marshalled
	}
	return append(dst, quoted...)
}

func appendBytes(dst, data []byte, b64 bool) ([]byte, error) {
	if b64 {
		dst = append(dst, `{"b64": "`...)
		dst = base64.StdEncoding.AppendEncode(dst, data)
		return append(dst, `"}`...), nil
	}
	if !utf8.Valid(data) {
		return dst, fmt.Errorf(
			"bytes that are not UTF-8 have no form in JSON; ask for them in binary")
	}
	return AppendString(dst, string(data)), nil
}
