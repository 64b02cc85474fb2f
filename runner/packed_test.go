package runner

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/tensor"
)

// TestKernelsInVariables holds that a model with its kernels in variables answers as one with constants does, in batches of each size, and
// how each precision gets there: fp32 packs, for others the graph is frozen.
func TestKernelsInVariables(t *testing.T) {
	if !usesOneDNN() {
		t.Fatal("TensorFlow computes without oneDNN: nothing is packed")
	}
	want := answers(t)
	images := want["tensor"]
	for precision, tolerance := range map[Precision]float64{FP32: 1e-5, BF16: 0.05} {
		m, constants := open(t, "kernels", WithPrecision(precision)), open(t, "conv", WithPrecision(precision))
		for _, rows := range []int64{1, 3, 1} {
			in, err := tensor.RowsOfAll(map[string]tensor.Tensor{"images": images}, 0, rows)
			if err != nil {
				t.Fatal(err)
			}
			expected, err := tensor.RowsOfAll(map[string]tensor.Tensor{"probs": want["tensor/probs"]}, 0, rows)
			if err != nil {
				t.Fatal(err)
			}
			out, err := m.Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			near(t, string(precision), expected["probs"], out["probs"], tolerance)
			features, err := m.RunSignature(t.Context(), "features", in)
			if err != nil {
				t.Fatal(err)
			}
			same, err := constants.RunSignature(t.Context(), "features", in)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "features", same["features"], features["features"], 1e-5)
		}
		packed, ops := map[bool]int{}, map[string]bool{}
		for _, op := range m.sessions[0].graph.Operations() {
			if mark, err := op.Attr("is_filter_const"); err == nil {
				packed[mark.(bool)]++
			}
			ops[op.Type()] = true
			if precision == FP32 && op.Type() == "Const" && op.Name() == "packed_0/filters" {
				t.Errorf("%s is a constant in the graph", op.Name())
			}
		}
		// Three convolutions of both signatures; a dense layer without a bias packs nothing, of a constant either.
		wantPacked := map[bool]int{}
		if precision == FP32 {
			wantPacked[true] = 6
		}
		if !cmp.Equal(wantPacked, packed) {
			t.Errorf("%s: operations by whether their kernel is marked as constant: want %v, got %v", precision, wantPacked, packed)
		}
		if ops["ReadVariableOp"] != (precision == FP32) {
			t.Errorf("%s: variables in the graph: %v", precision, ops["ReadVariableOp"])
		}
	}
}

// TestPackKernelsAlone holds that a variable that is no kernel is not packed: TensorFlow might compute something of what stands for it.
func TestPackKernelsAlone(t *testing.T) {
	m := open(t, "variables")
	signature, err := m.directory.Signature(m.tags, m.key)
	if err != nil {
		t.Fatal(err)
	}
	s := m.sessions[0]
	s.packing = []byte{}
	if _, err := s.call(signature); !matches(err, "as the kernel of [Conv2D DepthwiseConv2dNative MatMul] alone, got it as input 1 of Mul") {
		t.Errorf("%v, want that the variable is no kernel", err)
	}
}
