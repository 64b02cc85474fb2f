package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const tensorflow = "github.com/galeone/tensorflow/tensorflow/go"

// mayImport says which of our packages each may import; "x/*" is every package below x. Imports go
// one way, so that a package below a line never leads back to it. Commands and examples join what
// they like.
var mayImport = map[string][]string{
	"tensor":                {},
	"tensor/npy":            {"tensor"},
	"tfserving":             {},
	"labels":                {},
	"preprocess":            {"preprocess/internal/*", "tensor"},
	"preprocess/internal/*": {"preprocess/internal/*"},
	"contract":              {"preprocess", "tensor"},
	"savedmodel":            {"contract", "labels", "tensor"},
	"classify":              {"contract", "labels", "preprocess", "savedmodel", "tensor"},
	"batch":                 {"tensor"},
	"golden": {
		"contract", "internal/*", "labels", "preprocess", "savedmodel", "tensor", "tensor/npy",
	},
	"internal/*":    {},
	"internal/page": {"preprocess"},
	"object":        {"internal/*"},
	"evaluate":      {"classify", "internal/*", "labels", "score"},
	"score": {
		"classify", "contract", "internal/*", "labels", "object", "savedmodel", "tensor",
		"tensor/npy", "worker",
	},
	"serve": {
		"batch", "classify", "contract", "internal/*", "labels", "preprocess", "savedmodel",
		"serve/internal/*", "tensor", "tfserving", "worker",
	},
	"serve/internal/*": {"serve/internal/*", "tensor", "tfserving"},
	"worker":           {"internal/*", "labels", "savedmodel", "tensor"},
	"runner": {
		"classify", "contract", "internal/*", "labels", "preprocess", "runner/internal/*",
		"savedmodel", "tensor",
	},
	"runner/internal/*": {"runner/internal/*", "savedmodel", "tensor"},
	"runner/preinit":    {},
	"cmd/*":             {"*"},
	"examples/*":        {"*"},
}

// linksTensorFlow are the packages that may.
var linksTensorFlow = []string{"runner", "runner/internal/*", "cmd/*", "examples/*"}

// goPackage is what `go list` knows of a package.
type goPackage struct {
	ImportPath, Name string
	Imports, Deps    []string
}

// name is the package's path in the module.
func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, "kerasrun/") }

// ourPackages are all packages of the module.
func ourPackages(t *testing.T) (packages []goPackage) {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Imports,Deps",
		"kerasrun/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// matches says whether a name is one of the patterns, and returns the first that it is.
func matches(name string, patterns ...string) (pattern string, ok bool) {
	i := slices.IndexFunc(patterns, func(p string) bool {
		folder, any := strings.CutSuffix(p, "*")
		return p == name || any && strings.HasPrefix(name, folder)
	})
	if i < 0 {
		return "", false
	}
	return patterns[i], true
}

func TestImportDirections(t *testing.T) {
	var rules []string
	for rule := range mayImport {
		rules = append(rules, rule)
	}
	slices.SortFunc(rules, func(a, b string) int { return len(b) - len(a) }) // the closest first
	for _, p := range ourPackages(t) {
		rule, ok := matches(p.name(), rules...)
		if !ok {
			t.Errorf("%s: no rule says what it may import", p.name())
		}
		for _, imported := range p.Imports {
			name, ours := strings.CutPrefix(imported, "kerasrun/")
			if _, may := matches(name, mayImport[rule]...); ours && !may {
				t.Errorf("%s imports %s; it may import %v", p.name(), name, mayImport[rule])
			}
		}
	}
}

// Only the runner, and what stands on it, links TensorFlow.
func TestOnlyTheRunnerLinksTensorFlow(t *testing.T) {
	linking := 0
	for _, p := range ourPackages(t) {
		if !slices.Contains(p.Deps, tensorflow) {
			continue
		}
		linking++
		if _, may := matches(p.name(), linksTensorFlow...); !may {
			t.Errorf("%s links TensorFlow", p.name())
		}
	}
	if linking == 0 {
		t.Errorf("no package links %s", tensorflow)
	}
}
