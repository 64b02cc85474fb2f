package tensor_test

import (
	"encoding/json"
	"math"
	"os/exec"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/tensor"
)

// TestConvertHalves compares every float16 and bfloat16 with NumPy's and ml_dtypes' values.
func TestConvertHalves(t *testing.T) {
	python := pythontest.Python(t)
	out, err := exec.Command(python, "-c", `
import json, numpy, ml_dtypes
bits = numpy.arange(65536, dtype=numpy.uint16)
print(json.dumps([bits.view(d).astype(numpy.float32).view(numpy.uint32).tolist()
                  for d in (numpy.float16, ml_dtypes.bfloat16)]))`).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [2][]uint32
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	bits := make([]uint16, 65536)
	for i := range bits {
		bits[i] = uint16(i)
	}
	for n, dtype := range []tensor.DType{tensor.Float16, tensor.Bfloat16} {
		x := tensor.Tensor{DType: dtype, Shape: tensor.Shape{65536}, Data: bits}
		got, err := x.ConvertFloat32()
		if err != nil {
			t.Fatal(err)
		}
		for i := range bits {
			value := math.Float32frombits(want[n][i])
			if got[i] != value && !(got[i] != got[i] && value != value) {
				t.Fatalf("%v %#04x: got %v, want %v", dtype, i, got[i], value)
			}
		}
	}
}

func TestConvertFloat32(t *testing.T) {
	for name, c := range map[string]struct {
		data any
		t    tensor.DType
	}{
		"float32": {[]float32{1, 250}, tensor.Float32},
		"float64": {[]float64{1, 250}, tensor.Float64},
		"int64":   {[]int64{1, 250}, tensor.Int64},
		"uint8":   {[]uint8{1, 250}, tensor.Uint8},
		"uint16":  {[]uint16{1, 250}, tensor.Uint16},
	} {
		got, err := tensor.Tensor{DType: c.t, Shape: tensor.Shape{2}, Data: c.data}.ConvertFloat32()
		if err != nil || got[0] != 1 || got[1] != 250 {
			t.Errorf("%s: got %v, %v, want 1, 250", name, got, err)
		}
	}
	text := tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{1}, Data: [][]byte{{}}}
	if _, err := text.ConvertFloat32(); err == nil {
		t.Error("string: got no error, want one")
	}
}
