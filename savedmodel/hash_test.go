package savedmodel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSHA256 compares with sha256sum, by the command of the documentation.
func TestSHA256(t *testing.T) {
	const command = `find -L . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum -z | ` +
		`sha256sum`
	if out, err := exec.Command("find", "--version").Output(); err != nil ||
		!strings.Contains(string(out), "GNU") {
		t.Skip("expected GNU find, got another")
	}
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS("testdata/half_plus_two")); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, change := range []struct{ path, data string }{
		{}, {"assets.extra/a", "1"}, {"assets.extra/a", "2"}, {"assets.extra.b", "2"},
		{"line\nof two", ""}, {"é", "beyond ASCII"},
	} {
		if change.path != "" {
			path := filepath.Join(dir, change.path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(change.data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.SHA256(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		shell := exec.Command("sh", "-c", command)
		shell.Dir = dir
		out, err := shell.Output()
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Fields(string(out))[0]; got != want {
			t.Errorf("with %q: got %s, want sha256sum's %s", change.path, got, want)
		}
		if before, twice := seen[got]; twice {
			t.Errorf("with %q: got %s, as with %q", change.path, got, before)
		}
		seen[got] = change.path
	}
}
