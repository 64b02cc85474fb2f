package docstest

import (
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
)

// imports are the packages that a block without a package clause may name.
var imports = map[string]string{
	"fmt":    "fmt",
	"os":     "os",
	"runner": "kerasrun/runner",
}

func testGo(t *testing.T, b block) {
	source := b.text
	if path, found := b.has("source"); found {
		// the page has the first line in prose
		_, want, _ := strings.Cut(string(readFile(t, path)), "\n")
		if source != want {
			t.Errorf("got a program that is not %s", path)
		}
		return
	}
	if !strings.HasPrefix(source, "package ") {
		source = wrap(source)
	}
	if formatted, err := format.Source([]byte(source)); err != nil || string(formatted) != source {
		t.Errorf("gofmt: %v: got\n%s", err, source)
	}
	if _, found := b.has("outside"); found {
		runOutside(t, source)
		return
	}
	dir := module(t, source)
	cmd := exec.Command("go", "vet", "-mod=mod", ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// wrap makes a program of statements.
func wrap(statements string) string {
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n\t\"context\"\n")
	for name, path := range imports {
		if strings.Contains(statements, name+".") {
			fmt.Fprintf(&b, "\t%q\n", path)
		}
	}
	b.WriteString(")\n\nfunc main() {}\n\nfunc example(ctx context.Context) error {\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(statements, "\n"), "\n") {
		if line != "" {
			line = "\t" + line
		}
		b.WriteString(line + "\n")
	}
	b.WriteString("\treturn nil\n}\n\nvar _ = example\n")
	formatted, err := format.Source([]byte(b.String()))
	if err != nil {
		return b.String()
	}
	return string(formatted)
}

// module writes a module outside the repository that uses the repository's.
func module(t *testing.T, source string) string {
	t.Helper()
	if _, err := os.Stat(absolute(t, ".tensorflow/include")); err != nil {
		pythontest.Skip(t, "needs .tensorflow: run `make setup`: %v", err)
	}
	dir := t.TempDir()
	require := "module outside\n\nrequire kerasrun v0.0.0\n\nreplace kerasrun => " +
		absolute(t, ".")
	mod := strings.Replace(string(readFile(t, "go.mod")), "module kerasrun", require, 1)
	name := "main.go"
	if strings.Contains(source, "*testing.T") {
		name = "main_test.go"
	}
	for name, content := range map[string]string{
		name: source, "go.mod": mod, "go.sum": string(readFile(t, "go.sum")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runOutside builds a program in a module outside the repository, by the commands of
// docs/getting-started.md, and has it classify an image.
func runOutside(t *testing.T, source string) {
	kerasrun(t) // skips where there is no model
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"mod init outside",
		"mod edit -require kerasrun@v0.0.0 -replace kerasrun=" + absolute(t, "."),
		"mod tidy",
		"build -o outside .",
	} {
		cmd := exec.Command("go", strings.Fields(command)...)
		// the repository's modules are in the cache; without the database of checksums that is enough
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GONOSUMDB=*")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", command, err, out)
		}
	}
	out, err := exec.Command(filepath.Join(dir, "outside"), absolute(t, "models/resnext50"),
		absolute(t, "testdata/photos/cat.jpg")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(out), "\n"); lines != 5 {
		t.Errorf("got %q, want the 5 best classes, a line each", out)
	}
}
