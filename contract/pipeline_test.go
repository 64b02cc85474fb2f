package contract_test

import (
	"strings"
	"testing"

	"kerasrun/contract"
	"kerasrun/preprocess"
)

func TestPipeline(t *testing.T) {
	in := contract.Input{Name: "images", DType: "float32", Height: 24, Width: 32, Channels: 3,
		Layout: "NHWC", ColorOrder: "RGB",
		Mode: "torch", Resample: "lanczos", Fit: "center_crop"}
	want := preprocess.Pipeline{Width: 32, Height: 24, Filter: preprocess.Lanczos,
		Fit: preprocess.CenterCrop, Mode: preprocess.Torch}
	if got, err := in.Pipeline(); err != nil || got == nil || *got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, change := range []func(*contract.Input){
		func(in *contract.Input) { in.DType = "uint8" },
		func(in *contract.Input) { in.Layout = "NCHW" },
		func(in *contract.Input) { in.Channels = 1 },
		func(in *contract.Input) { in.ColorOrder = "BGR" },
		func(in *contract.Input) { in.Mode = "caffe" },
	} {
		other := in
		change(&other)
		if got, err := other.Pipeline(); err != nil || got != nil {
			t.Errorf("%+v: %v, %v; want none", other, got, err)
		}
	}
	for _, change := range []func(*contract.Input){
		func(in *contract.Input) { in.Mode = "x" },
		func(in *contract.Input) { in.Resample = "x" },
		func(in *contract.Input) { in.Fit = "x" },
	} {
		other := in
		change(&other)
		if _, err := other.Pipeline(); err == nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%+v: %v", other, err)
		}
	}
}
