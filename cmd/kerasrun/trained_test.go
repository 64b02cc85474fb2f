package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/contract"
	"kerasrun/internal/pythontest"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// EfficientNet-Lite0, whose weights are trained: its classes can be held against what a person
// sees. Images are resized by Pillow's bicubic filter, and their normalisation has a number of its
// own, so nothing here is a default.
const trained = "models/efficientnet-lite0"

// TestTrainedAnswersAsKeras holds every class of every photograph against Keras's own predict.
func TestTrainedAnswersAsKeras(t *testing.T) {
	inRepository(t)
	var want map[string][]float64
	unmarshal(t, []byte(python(t, "trained.py", "testdata/photos")), &want)
	rows := classifyRows(t, "--model", trained, "--topk", "1000", "testdata/photos")
	if len(want) != 9 || len(rows) != 1000*len(want) {
		t.Fatalf("got %d rows of %d photographs, want 1000 of each of 9", len(rows), len(want))
	}
	for _, row := range rows {
		name := filepath.Base(row.Path)
		probs := want[name]
		if p := float64(row.Probability); !(abs(p-probs[row.Index]) <= 1e-5) {
			t.Errorf("%s: class %d: got %v, want %v", name, row.Index, p, probs[row.Index])
		}
		if row.Rank == 1 && probs[row.Index] != slices.Max(probs) {
			t.Errorf("%s: got class %d first, want that of %v", name, row.Index, slices.Max(probs))
		}
	}
}

// TestTrainedNames holds what the photographs show. The probabilities are PyTorch's:
// tools/tests/test_efficientnet_lite0.py says how they were had.
func TestTrainedNames(t *testing.T) {
	inRepository(t)
	got := map[string]predictionRow{}
	for _, row := range classifyRows(t, "--model", trained, "--topk", "1", "testdata/photos") {
		got[filepath.Base(row.Path)] = row
	}
	for file, want := range map[string]struct {
		name        string
		probability float64
	}{
		"cat.jpg":    {"Egyptian_cat", 0.79205},
		"coffee.jpg": {"espresso", 0.87016},
		"camera.jpg": {"tripod", 0.95244},
		"rocket.jpg": {"drilling_platform", 0.60021},
	} {
		row := got[file]
		if row.Name != want.name || !(abs(float64(row.Probability)-want.probability) <= 2e-5) {
			t.Errorf("%s: got %+v, want %+v", file, row, want)
		}
	}
}

// TestTrainedContract holds that the manifest says how images are made for these weights.
func TestTrainedContract(t *testing.T) {
	inRepository(t)
	directory, err := savedmodel.Open(t.Context(), trained)
	if err != nil {
		t.Fatal(err)
	}
	want := []contract.Input{{
		Name: "images", Kind: contract.KindImage, DType: "float32",
		Shape: tensor.Shape{-1, 224, 224, 3}, Layout: "NHWC",
		Decode: &contract.Decode{By: "pillow", Color: "rgb"},
		Resize: &contract.Resize{By: "pillow", Method: "bicubic", Fit: "stretch"},
		Normalize: &contract.Normalize{DType: "float32", Steps: []contract.Step{
			{Op: "subtract", Values: []float64{127}}, {Op: "divide", Values: []float64{128}}}},
	}}
	if diff := cmp.Diff(want, directory.Manifest.Inputs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTrainedEverywhere holds score and serve to the answers of classify.
func TestTrainedEverywhere(t *testing.T) {
	inRepository(t)
	want := classifyRows(t, "--model", trained, cat)

	output := filepath.Join(t.TempDir(), "scores.jsonl")
	well(t, "score", "--quiet", "--model", trained, "--output", output, cat)
	row := decodeRows(t, readFile(t, output))[0]

	url, _, stop := startServe(t, "--model", trained, "--verify=false")
	waitReady(t, url)
	image, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(url+"/classify", "image/jpeg", bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var served struct{ Predictions []labels.Prediction }
	unmarshal(t, body, &served)

	for k, p := range want {
		if k >= len(served.Predictions) || k >= len(row.Class) {
			t.Fatalf("serve: got %s; score: %+v; want %d classes", body, row, len(want))
		}
		got := served.Predictions[k]
		if got.Name != p.Name || !(abs(float64(got.Probability-p.Probability)) <= 1e-6) {
			t.Errorf("serve: got %+v, want %+v in place %d", got, p.Prediction, k+1)
		}
		if row.Label[k] != p.Name || !(abs(row.Probability[k]-float64(p.Probability)) <= 1e-6) {
			t.Errorf("score: got %s, %v, want %+v in place %d", row.Label[k], row.Probability[k],
				p.Prediction, k+1)
		}
	}
	if status, log := stop(); status != 0 {
		t.Errorf("serve: exit status %d\n%s", status, log)
	}
}

// TestBeside holds what make run ends with on a machine that reaches PyPI, but not the published
// weights of ResNeXt50.
func TestBeside(t *testing.T) {
	inRepository(t)
	if _, err := os.Stat("bin/kerasrun"); err != nil {
		pythontest.Skip(t, "needs bin/kerasrun: run `make bin/kerasrun`")
	}
	out, err := exec.Command("scripts/beside.sh", trained, model).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Egyptian_cat", "espresso", "tripod",
		"models/resnext50 has synthetic weights", "models/efficientnet-lite0 has trained weights"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("got %s, want %q in it", out, want)
		}
	}
}
