package serve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"kerasrun/tensor"
	"kerasrun/tfserving"
)

// readTensorProto reads a TensorProto as TensorFlow does: tensor_content, or values of the type, of
// which the last stands for all that are missing, and zeros where there are none. More values than
// the shape takes, and values that the type does not hold, are errors; TensorFlow drops them.
func readTensorProto(p *tfserving.TensorProto, held *account) (tensor.Tensor, error) {
	dtype, shape := tensor.DType(p.GetDtype()), tensor.Shape{}
	if p.GetTensorShape().GetUnknownRank() {
		return tensor.Tensor{}, errors.New("expected a shape, got one of unknown rank")
	}
	for _, dim := range p.GetTensorShape().GetDim() {
		shape = append(shape, dim.GetSize())
	}
	n, err := shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	if content := p.GetTensorContent(); len(content) > 0 {
		if dtype == tensor.String {
			return readStringContent(shape, n, content, held)
		}
		return tensor.FromBytes(dtype, shape, content)
	}
	r := valuesReader{shape, n, held}
	switch dtype {
	case tensor.Float32:
		return fill(r, p.GetFloatVal())
	case tensor.Float64:
		return fill(r, p.GetDoubleVal())
	case tensor.Int64:
		return fill(r, p.GetInt64Val())
	case tensor.Int32:
		return fill(r, p.GetIntVal())
	case tensor.Uint32:
		return fill(r, p.GetUint32Val())
	case tensor.Uint64:
		return fill(r, p.GetUint64Val())
	case tensor.Bool:
		return fill(r, p.GetBoolVal())
	case tensor.String:
		return fill(r, p.GetStringVal())
	case tensor.Uint8:
		return fillNarrow[uint8](r, p.GetIntVal())
	case tensor.Int8:
		return fillNarrow[int8](r, p.GetIntVal())
	case tensor.Int16:
		return fillNarrow[int16](r, p.GetIntVal())
	case tensor.Uint16:
		return fillNarrow[uint16](r, p.GetIntVal())
	case tensor.Float16, tensor.Bfloat16:
		t, err := fillNarrow[uint16](r, p.GetHalfVal())
		t.DType = dtype
		return t, err
	}
	return tensor.Tensor{}, fmt.Errorf("no tensor of %s can be held", dtype.Name())
}

// valuesReader makes a tensor of n elements, whose memory it reserves.
type valuesReader struct {
	shape tensor.Shape
	n     int64
	held  *account
}

// maxElements is more than fits any limit, and less than overflows as bytes.
const maxElements = 1 << 48

// check refuses more values than elements, and reserves size bytes for each element.
func (r valuesReader) check(values int, size int64) error {
	if int64(values) > r.n {
		return fmt.Errorf("shape %v takes %d elements, got %d", r.shape, r.n, values)
	}
	if r.n > maxElements {
		return fmt.Errorf("shape %v has too many elements", r.shape)
	}
	return r.held.take(r.n * size)
}

// fill makes a tensor of values, repeating the last, or of zeros where there are none. As many
// values as elements are kept and not copied.
func fill[T tensor.Element](r valuesReader, values []T) (tensor.Tensor, error) {
	if int64(len(values)) == r.n && r.n > 0 {
		return tensor.New(r.shape, values)
	}
	var zero T
	if err := r.check(len(values), int64(unsafe.Sizeof(zero))); err != nil {
		return tensor.Tensor{}, err
	}
	data := make([]T, r.n)
	for i := copy(data, values); len(values) > 0 && i < len(data); i++ {
		data[i] = values[len(values)-1]
	}
	return tensor.New(r.shape, data)
}

// fillNarrow is fill for numbers that the message has wider.
func fillNarrow[To int8 | int16 | uint8 | uint16](r valuesReader, wide []int32) (tensor.Tensor,
	error) {
	if err := r.check(len(wide), 2); err != nil {
		return tensor.Tensor{}, err
	}
	values, err := narrow[To](tensor.Shape{int64(len(wide))}, wide)
	if err != nil {
		return tensor.Tensor{}, err
	}
	return fill(r, values.Data.([]To))
}

// readStringContent reads strings in tensor_content: the length of each as a varint, then all of
// their bytes.
func readStringContent(shape tensor.Shape, n int64, content []byte, held *account) (tensor.Tensor,
	error) {
	if n > int64(len(content)) {
		return tensor.Tensor{}, fmt.Errorf("tensor_content: expected the lengths of %d strings, got "+
			"%d bytes", n, len(content))
	}
	if err := held.take(n * int64(unsafe.Sizeof(content))); err != nil {
		return tensor.Tensor{}, err
	}
	data := make([][]byte, n)
	text := content
	for range data {
		_, size := binary.Uvarint(text)
		if size <= 0 {
			return tensor.Tensor{}, errors.New("tensor_content ends within the lengths of strings")
		}
		text = text[size:]
	}
	for i := range data {
		length, size := binary.Uvarint(content)
		content = content[size:]
		if length > uint64(len(text)) {
			return tensor.Tensor{}, fmt.Errorf(
				"tensor_content: a string of %d bytes, of which %d are there", length, len(text))
		}
		data[i] = text[:length:length]
		text = text[length:]
	}
	if len(text) > 0 {
		return tensor.Tensor{}, fmt.Errorf("tensor_content: %d bytes are left after the last string",
			len(text))
	}
	return tensor.New(shape, data)
}

// writeTensorProto writes a tensor with the field of its type, as TensorFlow Serving answers. The
// message keeps the tensor's memory where it can.
func writeTensorProto(t tensor.Tensor) (*tfserving.TensorProto, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	p := &tfserving.TensorProto{Dtype: tfserving.DataType(t.DType), TensorShape: shapeProto(t.Shape)}
	switch data := t.Data.(type) {
	case []float32:
		p.FloatVal = data
	case []float64:
		p.DoubleVal = data
	case []int64:
		p.Int64Val = data
	case []int32:
		p.IntVal = data
	case []uint32:
		p.Uint32Val = data
	case []uint64:
		p.Uint64Val = data
	case []bool:
		p.BoolVal = data
	case [][]byte:
		p.StringVal = data
	case []uint8:
		p.IntVal = widen(data)
	case []int8:
		p.IntVal = widen(data)
	case []int16:
		p.IntVal = widen(data)
	case []uint16:
		if t.DType == tensor.Uint16 {
			p.IntVal = widen(data)
		} else {
			p.HalfVal = widen(data)
		}
	}
	return p, nil
}

func widen[T int8 | int16 | uint8 | uint16](data []T) []int32 {
	wide := make([]int32, len(data))
	for i, v := range data {
		wide[i] = int32(v)
	}
	return wide
}

// shapeProto writes a shape; nil is an unknown rank.
func shapeProto(shape tensor.Shape) *tfserving.TensorShapeProto {
	p := &tfserving.TensorShapeProto{UnknownRank: shape == nil}
	for _, n := range shape {
		p.Dim = append(p.Dim, &tfserving.TensorShapeProto_Dim{Size: n})
	}
	return p
}
