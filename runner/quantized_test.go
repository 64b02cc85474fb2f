package runner

import (
	"maps"
	"path/filepath"
	"testing"

	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// TestQuantized holds that a quantized graph's answers are those of TensorFlow's simulation, up to
// single bytes that it rounds otherwise, in batches of each size and from both signatures, and that
// regions compute all of it. Package cpuconv's tests hold its integers to the bit.
func TestQuantized(t *testing.T) {
	want, err := npy.ReadZip(filepath.Join(models, "quantized.npz"))
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, "quantized", WithPrecision(INT8))
	for _, rows := range []int64{1, 3, 1} {
		all, err := tensor.RowsOfAll(want, 0, rows)
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]tensor.Tensor{"images": all["images"]}
		got, err := m.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "logits", all["logits"], got["logits"], 0.02)
		near(t, "probabilities", all["probs"], got["probs"], 0.005)
		if _, err := m.RunSignature(t.Context(), "features", in); err != nil {
			t.Error(err)
		}
	}
	for i, packed := range m.backend.packer.packed {
		ops, err := packed.session.Graph()
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range ops.Node {
			if node.Op == "FakeQuantWithMinMaxArgs" {
				t.Errorf("session %d: got the operation %s, want none", i, node.Name)
			}
		}
	}
}

// TestQuantizedRefused holds what precision int8 says of a model that it cannot be had for.
func TestQuantizedRefused(t *testing.T) {
	was := maps.Clone(ownConvolutions)
	t.Cleanup(func() { ownConvolutions = was })
	for _, test := range []struct {
		name, model string
		own         bool
		want        string
	}{
		{"no quantized graph", "conv", true,
			"conv: precision int8: expected a model exported with `kerasrun-export --quantize"},
		{"an operation that is not known", "narrow", true,
			"expected convolutions that can be computed in integers, got "},
		{"another processor", "quantized", false,
			"precision int8: needs Linux on an amd64 processor with AVX2"},
	} {
		ownConvolutions[INT8] = test.own
		_, err := Open(t.Context(), filepath.Join(models, test.model), trusted, WithPrecision(INT8))
		if !matches(err, test.want) {
			t.Errorf("%s: got %v, want an error that says %q", test.name, err, test.want)
		}
	}
}
