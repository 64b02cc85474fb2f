package runner

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kerasrun/runner/internal/cpuconv"
	"kerasrun/runner/internal/session"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// TestKernelsInVariables holds that a model with its kernels in variables answers as one with
// constants does, in batches of each size, and how each precision gets there: fp32 packs, for
// TensorFlow's convolutions or ours, bf16 for ours, and for others the graph is frozen.
func TestKernelsInVariables(t *testing.T) {
	if !session.UsesOneDNN() {
		t.Fatal("TensorFlow computes without oneDNN: nothing is packed")
	}
	was := maps.Clone(ownConvolutions)
	t.Cleanup(func() { ownConvolutions = was })
	// Three convolutions of both signatures; a dense layer without a bias packs nothing, of a
	// constant either.
	for _, test := range []struct {
		precision Precision
		own       bool
		tolerance float64
		packed    map[string]int
	}{
		{FP32, true, 1e-5, map[string]int{cpuconv.RegionOp: 2}},
		{FP32, false, 1e-5, map[string]int{"_MklNativeFusedConv2D": 6}},
		{BF16, true, 0.05, map[string]int{cpuconv.RegionOp: 2}},
		{BF16, false, 0.05, map[string]int{}},
	} {
		ownConvolutions[test.precision] = test.own
		testKernelsInVariables(t, fmt.Sprintf("%s, own convolutions %v", test.precision, test.own),
			test.precision, test.tolerance, test.packed)
	}
}

func testKernelsInVariables(t *testing.T, name string, precision Precision, tolerance float64,
	wantPacked map[string]int) {
	want := answers(t)
	images := want["tensor"]
	m, constants := open(t, "kernels", WithPrecision(precision)),
		open(t, "conv", WithPrecision(precision))
	for _, rows := range []int64{1, 3, 1} {
		in, err := tensor.RowsOfAll(map[string]tensor.Tensor{"images": images}, 0, rows)
		if err != nil {
			t.Fatal(err)
		}
		expected, err := tensor.RowsOfAll(map[string]tensor.Tensor{"probs": want["tensor/probs"]},
			0, rows)
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
	for _, node := range runNodes(t, m) {
		if node.Op == cpuconv.RegionOp || node.Attr["is_filter_const"].GetB() {
			packed[node.Op]++
		}
		if node.Op == "ReadVariableOp" {
			t.Errorf("%s: each run reads the variable %s", name, node.Name)
		}
		if len(wantPacked) > 0 && node.Op == "Const" && node.Name == "filters" {
			t.Errorf("%s: %s is a constant in the graph", name, node.Name)
		}
	}
	if !cmp.Equal(wantPacked, packed) {
		t.Errorf("%s: operations whose kernel is packed: got %v, want %v", name, packed, wantPacked)
	}
}

// runNodes returns the operations of all sessions that run a model's signatures.
func runNodes(t *testing.T, m *Model) (nodes []*nodepb.NodeDef) {
	t.Helper()
	sessions := slices.Clone(m.backend.sessions)
	if p := m.backend.packer; p != nil {
		for _, packed := range p.packed {
			sessions = append(sessions, packed.session)
		}
	}
	for _, s := range sessions {
		g, err := s.Graph()
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, g.Node...)
	}
	return nodes
}

// TestUnsupportedConvolutions holds that TensorFlow computes a graph whose convolutions are not all
// ours in each precision.
func TestUnsupportedConvolutions(t *testing.T) {
	in := map[string]tensor.Tensor{"images": answers(t)["tensor"]}
	probs := map[Precision]tensor.Tensor{}
	for _, precision := range []Precision{FP32, BF16} {
		m := open(t, "elu", WithPrecision(precision))
		out, err := m.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		probs[precision] = out["probs"]
		for _, node := range runNodes(t, m) {
			if node.Op == cpuconv.Op || node.Op == cpuconv.RegionOp {
				t.Errorf("%s: the operation %s is package cpuconv's", precision, node.Name)
			}
		}
	}
	near(t, "bf16", probs[FP32], probs[BF16], 0.05)
	if cmp.Equal(probs[FP32], probs[BF16], cmpopts.EquateApprox(0, 1e-5)) {
		t.Error("the answers of bf16 are those of float32")
	}
}

