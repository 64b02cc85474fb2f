package tensor

import (
	"fmt"
	"slices"
)

// Rows returns the rows of the first dimension from from up to, not including, to. They share the
// tensor's memory where its elements have a fixed size. Appending to them does not overwrite the
// next row.
func (t Tensor) Rows(from, to int64) (Tensor, error) {
	if len(t.Shape) == 0 || from < 0 || from > to || to > t.Shape[0] {
		return Tensor{}, fmt.Errorf("tensor: expected rows of shape %v, got %d to %d", t.Shape,
			from, to)
	}
	shape := slices.Clone(t.Shape)
	shape[0] = to - from
	if data, ok := t.Data.([][]byte); ok {
		width := int64(len(data)) / max(t.Shape[0], 1)
		return New(shape, data[from*width:to*width:to*width])
	}
	raw, err := t.Bytes()
	if err != nil {
		return Tensor{}, err
	}
	width := int64(len(raw)) / max(t.Shape[0], 1)
	return FromBytes(t.DType, shape, raw[from*width:to*width:to*width])
}

// RowsOfAll returns the same rows of every tensor, by name; see Rows.
func RowsOfAll(tensors map[string]Tensor, from, to int64) (map[string]Tensor, error) {
	rows := make(map[string]Tensor, len(tensors))
	for name, t := range tensors {
		var err error
		if rows[name], err = t.Rows(from, to); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	return rows, nil
}

// Concat returns a copy of the rows of one or more tensors, one tensor after the other. Their types
// must be the same, and their shapes but for the first dimension.
func Concat(tensors []Tensor) (Tensor, error) {
	first := tensors[0]
	shape := slices.Clone(first.Shape)
	for i, t := range tensors {
		if len(t.Shape) == 0 || t.DType != first.DType ||
			!slices.Equal(t.Shape[1:], first.Shape[1:]) {
			return Tensor{}, fmt.Errorf("tensor: expected %v rows of %v, got %v %v", first.DType,
				first.Shape, t.DType, t.Shape)
		}
		if i > 0 {
			shape[0] += t.Shape[0]
		}
	}
	if first.DType == String {
		var data [][]byte
		for _, t := range tensors {
			data = append(data, t.Data.([][]byte)...)
		}
		return New(shape, data)
	}
	n, err := shape.Elements()
	if err != nil {
		return Tensor{}, err
	}
	raw := make([]byte, 0, n*int64(first.DType.Size()))
	for _, t := range tensors {
		b, err := t.Bytes()
		if err != nil {
			return Tensor{}, err
		}
		raw = append(raw, b...)
	}
	return FromBytes(first.DType, shape, raw)
}
