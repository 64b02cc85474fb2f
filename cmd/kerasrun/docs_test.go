package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra/doc"
)

// update has the tests write what they otherwise compare with: docs/cli and testdata/script.
var update = flag.Bool("update", false, "write docs/cli and the expected output of scripts anew")

// TestDocs holds docs/cli current; `go generate ./cmd/kerasrun` writes it.
func TestDocs(t *testing.T) {
	const pages = root + "/docs/cli"
	if *update {
		if err := os.RemoveAll(pages); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(pages, 0o777); err != nil {
			t.Fatal(err)
		}
		writePages(t, pages)
	}
	dir := t.TempDir()
	writePages(t, dir)
	if diff := cmp.Diff(readDir(t, dir), readDir(t, pages)); diff != "" {
		t.Errorf("docs/cli is not current, run `go generate ./cmd/kerasrun` (-want +got):\n%s", diff)
	}
}

func writePages(t *testing.T, dir string) {
	t.Helper()
	cmd := newRootCommand()
	cmd.DisableAutoGenTag = true // it has the date
	if err := doc.GenMarkdownTree(cmd, dir); err != nil {
		t.Fatal(err)
	}
}

// readDir returns the content of each file of a directory.
func readDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		files[entry.Name()] = readFile(t, filepath.Join(dir, entry.Name()))
	}
	return files
}

// TestMan writes the manual pages, of every command that the help lists.
func TestMan(t *testing.T) {
	dir := t.TempDir()
	well(t, "man", "--out", dir)
	pages := readDir(t, dir)
	for _, cmd := range newRootCommand().Commands() {
		if _, ok := pages["kerasrun-"+cmd.Name()+".1"]; ok != cmd.IsAvailableCommand() {
			t.Errorf("%s: got a manual page: %v", cmd.Name(), ok)
		}
	}
	if pages["kerasrun.1"] == "" {
		t.Error("got no kerasrun.1")
	}
}
