package runner

import (
	"testing"

	"kerasrun/tensor"
)

// TestParts holds a batch that is computed in parts against its rows, each run alone.
func TestParts(t *testing.T) {
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
	if _, _, atATime := m.parts(s, in); atATime != 1 {
		t.Fatalf("before the first run: want one part at a time, got %d", atATime)
	}
	if _, err := m.Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, parts, atATime := m.parts(s, in); parts < 2 || atATime != 2 {
		t.Fatalf("want an even number of parts, two at a time, got %d, %d at a time", parts, atATime)
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

// TestHowManyParts has batches of all sizes.
func TestHowManyParts(t *testing.T) {
	m, want := open(t, "conv"), answers(t)
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
	if _, err := m.Run(t.Context(), map[string]tensor.Tensor{"images": want["tensor"]}); err != nil {
		t.Fatal(err)
	}
	size := int64(partRows())
	for _, c := range []struct {
		rows, parts int64
		beside      int64 // parts beside another run
	}{
		{1, 1, 1}, {2, 2, 1}, {size, 2, 1}, {size + 1, 2, 2}, {2 * size, 2, 2}, {2*size + 1, 4, 3}, {8 * size, 8, 8},
	} {
		rows, parts, atATime := m.parts(s, batch(c.rows))
		if rows != c.rows || parts != c.parts || atATime != 2 {
			t.Errorf("%d rows: want %d parts, two at a time, got %d rows in %d parts, %d at a time", c.rows, c.parts, rows, parts, atATime)
		}
		if _, err := m.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, parts, atATime := m.parts(s, batch(c.rows)); parts != c.beside || atATime != 1 {
			t.Errorf("%d rows beside another run: want %d parts, one at a time, got %d, %d at a time", c.rows, c.beside, parts, atATime)
		}
		m.end(0)
	}
	bare := open(t, "types", WithSignature("any"))
	if s, err = bare.signature(bare.key); err != nil {
		t.Fatal(err)
	}
	if _, parts, _ := bare.parts(s, batch(2)); parts != 1 {
		t.Errorf("without a manifest: want the batch whole, got %d parts", parts)
	}
}
