//go:build unix

package golden

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kerasrun/contract"
)

// TestPipesInPacks holds that a pipe in a pack is an error, and is not waited for.
func TestPipesInPacks(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, contract.GoldensIndex)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, opening := Open(dir)
	_, image := (&Pack{Dir: dir}).read(Case{Image: contract.GoldensIndex, Arrays: "file"})
	_, arrays := (&Pack{Dir: dir}).read(Case{Image: "file", Arrays: contract.GoldensIndex})
	for name, err := range map[string]error{"index": opening, "image": image, "arrays": arrays} {
		if err == nil || !strings.Contains(err.Error(), "expected a file, got p") {
			t.Errorf("%s: got %v, want an error of the pipe", name, err)
		}
	}
}
