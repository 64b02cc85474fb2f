package golden

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"kerasrun/contract"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// plainInput stands before the names of plain inputs in a case's npz file.
const plainInput = "inputs/"

// references are the arrays of one case.
type references struct {
	name    string
	image   []byte
	decoded tensor.Tensor // uint8 (height, width, channels) of the image; of an input of images
	resized tensor.Tensor // uint8 or float32 (height, width, channels) of the model's input
	tensor  tensor.Tensor // as the model takes it, without the batch
	inputs  map[string]tensor.Tensor
	outputs []tensor.Tensor // in the order of Pack.Outputs, without the batch dimension
}

// bytes is what the inputs and outputs take.
func (r *references) bytes() (n int64) {
	for _, t := range slices.AppendSeq(slices.Clone(r.outputs), maps.Values(r.inputs)) {
		if texts, ok := t.Data.([][]byte); ok {
			for _, text := range texts {
				n += int64(len(text))
			}
			continue
		}
		elements, _ := t.Shape.Elements() // it was read
		n += elements * int64(t.DType.Size())
	}
	return n
}

// read reads a case's files. The pack has the contract of a model.
func (p *Pack) read(c Case) (*references, error) {
	image, err := readFile(filepath.Join(p.Dir, c.Image), maxImageBytes)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(p.Dir, c.Arrays)
	if err := checkRegular(path); err != nil {
		return nil, err
	}
	arrays, err := npy.ReadZip(path)
	if err != nil {
		return nil, err
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
	}
	array := func(key string, shape tensor.Shape, dtypes ...tensor.DType) tensor.Tensor {
		t, ok := arrays[key]
		if !ok {
			fault("expected an array %q, got none", key)
			return t
		}
		if err := shape.Accepts(t.Shape); err != nil {
			fault("%s: shape: %w", key, err)
		}
		if len(dtypes) > 0 && !slices.Contains(dtypes, t.DType) {
			fault("%s: expected %v, got %v", key, dtypes[0], t.DType)
		}
		return t
	}
	r := &references{name: c.Name, image: image, inputs: map[string]tensor.Tensor{}}
	for _, in := range p.Inputs {
		dtype, err := tensor.ParseDType(in.DType)
		if err != nil {
			fault("input %q: %w", in.Name, err)
		}
		switch in.Kind {
		case contract.KindImage:
			height, width := in.Size()
			h, w, channels := int64(height), int64(width), int64(in.Channels())
			r.decoded = array("decoded", tensor.Shape{-1, -1, channels}, tensor.Uint8)
			r.resized = array("resized", tensor.Shape{h, w, channels}, tensor.Uint8, tensor.Float32)
			r.tensor = array("tensor", in.Shape[1:], dtype)
			r.inputs[in.Name] = r.tensor
		case contract.KindEncoded:
			r.inputs[in.Name] = tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{},
				Data: [][]byte{image}}
		default:
			r.inputs[in.Name] = array(plainInput+in.Name, in.Shape[1:], dtype)
		}
	}
	for _, name := range p.Outputs {
		r.outputs = append(r.outputs, array(name, nil))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return r, nil
}
