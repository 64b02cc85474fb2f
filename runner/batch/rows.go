package batch

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"kerasrun/tensor"
)

// rowsOf returns the number of rows that a request's tensors agree on, and a key that is the same for requests which can be joined:
// the same inputs, of the same types and shapes but for the first dimension.
func rowsOf(in map[string]tensor.Tensor) (rows int, key string, err error) {
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	sort.Strings(names)
	var text strings.Builder
	for i, name := range names {
		t := in[name]
		if err := t.Validate(); err != nil {
			return 0, "", fmt.Errorf("batch: input %q: %w", name, err)
		}
		if len(t.Shape) == 0 || t.Shape[0] < 1 {
			return 0, "", fmt.Errorf("batch: input %q: want a first dimension of one or more rows, got shape %v", name, t.Shape)
		}
		if i > 0 && int(t.Shape[0]) != rows {
			return 0, "", fmt.Errorf("batch: input %q has %d rows, input %q has %d", name, t.Shape[0], names[0], rows)
		}
		rows = int(t.Shape[0])
		fmt.Fprintf(&text, "%q %d %v\n", name, t.DType, t.Shape[1:])
	}
	if rows == 0 {
		return 0, "", fmt.Errorf("batch: want at least one input, got none")
	}
	return rows, text.String(), nil
}

// concat joins the rows of tensors that have the same type and the same shape but for the first dimension, and adds padding copies of
// the first row.
func concat(parts []tensor.Tensor, padding int) (tensor.Tensor, error) {
	first := parts[0]
	if padding > 0 {
		row, err := slice(first, 0, 1)
		if err != nil {
			return tensor.Tensor{}, err
		}
		parts = slices.Concat(parts, slices.Repeat([]tensor.Tensor{row}, padding))
	}
	shape := slices.Clone(first.Shape)
	shape[0] = 0
	for _, part := range parts {
		shape[0] += part.Shape[0]
	}
	if first.DType == tensor.String {
		var data [][]byte
		for _, part := range parts {
			data = append(data, part.Data.([][]byte)...)
		}
		return tensor.New(shape, data)
	}
	n, err := shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	raw := make([]byte, 0, n*int64(first.DType.Size()))
	for _, part := range parts {
		b, err := part.Bytes()
		if err != nil {
			return tensor.Tensor{}, err
		}
		raw = append(raw, b...)
	}
	return tensor.FromBytes(first.DType, shape, raw)
}

// slice returns rows from up to (not including) to of a tensor, in the tensor's own memory where it can be. What is appended to the
// result never reaches the next row.
func slice(t tensor.Tensor, from, to int64) (tensor.Tensor, error) {
	shape := slices.Clone(t.Shape)
	shape[0] = to - from
	if data, ok := t.Data.([][]byte); ok {
		width := int64(len(data)) / t.Shape[0]
		return tensor.New(shape, data[from*width:to*width:to*width])
	}
	raw, err := t.Bytes()
	if err != nil {
		return tensor.Tensor{}, err
	}
	width := int64(len(raw)) / t.Shape[0]
	return tensor.FromBytes(t.DType, shape, raw[from*width:to*width:to*width])
}

// sliceAll slices every tensor of a request or of an answer.
func sliceAll(tensors map[string]tensor.Tensor, from, to int64) (map[string]tensor.Tensor, error) {
	out := make(map[string]tensor.Tensor, len(tensors))
	for name, t := range tensors {
		var err error
		if out[name], err = slice(t, from, to); err != nil {
			return nil, fmt.Errorf("batch: %q: %w", name, err)
		}
	}
	return out, nil
}
