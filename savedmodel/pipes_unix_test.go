//go:build unix

package savedmodel

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kerasrun/contract"
)

// TestPipes puts a pipe that nobody writes to in place of each file: whoever opened it would wait
// for ever.
func TestPipes(t *testing.T) {
	for _, name := range []string{"variables/variables.index",
		"variables/variables.data-00000-of-00001", "assets/foo.txt", contract.ManifestPath,
		"fingerprint.pb"} {
		dir := filepath.Join(t.TempDir(), "model")
		if err := os.CopyFS(dir, os.DirFS("testdata/half_plus_two")); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		os.Remove(file)
		os.MkdirAll(filepath.Dir(file), 0o777)
		if err := syscall.Mkfifo(file, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := Join(scanned(t, m)); err == nil ||
			!strings.Contains(err.Error(), name+": expected a file, got p") {
			t.Errorf("got %v, want %s refused", err, name)
		}
	}
}
