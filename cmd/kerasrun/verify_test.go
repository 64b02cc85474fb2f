package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/golden"
)

// TestJudged holds what each precision may differ by, in verify and before serve takes a model.
func TestJudged(t *testing.T) {
	pack := &golden.Pack{Outputs: []string{"logits", "probs"},
		Tolerance: map[string]float64{"tensor": 0, "logits": 1e-4, "probs": 1e-5}}
	for precision, want := range map[string]struct{ logits, probs float64 }{
		"fp32": {1e-4, 1e-5},
		"tf32": {2e-2, 2e-3},
		"bf16": {math.Inf(1), math.Inf(1)},
		"fp16": {math.Inf(1), math.Inf(1)},
	} {
		got := judged(pack, precision).Tolerance
		for stage, want := range map[string]float64{"tensor": 0, "logits": want.logits,
			"probs": want.probs} {
			if !(got[stage] == want || math.Abs(got[stage]-want) < 1e-9) {
				t.Errorf("%s: %s may differ by %v, want %v", precision, stage, got[stage], want)
			}
		}
	}
}

// TestVerifyElsewhere verifies in a process of its own what this one verifies too, with the flags
// of the command.
func TestVerifyElsewhere(t *testing.T) {
	inRepository(t)
	var here, elsewhere golden.Report
	if err := json.Unmarshal([]byte(well(t, "verify", "--format", "json", "models/resnext50")),
		&here); err != nil {
		t.Fatal(err)
	}
	objects := json.NewDecoder(strings.NewReader(well(t, "verify", "--format", "json", "--device",
		"cpu", "--precision", "bf16", "models/resnext50")))
	if err := objects.Decode(&elsewhere); err != nil {
		t.Fatal(err)
	}
	if here.Seconds <= 0 || elsewhere.Seconds <= 0 {
		t.Errorf("took %v and %v s, want some time", here.Seconds, elsewhere.Seconds)
	}
	elsewhere.Seconds = here.Seconds
	if diff := cmp.Diff(here, elsewhere); diff != "" || here.Precision != "fp32" {
		t.Errorf("fp32, in this process and in one of its own (-want +got):\n%s", diff)
	}
	status, stdout, stderr := call(t, nil, "verify", "--precision", "bf16", "models/none")
	if status != exitFailed || stdout != "" || !strings.Contains(stderr, "precision fp32: ") ||
		!strings.Contains(stderr, "models/none") {
		t.Errorf("no model: exit status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	status, stdout, stderr = call(t, nil, "verify", "--precision", "bf16", "--device", "tpu",
		"models/resnext50")
	if status != exitUsage || stdout != "" || strings.Count(stderr,
		"; see 'kerasrun verify --help'") != 1 {
		t.Errorf("no device: exit status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

// TestUnchanged holds that a precision which TensorFlow left aside is told from one that it
// computed in.
func TestUnchanged(t *testing.T) {
	fp32 := &golden.Report{Stages: []golden.Stage{{Name: "tensor"},
		{Name: "probs", Run: "alone", Max: 2e-7, Mean: 1e-9}}}
	same := &golden.Report{Stages: []golden.Stage{{Name: "tensor", Max: 1},
		{Name: "probs", Run: "alone", Max: 2e-7, Mean: 1e-9}}}
	other := &golden.Report{Stages: []golden.Stage{{Name: "tensor"},
		{Name: "probs", Run: "alone", Max: 2e-7, Mean: 2e-9}}}
	if !unchanged(fp32, same) {
		t.Error("the same outputs are taken for others")
	}
	if unchanged(fp32, other) {
		t.Error("outputs that differ are taken for the same")
	}
}
