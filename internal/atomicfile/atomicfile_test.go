package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"kerasrun/internal/atomicfile"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	errHalf := errors.New("half way")
	failing := func(w io.Writer) error { return errors.Join(text("half")(w), errHalf) }
	if err := atomicfile.Write(path, failing); !errors.Is(err, errHalf) {
		t.Errorf("got %v, want the writer's error", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a failed write left a file")
	}
	for _, content := range []string{"first", "the second"} {
		if err := atomicfile.Write(path, text(content)); err != nil {
			t.Fatal(err)
		}
		if err := atomicfile.Write(path, failing); !errors.Is(err, errHalf) {
			t.Errorf("got %v, want the writer's error", err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("got %q, %v, want %q", got, err, content)
		}
	}
	// A link in the place of the unfinished file, which anyone may make who can write to a directory.
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(other, []byte("kept"), 0o600),
		os.Symlink(other, path+".partial"), atomicfile.Write(path, text("third"))); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(other); err != nil || string(got) != "kept" {
		t.Errorf("got %q, %v behind the link, want it kept", got, err)
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("got %v, %v, want a file", info, err)
	}
	if left, _ := filepath.Glob(path + ".*"); left != nil {
		t.Errorf("left behind: %q", left)
	}
	if err := atomicfile.Write(filepath.Join(path, "y"), text("")); err == nil {
		t.Error("a file is written below a file")
	}
	if err := atomicfile.Write(os.DevNull, text("x")); err != nil {
		t.Error(err)
	}
}
