package savedmodel

import (
	"fmt"

	"kerasrun/tensor"
)

// ZeroInputs returns inputs of the signature, zeros and empty strings, to try or to warm a model
// with. A free first dimension gets batch rows; every other free dimension, 1. An input of unknown
// rank is a scalar.
func (s Signature) ZeroInputs(batch int64) (map[string]tensor.Tensor, error) {
	in := make(map[string]tensor.Tensor, len(s.Inputs))
	for name, info := range s.Inputs {
		shape := make(tensor.Shape, len(info.Shape))
		for i, size := range info.Shape {
			switch {
			case size >= 0:
				shape[i] = size
			case i == 0:
				shape[i] = batch
			default:
				shape[i] = 1
			}
		}
		t, err := zeros(info.DType, shape)
		if err != nil {
			return nil, fmt.Errorf("signature %s: input %q: %w", s.Key, name, err)
		}
		in[name] = t
	}
	return in, nil
}

func zeros(dtype tensor.DType, shape tensor.Shape) (tensor.Tensor, error) {
	n, err := shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	if dtype == tensor.String {
		return tensor.New(shape, make([][]byte, n))
	}
	return tensor.FromBytes(dtype, shape, make([]byte, n*int64(dtype.Size())))
}