// TestRegions holds that regions answer as TensorFlow does, each signature in batches of several
// sizes, and how many there are: an operation that is in none divides a graph in two.
func TestRegions(t *testing.T) {
	want, err := npy.ReadZip(filepath.Join(models, "blocks.npz"))
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, "blocks")
	for key, outputs := range map[string][]string{"serving_default": {"logits", "probs"},
		"features": {"middle", "features"}} {
		for _, rows := range []int64{1, 3, 2} {
			part, err := tensor.RowsOfAll(want, 0, rows)
			if err != nil {
				t.Fatal(err)
			}
			out, err := m.RunSignature(t.Context(), key,
				map[string]tensor.Tensor{"images": part["images"]})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range outputs {
				near(t, fmt.Sprintf("%s of %d", name, rows), part[name], out[name], 1e-5)
			}
		}
	}
	regions := 0
	for _, node := range runNodes(t, m) {
		if node.Op == cpuconv.RegionOp {
			regions++
		}
		if strings.Contains(node.Op, "Conv2D") || strings.Contains(node.Op, "Depthwise") {
			t.Errorf("TensorFlow computes %s, a %s", node.Name, node.Op)
		}
	}
	if regions != 4 {
		t.Errorf("got %d regions, want 4: two of each signature", regions)
	}
}

// TestPackKernelsAlone holds that a variable that is no kernel is not packed: TensorFlow might
// compute something of what stands for it.
func TestPackKernelsAlone(t *testing.T) {
	p, s := openPacker(t, "variables")
	const want = "the kernel of one of [Conv2D DepthwiseConv2dNative MatMul], got input 1 of Mul"
	if _, err := p.call(s); !matches(err, want) {
		t.Errorf("got %v, want that the variable is no kernel", err)
	}
}

// openPacker opens a generated model to be packed.
func openPacker(t *testing.T, name string) (*packer, savedmodel.Signature) {
	t.Helper()
	c, err := newConfig([]Option{WithDevice("cpu")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlan(facts{options: c, optimized: true, state: "VarHandleOp", oneDNN: true,
		own: ownConvolutions})
	if err != nil {
		t.Fatal(err)
	}
	packer, err := newPacker(filepath.Join(models, name), []string{"serve"}, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := packer.close(); err != nil {
			t.Error(err)
		}
	})
	directory, err := savedmodel.Open(t.Context(), filepath.Join(models, name))
	if err != nil {
		t.Fatal(err)
	}
	s, err := directory.Signature([]string{"serve"}, "serving_default")
	if err != nil {
		t.Fatal(err)
	}
	return packer, s
}

// TestPackWithoutMemory holds that each tensor is freed where there is no memory for packed
// kernels: those that TensorFlow's operations read as they are, and those that ours would have
// packed. A session's tensor cannot be freed twice.
func TestPackWithoutMemory(t *testing.T) {
	p, s := openPacker(t, "kernels")
	o, err := p.optimize(s)
	if err != nil {
		t.Fatal(err)
	}
	values, err := p.source.Read(o.kernels)
	if err != nil {
		t.Fatal(err)
	}
	read := slices.Collect(maps.Values(values))
	if len(read) != 4 { // of three convolutions and a dense layer
		t.Errorf("read %d tensors, want 4", len(read))
	}
	memory := newMemory
	defer func() { newMemory = memory }()
	newMemory = func(...int) (*cpuconv.Memory, error) {
		return nil,
			errors.New("expected memory, got none")
	}
	if _, _, err := newKernels(o, values); !matches(err, "expected memory, got none") {
		t.Errorf("got %v, want that there is no memory", err)
	}
	for i, tensor := range read {
		if tensor.Float32s() != nil {
			t.Errorf("tensor %d is not freed", i)
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
			m, err := Open(t.Context(), filepath.Join(models, name), options...)
			if !matches(err, want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
			if err == nil {
				m.Close()
			}
		}
	}
}
