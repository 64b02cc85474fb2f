package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/contract"
	"kerasrun/golden"
)

var quantizedDir shared

// TestInt8 holds that a quantized graph that the exporter wrote answers what the integer reference
// in Python does, to the bit, that the commands read it in the place of the float one, and that its
// files are checked as the float one's are.
func TestInt8(t *testing.T) {
	inRepository(t)
	dir := quantizedDir.of(t, "quantized.py")
	model := filepath.Join(dir, "model")
	image := filepath.Join(dir, "images", "00.png")

	var report golden.Report
	unmarshal(t, []byte(well(t, "verify", "--precision", "int8", "--format", "json", model)),
		&report)
	for _, stage := range report.Stages {
		// Softmax's exponentials are not numpy's.
		if tolerance := 1e-6; stage.Max > tolerance ||
			strings.HasPrefix(stage.Name, "logits") && stage.Max > 0 {
			t.Errorf("%s: got a difference of %g from the integer reference", stage.Name, stage.Max)
		}
	}
	if report.Precision != "int8" || !report.OK {
		t.Errorf("got precision %s, ok %v, want int8 and true", report.Precision, report.OK)
	}

	var shown struct{ Contract, Quantized *contract.Manifest }
	unmarshal(t, []byte(well(t, "inspect", "--format", "json", model)), &shown)
	if shown.Quantized == nil || shown.Quantized.Quantization == nil ||
		shown.Contract.Quantization != nil {
		t.Fatalf("got %+v and %+v, want a quantized graph beside the float one", shown.Contract,
			shown.Quantized)
	}
	text := well(t, "inspect", model)
	parity := parityWords(shown.Quantized.Quantization.Parity)
	if !strings.Contains(text, "Quantized graph, for --precision int8: int8\n  "+parity) {
		t.Errorf("inspect: got %s, want %q in it", text, parity)
	}

	if lines := strings.Count(well(t, "classify", "--precision", "int8", "--format", "jsonl",
		"--model", model, image), "\n"); lines != 5 {
		t.Errorf("classify: got %d lines, want those of five classes", lines)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.CopyFS(damaged, os.DirFS(model)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(damaged, contract.Int8Dir, "saved_model.pb")
	data := []byte(readFile(t, file))
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ model, want string }{
		{damaged, "saved_model.pb: expected"},
		{filepath.Join(model, contract.Int8Dir), "precision int8: expected a model exported with"},
	} {
		status, _, stderr := call(t, nil, "classify", "--precision", "int8", "--model", test.model,
			image)
		if status == 0 || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit status %d, got %s, want %q", test.model, status, stderr, test.want)
		}
	}
}
