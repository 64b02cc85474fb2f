package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// effects is a program that prints what its imports have done to the process.
const effects = `package main

/*
#include <stdio.h>
extern char **environ;

// C's environment, which Go has copied before.
static void print_environment(void) {
	for (char **v = environ; *v; v++) puts(*v);
	fflush(stdout);
}
*/
import "C"

import (
	"fmt"
	"os"
	"strings"
%s)

func main() {
	fmt.Println(os.Environ())
	C.print_environment()
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Sig") && !strings.HasPrefix(line, "SigQ") {
			fmt.Print(line)
		}
	}
	fmt.Println(os.Readlink("/proc/self/fd/2"))
}
`

// TestImportsChangeNothing holds that a program that imports any package of this module, but
// preinit, has the environment, the signal dispositions and the standard error of one without it.
func TestImportsChangeNothing(t *testing.T) {
	inRepository(t)
	const preinit = "kerasrun/runner/preinit"
	var pure, linking []string
	for _, p := range ourPackages(t) {
		switch {
		// internal packages are imported by the others
		case p.Name == "main" || p.ImportPath == preinit || strings.Contains(p.ImportPath, "/internal/"):
		case slices.Contains(p.Deps, tensorflow):
			linking = append(linking, p.ImportPath)
		default:
			pure = append(pure, p.ImportPath)
		}
	}
	if !slices.Contains(linking, "kerasrun/runner") || !slices.Contains(pure, "kerasrun/serve") {
		t.Fatalf("packages: got %q and %q", linking, pure)
	}
	without := runEffects(t)
	if got := runEffects(t, pure...); !cmp.Equal(without, got) {
		t.Errorf("packages without TensorFlow (-without +with)\n%s", cmp.Diff(without, got))
	}
	binding := runEffects(t, tensorflow)
	if got := runEffects(t, append(linking, tensorflow)...); !cmp.Equal(binding, got) {
		t.Errorf("packages with TensorFlow (-without +with)\n%s", cmp.Diff(binding, got))
	}
	// That the test sees what a package does.
	if got := runEffects(t, preinit, tensorflow); got.Stderr != "" || binding.Stderr == "" ||
		!strings.Contains(got.State, "TF_CPP_MIN_LOG_LEVEL=2") {
		t.Errorf("with %s: got %+v, want nothing on standard error and a log level", preinit, got)
	}
}

// effect is what a program of effects finds: its state, and what was written to standard error.
type effect struct{ State, Stderr string }

// runEffects builds and runs a program with these imports.
func runEffects(t *testing.T, imports ...string) effect {
	t.Helper()
	dir := t.TempDir()
	var lines strings.Builder
	for _, path := range imports {
		fmt.Fprintf(&lines, "\t_ %q\n", path)
	}
	source, overlay, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"),
		filepath.Join(dir, "program")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// A program in the module, whose file is not in the repository.
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here,
		"testdata/main.go"): source}})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{source: fmt.Sprintf(effects, lines.String()),
		overlay: string(replace)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", program,
		"./testdata").CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", imports, err, out)
	}
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	var stdout bytes.Buffer
	cmd := exec.Command(program)
	cmd.Env = []string{"HOME=/", "PATH=/bin"}
	cmd.Stdout, cmd.Stderr = &stdout, stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v", imports, err)
	}
	written, err := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatal(err)
	}
	state := strings.ReplaceAll(stdout.String(), stderr.Name(), "the file that it was given")
	if !strings.Contains(state, "the file that it was given") {
		t.Errorf("%v: standard error is not the file that it was given: %s", imports, state)
	}
	// TensorFlow's lines begin with times and thread numbers.
	return effect{state, regexp.MustCompile(` *[0-9]+`).ReplaceAllString(string(written), " 0")}
}
