package serve

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/tensor"
	"kerasrun/tfserving"
)

// Values of each type, of which the last is repeated, and what is written of the tensor.
func TestTensorProto(t *testing.T) {
	shape := shapeProto(tensor.Shape{3})
	for _, c := range []struct {
		dtype tensor.DType
		proto *tfserving.TensorProto
		want  any
	}{
		{tensor.Float32, &tfserving.TensorProto{FloatVal: []float32{1, 2}}, []float32{1, 2, 2}},
		{tensor.Float64, &tfserving.TensorProto{DoubleVal: []float64{1}}, []float64{1, 1, 1}},
		{tensor.Int64, &tfserving.TensorProto{Int64Val: []int64{1, 2, 3}}, []int64{1, 2, 3}},
		{tensor.Int32, &tfserving.TensorProto{}, []int32{0, 0, 0}},
		{tensor.Int16, &tfserving.TensorProto{IntVal: []int32{-2}}, []int16{-2, -2, -2}},
		{tensor.Int8, &tfserving.TensorProto{IntVal: []int32{-128}}, []int8{-128, -128, -128}},
		{tensor.Uint8, &tfserving.TensorProto{TensorContent: []byte{1, 2, 3}}, []uint8{1, 2, 3}},
		{tensor.Uint16, &tfserving.TensorProto{IntVal: []int32{65535}},
			[]uint16{65535, 65535, 65535}},
		{tensor.Uint32, &tfserving.TensorProto{Uint32Val: []uint32{7}}, []uint32{7, 7, 7}},
		{tensor.Uint64, &tfserving.TensorProto{Uint64Val: []uint64{7}}, []uint64{7, 7, 7}},
		{tensor.Bool, &tfserving.TensorProto{BoolVal: []bool{true, false}},
			[]bool{true, false, false}},
		{tensor.Float16, &tfserving.TensorProto{HalfVal: []int32{0x3c00}},
			[]uint16{0x3c00, 0x3c00, 0x3c00}},
		{tensor.Bfloat16, &tfserving.TensorProto{HalfVal: []int32{0x3f80}},
			[]uint16{0x3f80, 0x3f80, 0x3f80}},
		{tensor.String, &tfserving.TensorProto{StringVal: [][]byte{[]byte("a")}},
			[][]byte{[]byte("a"), []byte("a"), []byte("a")}},
		{tensor.String, &tfserving.TensorProto{TensorContent: []byte("\x01\x00\x02abc")},
			[][]byte{[]byte("a"), {}, []byte("bc")}},
	} {
		c.proto.Dtype, c.proto.TensorShape = tfserving.DataType(c.dtype), shape
		held := &account{memory: newMemory(1 << 20)}
		got, err := readTensorProto(c.proto, held)
		if err != nil || got.DType != c.dtype || !slices.Equal(got.Shape, tensor.Shape{3}) ||
			!cmp.Equal(got.Data, c.want) {
			t.Errorf("%v: got %v, %v, want %v", c.dtype, got, err, c.want)
			continue
		}
		written, err := writeTensorProto(got)
		if err != nil {
			t.Errorf("%v: %v", c.dtype, err)
			continue
		}
		if back, err := readTensorProto(written, held); err != nil || !cmp.Equal(back, got) ||
			written.TensorContent != nil {
			t.Errorf("%v: written and read again: got %v, %v", c.dtype, back, err)
		}
	}
}

func TestReadTensorProtoRefuses(t *testing.T) {
	shape := func(sizes ...int64) *tfserving.TensorShapeProto {
		s := &tfserving.TensorShapeProto{}
		for _, n := range sizes {
			s.Dim = append(s.Dim, &tfserving.TensorShapeProto_Dim{Size: n})
		}
		return s
	}
	held := &account{memory: newMemory(1 << 20)}
	defer held.free()
	for _, c := range []struct {
		name  string
		proto *tfserving.TensorProto
		want  string
	}{
		{"unknown rank", &tfserving.TensorProto{Dtype: 1, TensorShape: &tfserving.TensorShapeProto{
			UnknownRank: true}}, "unknown rank"},
		{"negative", &tfserving.TensorProto{Dtype: 1, TensorShape: shape(-1)}, "negative"},
		{"overflow", &tfserving.TensorProto{Dtype: 1, TensorShape: shape(1<<40, 1<<40)},
			"more elements"},
		{"large", &tfserving.TensorProto{Dtype: 1, TensorShape: shape(1 << 40)}, "too much memory"},
		{"too many", &tfserving.TensorProto{Dtype: 1, TensorShape: shape(1),
			FloatVal: []float32{1, 2}}, "takes 1 elements, got 2"},
		{"content", &tfserving.TensorProto{Dtype: 1, TensorShape: shape(2),
			TensorContent: []byte{1}}, "expected 8 bytes, got 1"},
		{"largest", &tfserving.TensorProto{Dtype: 1, TensorShape: shape(1 << 62)}, "more elements"},
		{"long", &tfserving.TensorProto{Dtype: 7, TensorShape: shape(1 << 59)}, "too many elements"},
		{"out of range", &tfserving.TensorProto{Dtype: 4, TensorShape: shape(1), IntVal: []int32{256}},
			"out of the range of uint8"},
		{"strings without lengths", &tfserving.TensorProto{Dtype: 7, TensorShape: shape(1 << 50),
			TensorContent: []byte{1}}, "expected the lengths"},
		{"lengths cut short", &tfserving.TensorProto{Dtype: 7, TensorShape: shape(2),
			TensorContent: []byte{1, 0x80}}, "ends within the lengths"},
		{"string cut short", &tfserving.TensorProto{Dtype: 7, TensorShape: shape(1),
			TensorContent: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'}},
			"of which 1 are there"},
		{"bytes after strings", &tfserving.TensorProto{Dtype: 7, TensorShape: shape(1),
			TensorContent: []byte{1, 'a', 'b'}}, "1 bytes are left"},
		{"type", &tfserving.TensorProto{Dtype: 20, TensorShape: shape(1)}, "RESOURCE"},
	} {
		got, err := readTensorProto(c.proto, held)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", c.name, got, err, c.want)
		}
	}
}
