package vouched

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	content  = strings.Repeat("a", 64)
	exported = Entry{SHA256: content, By: ByExport}
	probe    = Entry{SHA256: content, By: ByProbe, Probe: &Probe{TensorFlow: "1.2", Precision: "fp32"}}
)

// has fails the test unless an entry is as it is wanted.
func has(t *testing.T, when string, e Entry, want bool, fault string) {
	t.Helper()
	got, err := Has(e)
	if got != want || fault == "" && err != nil ||
		fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
		t.Errorf("%s: got %v, %v, want %v, %q", when, got, err, want, fault)
	}
}

func TestEntries(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "not", "there", "yet")
	t.Setenv("XDG_CACHE_HOME", cache)
	has(t, "before", probe, false, "")
	if err := Add(probe); err != nil {
		t.Fatal(err)
	}
	has(t, "after", probe, true, "")
	has(t, "by another", exported, false, "")
	other := probe
	other.Probe = &Probe{TensorFlow: "1.3", Precision: "fp32"}
	has(t, "of another TensorFlow", other, false, "")
	other = probe
	other.SHA256 = strings.Repeat("b", 64)
	has(t, "of another content", other, false, "")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := Add(exported); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	entries, err := List(content)
	if err != nil || len(entries) != 2 || !slices.Contains(entries, exported) {
		t.Errorf("got %+v, %v, want both", entries, err)
	}
	files, err := filepath.Glob(filepath.Join(cache, "kerasrun/vouched/*"))
	if err != nil || len(files) != 2 {
		t.Errorf("got %q, %v, want two files", files, err)
	}
	if info, err := os.Stat(filepath.Join(cache, "kerasrun/vouched")); err != nil ||
		info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want a directory of the user's own", info, err)
	}
	// What the exporter writes, and where.
	text, err := os.ReadFile(filepath.Join(cache, "kerasrun/vouched", content+".export"))
	if want := `{"sha256":"` + content + `","by":"export"}` + "\n"; string(text) != want {
		t.Errorf("got %q, %v, want %q", text, err, want)
	}
}

// TestPoisoned holds that what somebody else can write is not believed.
func TestPoisoned(t *testing.T) {
	const notOwn, notOwner = "expected what only user", "as the owner"
	for _, c := range []struct {
		name  string
		spoil func(dir, file string) error
		fault string
		heals bool // whether a probe can be remembered again
	}{
		{"nothing", func(string, string) error { return nil }, "", true},
		{"a directory for the group", func(dir, _ string) error { return os.Chmod(dir, 0o770) },
			notOwn, false},
		{"a directory for all", func(dir, _ string) error { return os.Chmod(dir, 0o707) }, notOwn,
			false},
		{"another's directory", func(dir, _ string) error { return os.Chown(dir, 12345, -1) },
			notOwner, false},
		{"a file for the group", func(_, file string) error { return os.Chmod(file, 0o660) },
			notOwn, true},
		{"another's file", func(_, file string) error { return os.Chown(file, 12345, -1) },
			notOwner, true},
		{"another text", func(_, file string) error {
			return os.WriteFile(file, []byte("{}\n"), 0o600)
		}, "got something else", true},
		{"an empty file", func(_, file string) error { return os.Truncate(file, 0) },
			"got something else", true},
		{"a link", func(dir, file string) error {
			moved := filepath.Join(dir, "moved")
			if err := os.Rename(file, moved); err != nil {
				return err
			}
			return os.Symlink("moved", file)
		}, "expected a file", true},
	} {
		if strings.HasPrefix(c.name, "another's") && os.Geteuid() != 0 {
			t.Logf("%s: left out, for only root gives files away", c.name)
			continue
		}
		cache := t.TempDir()
		t.Setenv("XDG_CACHE_HOME", cache)
		if err := Add(probe); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(cache, "kerasrun/vouched")
		name, _ := probe.encode()
		if err := c.spoil(dir, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		has(t, c.name, probe, c.fault == "", c.fault)
		entries, err := List(content)
		if (err == nil) != (c.fault == "") || (len(entries) == 1) != (c.fault == "") {
			t.Errorf("%s: listed %+v, %v", c.name, entries, err)
		}
		if err := Add(probe); (err == nil) != c.heals {
			t.Errorf("%s: remembered anew: got %v, want that it goes well: %v", c.name, err, c.heals)
		}
		if c.heals {
			has(t, c.name+", anew", probe, true, "")
		}
	}
}

func TestNoCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	has(t, "no HOME", probe, false, "HOME")
	if err := Add(probe); err == nil {
		t.Error("remembered without a cache")
	}
}
