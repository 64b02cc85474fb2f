package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"kerasrun/golden"
	"kerasrun/internal/pythontest"
	"kerasrun/internal/testseed"
	"kerasrun/runner"
)

// Every kind of export, from drawn weights of the official layout, answers in Go as
// keras_applications does in Python: from the image file, alone, batched and padded.
func TestExportsAnswerAsKerasApplications(t *testing.T) {
	seed := strconv.FormatUint(testseed.Of(t), 10)
	dir := t.TempDir()
	script, err := filepath.Abs("testdata/parity.py")
	if err != nil {
		t.Fatal(err)
	}
	python := exec.Command(pythontest.Python(t), script, seed, dir)
	python.Dir = root
	python.Env = append(os.Environ(), "PYTHONPATH=tools/tests")
	if out, err := python.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	exports, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(exports) != 7 {
		t.Fatalf("want 7 exports, got %q, %v", exports, err)
	}
	for _, export := range exports {
		t.Run(filepath.Base(export), func(t *testing.T) {
			model, err := runner.Open(t.Context(), export, probed)
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			goldens := filepath.FromSlash(model.SavedModel().Manifest.Goldens)
			golden.Test(t, model, filepath.Join(export, goldens))
		})
	}
}
