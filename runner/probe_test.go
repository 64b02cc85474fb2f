package runner

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/contract"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// probeChild is the argument that makes of the test's executable a program that probes a model.
const probeChild = "probe"

func TestUnverified(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // nothing is remembered
	x := map[string]tensor.Tensor{"x": {DType: tensor.Float32, Shape: tensor.Shape{2},
		Data: []float32{1, 2}}}
	for _, model := range []string{"variables", "faulty"} {
		dir := filepath.Join(models, model)
		signature := WithSignature(map[string]string{"variables": "serving_default",
			"faulty": "nan"}[model])
		if _, err := Open(t.Context(), dir, signature, probed); !errors.Is(err, ErrUnverified) ||
			!strings.Contains(err.Error(), dir+": "+contract.ManifestPath) {
			t.Errorf("%s: got %v, want ErrUnverified for its directory", model, err)
		}
		m, err := Open(t.Context(), dir, signature, probed, AllowUnverified())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Run(t.Context(), x); err != nil {
			t.Errorf("%s: %v", model, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestUnverifiedFiles holds that a manifest vouches for nothing when the files are not held against
// it.
func TestUnverifiedFiles(t *testing.T) {
	dir, skip := filepath.Join(models, "conv"), WithScan(savedmodel.Skip(savedmodel.CheckFiles))
	if _, err := Open(t.Context(), dir, skip, probed); !errors.Is(err, ErrUnverified) {
		t.Errorf("got %v, want ErrUnverified", err)
	}
	m, err := Open(t.Context(), dir, skip, probed, AllowUnverified())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestProbeFails opens a model that passes the scan and ends the process that runs it, and others
// whose probe fails.
func TestProbeFails(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // nothing is remembered
	aborts, both := filepath.Join(models, "aborts"), filepath.Join(models, "both")
	m, err := savedmodel.Open(t.Context(), aborts)
	if err != nil {
		t.Fatal(err)
	}
	findings, err := m.Scan(t.Context())
	if err := errors.Join(err, savedmodel.Join(findings)); err != nil {
		t.Fatalf("got %v, want a model that passes the scan", err)
	}
	for _, c := range []struct {
		name, dir string
		options   []Option
		want      []string
	}{
		{"a model that aborts TensorFlow", aborts, []Option{probed},
			[]string{aborts + ": probe in another process failed: ", "Check failed: "}},
		{"a wrong signature", both, []Option{probed, WithSignature("x")},
			[]string{both + ": probe in another process failed: exit status 1: ",
				`expected a signature "x"`}},
		{"a program that fails", both, []Option{WithProbe("false")},
			[]string{both, "exit status 1"}},
		{"a program that is not there", both, []Option{WithProbe("./none")},
			[]string{both, "./none"}},
		{"no program", both, []Option{WithProbe()},
			[]string{"probe: expected a command, got none"}},
	} {
		_, err := Open(t.Context(), c.dir, append(c.options, AllowUnverified())...)
		for _, want := range c.want {
			if !matches(err, want) {
				t.Errorf("%s: want %q, got %v", c.name, want, err)
			}
		}
	}
	if err := Probe(t.Context(), strings.NewReader("hello")); !matches(err,
		"standard input: expected what WithProbe writes") {
		t.Errorf("a probe of nothing: %v", err)
	}
}
