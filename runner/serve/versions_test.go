package serve

import (
	"os"
	"path/filepath"
	"testing"
)

// addVersion makes an empty directory of a version.
func addVersion(t testing.TB, dir, version string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, version), 0o755); err != nil {
		t.Fatal(err)
	}
}
