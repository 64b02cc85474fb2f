package contract_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/contract"
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// TestPipelineOfFormat1 makes the pipeline of what format 1 says of an image.
func TestPipelineOfFormat1(t *testing.T) {
	in := contract.Input1{Name: "images", DType: "float32", Height: 24, Width: 32, Channels: 3,
		Layout: "NHWC", ColorOrder: "RGB",
		Mode: "torch", Resample: "lanczos", Fit: "center_crop"}
	want := &preprocess.Pipeline{
		Resize: preprocess.Resize{Method: preprocess.Lanczos, Fit: preprocess.ShortSide,
			ShortSide: 36},
		DType: tensor.Float32, Width: 32, Height: 24,
	}
	var err error
	if want.Decode.Color, want.Normalize, err = preprocess.KerasMode("torch"); err != nil {
		t.Fatal(err)
	}
	got, err := in.Input().Pipeline()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("got %v, -want +got:\n%s", err, diff)
	}
	for _, change := range []func(*contract.Input1){
		func(in *contract.Input1) { in.DType = "uint8" },
		func(in *contract.Input1) { in.Layout = "NCHW" },
		func(in *contract.Input1) { in.Channels = 1 },
		func(in *contract.Input1) { in.ColorOrder = "BGR" },
		func(in *contract.Input1) { in.Mode = "caffe" },
	} {
		other := in
		change(&other)
		if got, err := other.Input().Pipeline(); err != nil || got != nil {
			t.Errorf("%+v: got %v, %v, want none", other, got, err)
		}
	}
}

func TestPipelineListsFaults(t *testing.T) {
	m, err := contract.Parse(valid(t))
	if err != nil {
		t.Fatal(err)
	}
	in := *m.Image()
	in.Decode = &contract.Decode{By: "x", Color: "y"}
	in.DType = "z"
	_, err = in.Pipeline()
	for _, want := range []string{`input "images"`, `decode.by`, `"x"`, `decode.color`, `"y"`,
		"dtype", `"z"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
