package main

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/golden"
	"kerasrun/internal/pythontest"
)

// TestVerifyAnyModel exports small models that take and give what many people's do, and verifies
// each against what Keras answers in the same run.
func TestVerifyAnyModel(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	program := exec.Command(pythontest.Python(t), "cmd/kerasrun/testdata/packs.py", dir)
	program.Env = append(os.Environ(), "PYTHONPATH=tools/src")
	if out, err := program.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	goldens := func(name string) string { return filepath.Join(dir, name, "assets.extra/goldens") }
	images := []string{"decode", "resize", "tensor", "pipeline"}
	for name, want := range map[string]struct {
		stages  []string
		outputs map[string]string // what agrees, by output
	}{
		"grey":           {images, map[string]string{"logits": "decisions", "probs": "decisions"}},
		"channels_first": {images, map[string]string{"angles": ""}},
		"whole_numbers":  {images, map[string]string{"logits": "decisions", "probs": "decisions"}},
		"any_size":       {images, map[string]string{"means": ""}},
		"half":           {images, map[string]string{"logit": "decisions"}},
		"two_inputs":     {images, map[string]string{"logits": "classes", "probs": "classes"}},
		"segmentation":   {images, map[string]string{"classes": "pixels"}},
		"three_at_a_time": {images,
			map[string]string{"logits": "classes", "probs": "classes"}},
		"adopted": {nil, map[string]string{"classes": "classes"}},
	} {
		t.Run(name, func(t *testing.T) {
			var report golden.Report
			unmarshal(t, []byte(well(t, "verify", "--format", "json", "--allow-op", "DecodeImage",
				at(name))), &report)
			if report.ReferenceKind != golden.ManifestReference || report.Cases != 4 {
				t.Errorf("got %d cases of a reference of the kind %q, want 4 of the manifest",
					report.Cases, report.ReferenceKind)
			}
			var stages []string
			got := map[string]string{}
			for _, s := range report.Stages {
				if !s.OK || s.Cases != 4 {
					t.Errorf("%s %s: got %+v, want 4 cases", s.Name, s.Run, s)
				}
				if s.Run == "" {
					stages = append(stages, s.Name)
					continue
				}
				if s.Run == "alone" {
					got[s.Name] = ""
					if a := s.Agreement; a != nil {
						got[s.Name] = a.Of
					}
				}
			}
			if !slices.Equal(stages, want.stages) {
				t.Errorf("stages: got %q, want %q", stages, want.stages)
			}
			for output, of := range want.outputs {
				if agrees, ok := got[output]; !ok || agrees != of || len(got) != len(want.outputs) {
					t.Errorf("outputs: got %q, want %q", got, want.outputs)
				}
			}
		})
	}

	t.Run("a function", func(t *testing.T) {
		text := well(t, "verify", "--goldens", at("function"), "--min-top1", "1", at("two_inputs"))
		if want := "the reference is your own function predict on keras"; !strings.Contains(text,
			want) {
			t.Errorf("got %s, want %q", text, want)
		}
	})
	t.Run("a pack of an adopted model", func(t *testing.T) {
		text := well(t, "verify", "--goldens", at("of_adopted"), "--allow-op", "DecodeImage",
			at("adopted"))
		if want := "5 cases of tensorflow "; !strings.Contains(text, want) {
			t.Errorf("got %s, want %q", text, want)
		}
	})
	for name, test := range map[string]struct {
		args []string
		want []string // of standard output and error
	}{
		"another contract": {
			[]string{"--goldens", goldens("grey-scaled"), at("grey")},
			[]string{`digit.normalize.steps: expected [{"op":"divide","values":[255]}], got ` +
				`[{"op":"multiply","values":[0.00392156862745098]}]`},
		},
		"another model": {
			[]string{"--goldens", goldens("whole_numbers"), at("grey")},
			[]string{`inputs: expected ["digit"], got ["bytes"]`},
		},
		"other weights": {
			[]string{"--goldens", goldens("grey-other"), at("grey")},
			[]string{"It looks like another model or other weights, not like rounding"},
		},
		"no such output": {
			[]string{"--tolerance", "prob=1e-4", at("grey")},
			[]string{`--tolerance: tolerance of "prob": expected one of the outputs`},
		},
		"no number": {
			[]string{"--tolerance", "probs", at("grey")},
			[]string{`--tolerance: expected NAME=NUMBER, as probs=1e-4, got "probs"`},
		},
		"a share over 1": {
			[]string{"--min-top1", "99", at("grey")},
			[]string{"--min-top1: expected 0 to 1, got 99"},
		},
		"no classes": {
			[]string{"--min-top1", "0.9", at("any_size")},
			[]string{"expected an output of classes, whose top-1 agreement can be demanded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := call(t, nil, append([]string{"verify"}, test.args...)...)
			for _, want := range test.want {
				if status == 0 || !strings.Contains(stdout+stderr, want) {
					t.Errorf("exit status %d, got %s%s, want %q", status, stdout, stderr, want)
				}
			}
		})
	}
	t.Run("tolerances of the user's", func(t *testing.T) {
		var report golden.Report
		unmarshal(t, []byte(well(t, "verify", "--format", "json", "--tolerance", "probs=1,logits=99",
			"--goldens", goldens("grey-other"), at("grey"))), &report)
		i := slices.IndexFunc(report.Stages, func(s golden.Stage) bool { return s.Name == "probs" })
		if s := report.Stages[i]; s.Tolerance != 1 || !(s.Max > 1e-4) || math.IsNaN(s.Max) {
			t.Errorf("got %+v, want a difference that only the tolerance of 1 allows", s)
		}
	})
}
