package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const tensorflow = "github.com/galeone/tensorflow/tensorflow/go"

// Imports go one way: a package may import only those of ours that stand here beside it.
func TestImportDirections(t *testing.T) {
	allowed := map[string][]string{
		"tensor":     {},
		"tensor/npy": {"tensor"},
		"labels":     {},
		"preprocess": {"preprocess/internal/*"},
		"contract":   {"preprocess", "tensor"},
		"savedmodel": {"contract", "labels", "tensor"},
		"classify":   {"contract", "labels", "preprocess", "savedmodel", "tensor"},
		"runner": {"classify", "contract", "labels", "preprocess",
			"runner/internal/*", "savedmodel", "tensor"},
		"runner/internal/cpuconv": {"runner/internal/needtensorflow"},
		"runner/internal/cuda":    {},
		"runner/internal/graph":   {"savedmodel", "tensor"},
		"runner/internal/session": {"runner/internal/needtensorflow", "tensor"},
		"runner/preinit":          {},
		"batch":                   {"tensor"},
		"golden":                  {"contract", "labels", "preprocess", "tensor", "tensor/npy"},
		"score":                   {"internal/tfrecord", "labels", "tensor"},
		"score/tfmodel":           {"contract", "runner", "savedmodel", "score", "tensor"},
		"serve": {"batch", "contract", "internal/tfrecord", "labels", "preprocess",
			"savedmodel", "serve/internal/*", "tensor"},
	}
	for pkg, may := range allowed {
		for _, imported := range list(t, "{{join .Imports \"\\n\"}}", "kerasrun/"+pkg) {
			name, ours := strings.CutPrefix(imported, "kerasrun/")
			if ours && !slices.ContainsFunc(may, func(m string) bool {
				return m == name || strings.HasSuffix(m, "*") &&
					strings.HasPrefix(name, m[:len(m)-1])
			}) {
				t.Errorf("%s imports %s; it may import %v", pkg, name, may)
			}
		}
	}
}

// Only the runner, and what stands on it, links TensorFlow.
func TestOnlyTheRunnerLinksTensorFlow(t *testing.T) {
	linking := []string{"kerasrun/cmd/kerasrun", "kerasrun/examples/service", "kerasrun/runner",
		"kerasrun/runner/internal/session", "kerasrun/score/tfmodel"}
	for _, pkg := range list(t, "{{.ImportPath}}", "kerasrun/...") {
		links := slices.Contains(list(t, "{{join .Deps \"\\n\"}}", pkg), tensorflow)
		if links != slices.Contains(linking, pkg) {
			t.Errorf("%s: links TensorFlow: %v", pkg, links)
		}
	}
}

func list(t *testing.T, format string, packages ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-f", format}, packages...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}
