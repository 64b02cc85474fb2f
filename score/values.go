package score

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"

	"kerasrun/tensor"
)

// The numbers of an output are written as a tensor's: in its own type, but for those of 16-bit
// floats, of which no format but NumPy's has any; they become float32, which has them all.

// elements are the Go types of the numbers that an output may hold.
var elements = map[tensor.DType]reflect.Type{
	tensor.Float32: reflect.TypeFor[float32](), tensor.Float64: reflect.TypeFor[float64](),
	tensor.Int8: reflect.TypeFor[int8](), tensor.Int16: reflect.TypeFor[int16](),
	tensor.Int32: reflect.TypeFor[int32](), tensor.Int64: reflect.TypeFor[int64](),
	tensor.Uint8: reflect.TypeFor[uint8](), tensor.Uint16: reflect.TypeFor[uint16](),
	tensor.Uint32: reflect.TypeFor[uint32](), tensor.Uint64: reflect.TypeFor[uint64](),
	tensor.Bool: reflect.TypeFor[bool](),
}

// written returns the type in which numbers of a type are written, and whether they can be.
func written(d tensor.DType) (tensor.DType, bool) {
	if d == tensor.Float16 || d == tensor.Bfloat16 {
		d = tensor.Float32
	}
	_, ok := elements[d]
	return d, ok
}

// toWrite returns a row in the type that it is written in.
func toWrite(t tensor.Tensor) (tensor.Tensor, error) {
	if d, _ := written(t.DType); d == t.DType {
		return t, nil
	}
	values, err := t.ConvertFloat32()
	if err != nil {
		return tensor.Tensor{}, err
	}
	return tensor.New(t.Shape, values)
}

// infinite returns the first number that is infinite, -1 where none is.
func infinite(t tensor.Tensor) int {
	switch data := t.Data.(type) {
	case []float32:
		for i, x := range data {
			if math.IsInf(float64(x), 0) {
				return i
			}
		}
	case []float64:
		for i, x := range data {
			if math.IsInf(x, 0) {
				return i
			}
		}
	}
	return -1
}

// floats returns a valid row's numbers for comparison; float64 has all but the largest integers.
func floats(t tensor.Tensor) []float64 {
	data := reflect.ValueOf(t.Data)
	out := make([]float64, data.Len())
	for i := range out {
		switch x := data.Index(i); {
		case x.CanFloat():
			out[i] = x.Float()
		case x.CanInt():
			out[i] = float64(x.Int())
		case x.CanUint():
			out[i] = float64(x.Uint())
		case x.Bool():
			out[i] = 1
		}
	}
	return out
}

// texts returns a row's numbers each as the shortest text that reads back as the same.
func texts(t tensor.Tensor) []string {
	data := reflect.ValueOf(t.Data)
	out := make([]string, data.Len())
	for i := range out {
		switch x := data.Index(i); {
		case x.CanFloat():
			out[i] = strconv.FormatFloat(x.Float(), 'g', -1, x.Type().Bits())
		default:
			out[i] = fmt.Sprint(x.Interface())
		}
	}
	return out
}

// parseNumbers is the row of a type and a shape whose numbers are written so.
func parseNumbers(d tensor.DType, shape tensor.Shape, texts []string) (tensor.Tensor, error) {
	element, ok := elements[d]
	if !ok {
		return tensor.Tensor{}, fmt.Errorf("expected a type of numbers, got %v", d)
	}
	data := reflect.MakeSlice(reflect.SliceOf(element), len(texts), len(texts))
	for i, text := range texts {
		x := data.Index(i)
		var err error
		switch {
		case x.CanFloat():
			var f float64
			f, err = strconv.ParseFloat(text, element.Bits())
			x.SetFloat(f)
		case x.CanInt():
			var n int64
			n, err = strconv.ParseInt(text, 10, element.Bits())
			x.SetInt(n)
		case x.CanUint():
			var n uint64
			n, err = strconv.ParseUint(text, 10, element.Bits())
			x.SetUint(n)
		default:
			var b bool
			b, err = strconv.ParseBool(text)
			x.SetBool(b)
		}
		if err != nil {
			return tensor.Tensor{}, err
		}
	}
	t := tensor.Tensor{DType: d, Shape: shape, Data: data.Interface()}
	return t, t.Validate()
}

// appendLists appends a row as numpy's tolist has it: lists in lists, a number where the shape is
// ().
func appendLists(dst []byte, t tensor.Tensor) []byte {
	data := reflect.ValueOf(t.Data)
	if t.DType == tensor.Uint8 { // encoding/json takes such a slice for bytes
		data = reflect.ValueOf(convertTo[uint16](data))
	}
	var lists func(shape tensor.Shape, from, to int)
	lists = func(shape tensor.Shape, from, to int) {
		switch {
		case len(shape) == 0:
			dst = appendJSON(dst, data.Index(from).Interface())
		case len(shape) == 1:
			dst = appendJSON(dst, data.Slice(from, to).Interface())
		default:
			size := (to - from) / max(int(shape[0]), 1)
			dst = append(dst, '[')
			for i := range int(shape[0]) {
				if i > 0 {
					dst = append(dst, ',')
				}
				lists(shape[1:], from+i*size, from+(i+1)*size)
			}
			dst = append(dst, ']')
		}
	}
	lists(t.Shape, 0, data.Len())
	return dst
}

func convertTo[T any](data reflect.Value) []T {
	out := make([]T, data.Len())
	for i := range out {
		out[i] = data.Index(i).Convert(reflect.TypeFor[T]()).Interface().(T)
	}
	return out
}

// parseLists reads what appendLists wrote. Lists of one depth have one length, as in an array.
func parseLists(d tensor.DType, rank int, text []byte) (tensor.Tensor, error) {
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	shape := make(tensor.Shape, rank)
	for i := range shape {
		shape[i] = -1
	}
	var numbers []string
	lengths := make([]int64, 0, rank) // of the lists that are open
	count := func() {
		if n := len(lengths); n > 0 {
			lengths[n-1]++
		}
	}
	for {
		token, err := in.Token()
		if err == io.EOF {
			t, err := parseNumbers(d, emptyAsZero(shape), numbers)
			return t, err
		}
		if err != nil {
			return tensor.Tensor{}, err
		}
		depth := len(lengths)
		switch token := token.(type) {
		case json.Delim:
			switch {
			case token == '[' && depth < rank:
				count()
				lengths = append(lengths, 0)
				continue
			case token == ']':
				if at := depth - 1; shape[at] < 0 || shape[at] == lengths[at] {
					shape[at] = lengths[at]
					lengths = lengths[:at]
					continue
				}
			}
		case json.Number:
			if depth == rank {
				count()
				numbers = append(numbers, token.String())
				continue
			}
		case bool:
			if depth == rank {
				count()
				numbers = append(numbers, strconv.FormatBool(token))
				continue
			}
		}
		return tensor.Tensor{}, fmt.Errorf("expected lists of %d dimensions and of one length each, "+
			"got %v at byte %d", rank, token, in.InputOffset())
	}
}

// emptyAsZero is the shape of lists of which the outer ones hold none.
func emptyAsZero(shape tensor.Shape) tensor.Shape {
	for i, n := range shape {
		shape[i] = max(n, 0)
	}
	return shape
}
