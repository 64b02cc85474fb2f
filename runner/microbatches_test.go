package runner

import (
	"testing"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// TestRunMicroBatches compares a batch that is computed in micro-batches with its rows, each run
// alone.
func TestRunMicroBatches(t *testing.T) {
	m, want := open(t, "conv"), answers(t)
	images := want["tensor"]
	rows := images.Shape[0]
	large, err := tensor.Concat([]tensor.Tensor{images, images, images})
	if err != nil {
		t.Fatal(err)
	}
	large, err = large.Rows(0, 2*rows+1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.signature(m.key)
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]tensor.Tensor{"images": large}
	for _, run := range []string{"first run", "second run"} {
		if b := m.microBatches(s, in); b.count < 2 || b.concurrency != 2 {
			t.Fatalf("%s: got %+v, want an even number of micro-batches, two at a time", run, b)
		}
		out, err := m.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if got := out["probs"].Shape[0]; got != 2*rows+1 {
			t.Fatalf("%s: got probabilities %v, want %d rows", run, out["probs"].Shape, 2*rows+1)
		}
		for i := range 2*rows + 1 {
			row, err := out["probs"].Rows(i, i+1)
			if err != nil {
				t.Fatal(err)
			}
			alone, err := want["tensor/probs"].Rows(i%rows, i%rows+1)
			if err != nil {
				t.Fatal(err)
			}
			near(t, run+": probs", alone, row, 1e-5)
		}
	}
}

// TestMicroBatches has batches of all sizes.
func TestMicroBatches(t *testing.T) {
	m := open(t, "conv")
	s, err := m.signature(m.key)
	if err != nil {
		t.Fatal(err)
	}
	batch := func(rows int64) map[string]tensor.Tensor {
		images, err := tensor.New(tensor.Shape{rows, 32, 32, 3}, make([]float32, rows*32*32*3))
		if err != nil {
			t.Fatal(err)
		}
		return map[string]tensor.Tensor{"images": images}
	}
	size := int64(microBatchRows())
	for _, c := range []struct {
		rows, count int64
		beside      int64 // micro-batches beside another run
	}{
		{1, 1, 1}, {2, 2, 1}, {size, 2, 1}, {size + 1, 2, 2}, {2 * size, 2, 2}, {2*size + 1, 4, 3},
		{8 * size, 8, 8},
	} {
		if got, want := m.microBatches(s, batch(c.rows)),
			(microBatches{c.rows, c.count, 2}); got != want {
			t.Errorf("%d rows: got %+v, want %+v", c.rows, got, want)
		}
		if _, err := m.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := m.microBatches(s, batch(c.rows)),
			(microBatches{c.rows, c.beside, 1}); got != want {
			t.Errorf("%d rows beside another run: got %+v, want %+v", c.rows, got, want)
		}
		m.end(0)
	}
	for name, shape := range map[string]tensor.Shape{"an unknown rank": nil, "a scalar": {},
		"a fixed batch": {2, 32, 32, 3}} {
		changed := *s
		changed.Inputs = map[string]savedmodel.TensorInfo{"images": {Shape: shape}}
		if got := m.microBatches(&changed, batch(8*size)); got != whole {
			t.Errorf("%s: got %+v, want the batch whole", name, got)
		}
	}
	bare := open(t, "types", WithSignature("any"))
	if s, err = bare.signature(bare.key); err != nil {
		t.Fatal(err)
	}
	if got := bare.microBatches(s, batch(2)); got != whole {
		t.Errorf("without a manifest: got %+v, want the batch whole", got)
	}
}
