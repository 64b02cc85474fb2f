//go:build prove

package runner

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/internal/testseed"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// provedModel is an export whose input is small.
const provedModel = "../models/resnext50-32"

// damage flips a bit of the file, or cuts it off.
func damage(r *rand.Rand, whole []byte, cut bool) []byte {
	if cut {
		return whole[:r.IntN(len(whole))]
	}
	broken := slices.Clone(whole)
	broken[r.IntN(len(broken))] ^= 1 << r.IntN(8)
	return broken
}

// TestProveDamage flips 1,000 bits and cuts 200 times, over every file of an export in turn. No
// damaged directory may be opened, and each error names the file.
func TestProveDamage(t *testing.T) {
	r := testseed.Rand(t)
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS(provedModel)); err != nil {
		t.Fatal(err)
	}
	m, err := savedmodel.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string][]byte{}
	for _, f := range m.Files {
		if contents[f.Path], err = os.ReadFile(filepath.Join(dir, f.Path)); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for i := range 1200 {
		name := m.Files[i%len(m.Files)].Path
		if len(contents[name]) == 0 {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, damage(r, contents[name], i >= 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Open(t.Context(), dir, probed)
		if err == nil {
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("try %d: got %v, want an error that names %s", i, err, name)
		} else {
			refused++
		}
		if err := os.WriteFile(path, contents[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := Open(t.Context(), dir, probed)
	if err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	whole.Close()
	t.Logf("1,000 bits flipped and 200 cuts over %d files: %d refused by the file's name",
		len(m.Files), refused)
}

// TestProveUnverifiedDamage flips bits of a graph that no manifest vouches for. This process has to
// live; what gets through the scan and the probe may answer wrongly, as a graph of other constants
// does.
func TestProveUnverifiedDamage(t *testing.T) {
	r := testseed.Rand(t)
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(models, "faulty"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, savedmodel.GraphPath)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const tries = 60
	scanned, tried, opened := 0, 0, 0
	for range tries {
		if err := os.WriteFile(path, damage(r, whole, false), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Open(t.Context(), dir, WithSignature("nan"), probed, AllowUnverified())
		switch {
		case err == nil:
			opened++
			x := tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{1}, Data: []float32{0}}
			m.Run(t.Context(), map[string]tensor.Tensor{"x": x}) // any answer
			m.Close()
		case strings.Contains(err.Error(), "probe in another process"):
			tried++
		default:
			scanned++
		}
		if err != nil && !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v, want an error that names %s", err, dir)
		}
	}
	t.Logf("%d flipped bits without a manifest: %d refused by the scan, %d in the probe, "+
		"%d opened; this process lives", tries, scanned, tried, opened)
}

// TestProveKerasExports opens what Keras's own model.export writes of three of its applications,
// and compares the answers.
func TestProveKerasExports(t *testing.T) {
	out := t.TempDir()
	if text, err := exec.Command(pythontest.Python(t), "testdata/keras_exports.py",
		out).CombinedOutput(); err != nil {
		t.Fatalf("testdata/keras_exports.py: %v\n%s", err, text)
	}
	answers, err := npy.ReadZip(filepath.Join(out, "answers.npz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"MobileNetV2", "ResNet50", "EfficientNetB0"} {
		m, err := Open(t.Context(), filepath.Join(out, name), probed,
			AllowUnverified())
		if err != nil {
			t.Error(err)
			continue
		}
		s, err := m.SavedModel().Signature(m.tags, m.key)
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]tensor.Tensor{}
		for input := range s.Inputs {
			in[input] = answers["images"]
		}
		got, err := m.Run(t.Context(), in)
		if err != nil {
			t.Error(err)
		}
		for _, y := range got {
			near(t, name, answers[name], y, 1e-5)
		}
		m.Close()
		t.Logf("%s: passes, and answers as Keras does", name)
	}
}
