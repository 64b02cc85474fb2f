package runner

import (
	"testing"

	"kerasrun/tensor"
)

// TestHalves holds a batch that is computed as two halves against its rows, each run alone.
func TestHalves(t *testing.T) {
	m, want := open(t, "conv"), answers(t)
	pictures := want["tensor"]
	rows := pictures.Shape[0]
	large, err := tensor.Concat([]tensor.Tensor{pictures, pictures, pictures})
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
	if got := m.halves(s, in); got != 0 {
		t.Fatalf("before the first run: want the batch whole, got halves of %d", got)
	}
	if _, err := m.Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if got := m.halves(s, in); got != 2*rows+1 {
		t.Fatalf("want %d rows in halves, got %d", 2*rows+1, got)
	}
	out, err := m.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got := out["probs"].Shape[0]; got != 2*rows+1 {
		t.Fatalf("want %d rows of probabilities, got %v", 2*rows+1, out["probs"].Shape)
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
		near(t, "probs", alone, row, 1e-5)
	}
}

// TestHalvesNot holds when a batch stays whole.
func TestHalvesNot(t *testing.T) {
	m, want := open(t, "conv"), answers(t)
	s, err := m.signature(m.key)
	if err != nil {
		t.Fatal(err)
	}
	few, err := want["tensor"].Rows(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if rows := m.halves(s, map[string]tensor.Tensor{"images": few}); rows != 0 {
		t.Errorf("1 row: want it whole, got halves of %d", rows)
	}
	if _, err := m.Run(t.Context(), map[string]tensor.Tensor{"images": few}); err != nil {
		t.Fatal(err)
	}
	many, err := tensor.Concat([]tensor.Tensor{few, few, few, few})
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]tensor.Tensor{"images": many}
	if rows := m.halves(s, in); rows != 4 {
		t.Errorf("4 rows: want halves of 4, got of %d", rows)
	}
	if _, err := m.begin(); err != nil {
		t.Fatal(err)
	}
	if rows := m.halves(s, in); rows != 0 {
		t.Errorf("beside another run: want it whole, got halves of %d", rows)
	}
	m.end(0)
	bare := open(t, "types", WithSignature("any"))
	if s, err = bare.signature(bare.key); err != nil {
		t.Fatal(err)
	}
	if rows := bare.halves(s, in); rows != 0 {
		t.Errorf("without a manifest: want it whole, got halves of %d", rows)
	}
}
