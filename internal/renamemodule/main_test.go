package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRename renames the module in a copy, twice, and builds that.
func TestRename(t *testing.T) {
	root := "../.."
	tracked, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Skip("expected a git checkout: ", err)
	}
	dir := t.TempDir()
	for path := range strings.SplitSeq(strings.TrimSuffix(string(tracked), "\x00"), "\x00") {
		from, to := filepath.Join(root, path), filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, err := os.Readlink(from); err == nil {
			if err := os.Symlink(target, to); err != nil {
				t.Fatal(err)
			}
			continue
		}
		info, err := os.Stat(from)
		if err != nil {
			continue // deleted and not committed yet
		}
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		command := exec.Command(name, args...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("git", "init", "-q")
	run("git", "add", "--all", "--force")
	for _, name := range []string{"example.org/first/kerasrun", "example.org/second/name"} {
		run("scripts/rename-module", name)
		if got := strings.TrimSpace(run("go", "list", "-m")); got != name {
			t.Fatalf("got module %s, want %s", got, name)
		}
	}
	grep := exec.Command("git", "grep", "-nE",
		`"(example.org/first/)?kerasrun/(runner|serve|tensor)`)
	grep.Dir = dir
	if found, _ := grep.Output(); len(found) > 0 {
		t.Errorf("got the old name still, in\n%s", found)
	}
	// Its initialisation reads the descriptors of the protocol buffers, whose lengths have changed.
	run("go", "test", "-run", "^$", "./serve")
	if testing.Short() || !strings.Contains(os.Getenv("CGO_CFLAGS"), "-I") {
		t.Log("without TensorFlow: what calls it was not built")
		return
	}
	run("go", "vet", "./...")
}
