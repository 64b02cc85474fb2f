package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/contract"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// trialChild is the argument that makes of the test's executable a program that tries a model.
const trialChild = "trial"

func TestUnverified(t *testing.T) {
	x := map[string]tensor.Tensor{"x": {DType: tensor.Float32, Shape: tensor.Shape{2}, Data: []float32{1, 2}}}
	for _, model := range []string{"variables", "faulty"} {
		dir := filepath.Join(models, model)
		signature := WithSignature(map[string]string{"variables": "serving_default", "faulty": "nan"}[model])
		if _, err := Open(dir, signature); !errors.Is(err, ErrUnverified) || !strings.Contains(err.Error(), dir+": "+contract.ManifestPath) {
			t.Errorf("%s: want ErrUnverified for its directory, got %v", model, err)
		}
		m, err := Open(dir, signature, WithUnverified(os.Args[0], trialChild))
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

// TestUnverifiedFiles holds that a manifest vouches for nothing when the files are not held against it.
func TestUnverifiedFiles(t *testing.T) {
	dir, skip := filepath.Join(models, "conv"), WithScan(savedmodel.Skip(savedmodel.CheckFiles))
	if _, err := Open(dir, skip); !errors.Is(err, ErrUnverified) {
		t.Errorf("want ErrUnverified, got %v", err)
	}
	m, err := Open(dir, skip, WithUnverified(os.Args[0], trialChild))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestTrialFails opens a model that passes the scan and ends the process that runs it, and others whose trial fails.
func TestTrialFails(t *testing.T) {
	aborts, both := filepath.Join(models, "aborts"), filepath.Join(models, "both")
	m, err := savedmodel.Open(aborts)
	if err != nil {
		t.Fatal(err)
	}
	if err := savedmodel.Join(m.Scan()); err != nil {
		t.Fatalf("want a model that passes the scan, got %v", err)
	}
	for _, c := range []struct {
		name, dir string
		options   []Option
		want      []string
	}{
		{"a model that aborts TensorFlow", aborts, []Option{WithUnverified(os.Args[0], trialChild)},
			[]string{aborts + ": the model failed a trial in another process: ", "Check failed: "}},
		{"a wrong signature", both, []Option{WithUnverified(os.Args[0], trialChild), WithSignature("x")},
			[]string{both + ": the model failed a trial in another process: exit status 1: ", `expected a signature "x"`}},
		{"a program that fails", both, []Option{WithUnverified("false")}, []string{both, "exit status 1"}},
		{"a program that is not there", both, []Option{WithUnverified("./none")}, []string{both, "./none"}},
		{"no program", both, []Option{WithUnverified()}, []string{"unverified: want a command"}},
	} {
		_, err := Open(c.dir, c.options...)
		for _, want := range c.want {
			if !matches(err, want) {
				t.Errorf("%s: want %q, got %v", c.name, want, err)
			}
		}
	}
	if err := Trial(strings.NewReader("hello")); !matches(err, "want on standard input what WithUnverified's trial writes there") {
		t.Errorf("a trial of nothing: %v", err)
	}
}
