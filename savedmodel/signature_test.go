package savedmodel

import (
	"strings"
	"testing"

	"kerasrun/tensor"
)

func TestZeroInputs(t *testing.T) {
	s := Signature{Key: "serving_default", Inputs: map[string]TensorInfo{
		"images":  {DType: tensor.Float32, Shape: tensor.Shape{-1, 2, -1, 3}},
		"fixed":   {DType: tensor.Int64, Shape: tensor.Shape{4, 0}},
		"names":   {DType: tensor.String, Shape: tensor.Shape{-1}},
		"unknown": {DType: tensor.Bool},
	}}
	in, err := s.ZeroInputs(5)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]tensor.Shape{
		"images": {5, 2, 1, 3}, "fixed": {4, 0}, "names": {5}, "unknown": {},
	} {
		got := in[name]
		if got.DType != s.Inputs[name].DType || got.Shape.String() != want.String() {
			t.Errorf("%s: got %v %v, want shape %v", name, got.DType, got.Shape, want)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, v := range in["images"].Data.([]float32) {
		if v != 0 {
			t.Errorf("images: got %v, want zeros", v)
		}
	}

	for name, info := range map[string]TensorInfo{
		"a resource": {DType: resource, Shape: tensor.Shape{}},
		"vast":       {DType: tensor.Int8, Shape: tensor.Shape{1 << 40, 1 << 40}},
	} {
		s := Signature{Key: "s", Inputs: map[string]TensorInfo{"x": info}}
		_, err := s.ZeroInputs(1)
		if err == nil || !strings.Contains(err.Error(), `signature s: input "x"`) {
			t.Errorf("%s: got %v, want an error that names the input", name, err)
		}
	}
}

func TestLabels(t *testing.T) {
	m, err := Read(t.Context(), exported(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	classes, err := m.Labels()
	if err != nil || len(classes) != 5 || classes[4].Name != "e" {
		t.Errorf("got %v, %v, want 5 classes", classes, err)
	}

	m, err = Read(t.Context(), load(t, "dense"))
	if err != nil {
		t.Fatal(err)
	}
	if classes, err := m.Labels(); classes != nil || err != nil {
		t.Errorf("without a manifest: got %v, %v, want none", classes, err)
	}

	files := exported(t, nil)
	files["assets.extra/labels.json"].Data = []byte("{}")
	if m, err = Read(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	_, err = m.Labels()
	if err == nil || !strings.HasPrefix(err.Error(), "assets.extra/labels.json: ") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}
