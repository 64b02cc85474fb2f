package contract

import (
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// Pipeline returns the preprocessing that the input states. It is nil where the input is not what
// package preprocess makes of an image: float32, height x width x 3, BGR in caffe mode and RGB
// otherwise.
func (i Input) Pipeline() (*preprocess.Pipeline, error) {
	filter, err := preprocess.ParseFilter(i.Resample)
	if err != nil {
		return nil, err
	}
	fit, err := preprocess.ParseFit(i.Fit)
	if err != nil {
		return nil, err
	}
	mode, err := preprocess.ParseMode(i.Mode)
	if err != nil {
		return nil, err
	}
	order := "RGB"
	if mode == preprocess.Caffe {
		order = "BGR"
	}
	if i.DType != tensor.Float32.String() || i.Layout != "NHWC" || i.Channels != 3 ||
		i.ColorOrder != order {
		return nil, nil
	}
	return &preprocess.Pipeline{Width: i.Width, Height: i.Height, Filter: filter, Fit: fit,
		Mode: mode}, nil
}
