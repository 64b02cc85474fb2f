// Package pythontest finds the Python that tests compare with: the one with Keras, NumPy and Pillow
// that `make setup` installs.
package pythontest

import (
	"os"
	"path/filepath"
	"testing"
)

// Python returns the absolute path of the interpreter: KERASRUN_PYTHON, or .venv/bin/python at the
// root of the repository. Where there is none the test is skipped, or fails where Python is
// [Required].
func Python(t testing.TB) string {
	t.Helper()
	path, err := Find()
	if err == nil {
		return path
	}
	if Required() {
		t.Fatalf("python: expected what `make setup` installs: %v", err)
	}
	t.Skipf("left out, for it compares with Python: %v; `make setup` installs it", err)
	return ""
}

// Skip leaves a test out for what the machine lacks, which the text says. Where Python is
// [Required] the test fails: `make test` has it all.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if Required() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Required says whether tests without Python fail: KERASRUN_REQUIRE_PYTHON=1, as `make test` sets.
func Required() bool { return os.Getenv("KERASRUN_REQUIRE_PYTHON") == "1" }

// Find is Python for a TestMain, which has no test to skip.
func Find() (string, error) {
	if path := os.Getenv("KERASRUN_PYTHON"); path != "" {
		_, err := os.Stat(path)
		return path, err
	}
	dir, err := os.Getwd() // of the tested package
	if err != nil {
		return "", err
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			path := filepath.Join(root, ".venv", "bin", "python")
			_, err := os.Stat(path)
			return path, err
		}
		if root == filepath.Dir(root) {
			return "", os.ErrNotExist
		}
	}
}
