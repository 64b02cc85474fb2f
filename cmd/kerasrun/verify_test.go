package main

import (
	"math"
	"testing"

	"kerasrun/runner/golden"
)

// TestJudged holds what each precision may differ by, in verify and before serve takes a model.
func TestJudged(t *testing.T) {
	pack := &golden.Pack{Outputs: []string{"logits", "probs"}, Tolerance: map[string]float64{"tensor": 0, "logits": 1e-4, "probs": 1e-5}}
	for precision, want := range map[string]struct{ logits, probs float64 }{
		"fp32": {1e-4, 1e-5},
		"tf32": {2e-2, 2e-3},
		"bf16": {math.Inf(1), math.Inf(1)},
		"fp16": {math.Inf(1), math.Inf(1)},
	} {
		got := judged(pack, precision).Tolerance
		for stage, want := range map[string]float64{"tensor": 0, "logits": want.logits, "probs": want.probs} {
			if !(got[stage] == want || math.Abs(got[stage]-want) < 1e-9) {
				t.Errorf("%s: %s may differ by %v, want %v", precision, stage, got[stage], want)
			}
		}
	}
}
