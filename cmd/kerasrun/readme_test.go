package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// What the README shows must compile: its service is examples/service, word for word.
func TestReadmeShowsTheService(t *testing.T) {
	readme := readFile(t, filepath.Join(root, "README.md"))
	source := readFile(t, filepath.Join(root, "examples/service/main.go"))
	_, program, _ := strings.Cut(source, "\n") // the README says in prose what the first line says
	if !strings.Contains(readme, "```go\n"+program+"```\n") {
		t.Error("the README's service is not examples/service/main.go")
	}
}

// A module outside the repository, made as the README says, builds and classifies an image.
func TestModuleOutside(t *testing.T) {
	dir := t.TempDir()
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	readme := readFile(t, filepath.Join(root, "README.md"))
	_, after, found := strings.Cut(readme, "<!-- outside -->\n```go\n")
	program, _, _ := strings.Cut(after, "```\n")
	if lines := strings.Count(program, "\n"); !found || lines >= 30 {
		t.Fatalf("want a program of under 30 lines after the mark in the README, got %d", lines)
	}
	mod := readFile(t, filepath.Join(root, "go.mod"))
	mod = strings.Replace(mod, "module kerasrun",
		"module outside\n\nrequire kerasrun v0.0.0\n\nreplace kerasrun => "+repository, 1)
	for name, content := range map[string]string{"main.go": program, "go.mod": mod,
		"go.sum": readFile(t, filepath.Join(root, "go.sum"))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-mod=mod", "-o", "outside", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(filepath.Join(dir, "outside"), filepath.Join(repository, "models/resnext50"),
		filepath.Join(repository, "testdata/photos/cat.jpg"))
	out, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(out), "\n"); lines != 5 {
		t.Errorf("want the 5 best classes, a line each, got %q", out)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
