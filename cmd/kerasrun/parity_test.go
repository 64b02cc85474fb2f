package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"kerasrun/golden"
	"kerasrun/internal/pythontest"
	"kerasrun/runner"
)

// Every kind of export, from weights of the official layout drawn anew, answers in Go as
// keras_applications does in Python: from the image file, alone, batched and padded.
// KERASRUN_SEED=N repeats a draw.
func TestExportsAnswerAsKerasApplications(t *testing.T) {
	seed := os.Getenv("KERASRUN_SEED")
	if seed == "" {
		seed = strconv.Itoa(rand.IntN(1 << 31))
	}
	t.Logf("KERASRUN_SEED=%s", seed)
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
