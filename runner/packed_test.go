package runner

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	conv "kerasrun/runner/internal/cpuconv"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// TestKernelsInVariables holds that a model with its kernels in variables answers as one with constants does, in batches of each size, and
// how each precision gets there: fp32 packs, for TensorFlow's convolutions or ours, bf16 for ours, and for others the graph is frozen.
func TestKernelsInVariables(t *testing.T) {
	if !usesOneDNN() {
		t.Fatal("TensorFlow computes without oneDNN: nothing is packed")
	}
	was := maps.Clone(ownConvolutions)
	t.Cleanup(func() { ownConvolutions = was })
	// Three convolutions of both signatures; a dense layer without a bias packs nothing, of a constant either.
	for _, test := range []struct {
		precision Precision
		own       bool
		tolerance float64
		packed    map[string]int
	}{
		{FP32, true, 1e-5, map[string]int{conv.Op: 6}},
		{FP32, false, 1e-5, map[string]int{"_MklNativeFusedConv2D": 6}},
		{BF16, true, 0.05, map[string]int{conv.Op: 6}},
		{BF16, false, 0.05, map[string]int{}},
	} {
		ownConvolutions[test.precision] = test.own
		testKernelsInVariables(t, fmt.Sprintf("%s, own convolutions %v", test.precision, test.own), test.precision, test.tolerance, test.packed)
	}
}

func testKernelsInVariables(t *testing.T, name string, precision Precision, tolerance float64, wantPacked map[string]int) {
	want := answers(t)
	images := want["tensor"]
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
		near(t, name, expected["probs"], out["probs"], tolerance)
		features, err := m.RunSignature(t.Context(), "features", in)
		if err != nil {
			t.Fatal(err)
		}
		same, err := constants.RunSignature(t.Context(), "features", in)
		if err != nil {
			t.Fatal(err)
		}
		near(t, name+": features", same["features"], features["features"], tolerance)
	}
	packed := map[string]int{}
	for _, signature := range m.signatures {
		for _, op := range signature.calls[0].session.graph.Operations() {
			if mark, err := op.Attr("is_filter_const"); op.Type() == conv.Op || err == nil && mark.(bool) {
				packed[op.Type()]++
			}
			if op.Type() == "ReadVariableOp" {
				t.Errorf("%s: each run reads the variable %s", name, op.Name())
			}
			if len(wantPacked) > 0 && op.Type() == "Const" && op.Name() == "filters" {
				t.Errorf("%s: %s is a constant in the graph", name, op.Name())
			}
		}
	}
	if !cmp.Equal(wantPacked, packed) {
		t.Errorf("%s: operations whose kernel is packed: want %v, got %v", name, wantPacked, packed)
	}
}

// TestForeignConvolutions holds that TensorFlow computes a graph whose convolutions are not all ours in each precision.
func TestForeignConvolutions(t *testing.T) {
	in := map[string]tensor.Tensor{"images": answers(t)["tensor"]}
	probs := map[Precision]tensor.Tensor{}
	for _, precision := range []Precision{FP32, BF16} {
		m := open(t, "elu", WithPrecision(precision))
		out, err := m.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		probs[precision] = out["probs"]
		for _, op := range m.signatures[m.key].calls[0].session.graph.Operations() {
			if op.Type() == conv.Op {
				t.Errorf("%s: the convolution %s is ours", precision, op.Name())
			}
		}
	}
	near(t, "bf16", probs[FP32], probs[BF16], 0.05)
	if cmp.Equal(probs[FP32], probs[BF16], cmpopts.EquateApprox(0, 1e-5)) {
		t.Error("the answers of bf16 are those of float32")
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

// TestPackWithoutMemory holds that each tensor is freed once where there is no memory for packed
// kernels: those that TensorFlow's operations read as they are, and those that ours would have packed.
func TestPackWithoutMemory(t *testing.T) {
	m := open(t, "kernels")
	signature, err := m.directory.Signature(m.tags, m.key)
	if err != nil {
		t.Fatal(err)
	}
	memory, del := newMemory, deleteTensor
	defer func() { newMemory, deleteTensor = memory, del }()
	newMemory = func(...int) (*conv.Memory, error) {
		return nil, errors.New("expected memory, got none")
	}
	deleted := map[*cTensor]int{}
	deleteTensor = func(tensor *cTensor) {
		if deleted[tensor]++; deleted[tensor] == 1 {
			del(tensor) // the first time alone: another one would end the tests
		}
	}
	if _, err := m.sessions[0].call(signature); !matches(err, "expected memory, got none") {
		t.Errorf("got %v, want that there is no memory", err)
	}
	if len(deleted) != 4 { // of three convolutions and a dense layer
		t.Errorf("freed %d tensors, want 4", len(deleted))
	}
	for tensor, n := range deleted {
		if n != 1 {
			t.Errorf("tensor %p: freed %d times, want 1", tensor, n)
		}
	}
}

// TestPackDamaged holds that a kernel of another shape than the graph says is an error: when the
// directory is scanned, and without that when the kernel is packed.
func TestPackDamaged(t *testing.T) {
	const stored = `variable "filters": expected shape (3, 3, 3, 8) as filters, got %v`
	const packed = "kernel Conv2D/ReadVariableOp: expected a kernel of shape [3 3 3 8], got %d"
	unscanned := WithScan(savedmodel.Skip(savedmodel.CheckVariables))
	for name, got := range map[string]tensor.Shape{"short": {1}, "exchanged": {3, 3, 8, 3}} {
		for want, options := range map[string][]Option{
			fmt.Sprintf(stored, got):          {trusted},
			fmt.Sprintf(packed, []int64(got)): {trusted, unscanned},
		} {
			m, err := Open(filepath.Join(models, name), options...)
			if !matches(err, want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
			if err == nil {
				m.Close()
			}
		}
	}
}
