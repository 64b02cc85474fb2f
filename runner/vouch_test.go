package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kerasrun/internal/vouched"
	"kerasrun/savedmodel"
)

// counted has models probed by this program, and counts the probes.
func counted(n *atomic.Int32) Option {
	return func(c *config) error {
		c.probe = func(ctx context.Context, dir string, c config) error {
			n.Add(1)
			return runProbe(ctx, []string{os.Args[0], probeChild}, dir, c)
		}
		return nil
	}
}

// copied returns a copy of a generated model.
func copied(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(models, name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// contentOf returns the content of a model, as the exporter remembers it.
func contentOf(t *testing.T, dir string) string {
	t.Helper()
	m, err := savedmodel.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := m.SHA256(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// opens opens a model and closes it, and returns Open's error.
func opens(t *testing.T, dir string, options ...Option) error {
	t.Helper()
	m, err := Open(t.Context(), dir, options...)
	if err != nil {
		return err
	}
	return m.Close()
}

// TestManifestVouchesForNothing opens a model whose manifest is good and that ends the process that
// runs it: the probe has to find it, at each Open.
func TestManifestVouchesForNothing(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := filepath.Join(models, "aborts_manifest")
	m, err := savedmodel.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	findings, err := m.Scan(t.Context(), savedmodel.Skip(savedmodel.CheckContract,
		savedmodel.CheckLabels))
	if err := errors.Join(err, savedmodel.Join(findings)); err != nil || !m.Verified() {
		t.Fatalf("got %v, want a model with a manifest that passes the scan", err)
	}
	relaxed := WithScan(savedmodel.Skip(savedmodel.CheckContract, savedmodel.CheckLabels))
	for range 2 {
		var probes atomic.Int32
		err := opens(t, dir, relaxed, counted(&probes))
		if !matches(err, "probe in another process failed: ") || probes.Load() != 1 {
			t.Errorf("got %v after %d probes, want that one has failed", err, probes.Load())
		}
	}
	if err := opens(t, dir, relaxed); !errors.Is(err, ErrUnvouched) ||
		!strings.Contains(err.Error(), contentOf(t, dir)) {
		t.Errorf("without a probe: got %v, want ErrUnvouched with the SHA-256", err)
	}
}

// TestProbeOnce holds that a content is probed once, and one that differs in a byte again.
func TestProbeOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := copied(t, "variables")
	signature := WithSignature("serving_default")
	for _, c := range []struct {
		name    string
		change  func() error
		options []Option
		probes  int32
	}{
		{"the first start", nil, nil, 1},
		{"the second", nil, nil, 0},
		{"at another place", func() error {
			moved := dir + "2"
			defer func() { dir = moved }()
			return os.Rename(dir, moved)
		}, nil, 0},
		{"in another precision", nil, []Option{WithPrecision(BF16)}, 1},
		{"with another byte", func() error {
			return os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("x"), 0o600)
		}, nil, 1},
		{"with another one", func() error {
			return os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("y"), 0o600)
		}, nil, 1},
		{"as it was", func() error { return os.Remove(filepath.Join(dir, "notes.txt")) }, nil, 0},
	} {
		if c.change != nil {
			if err := c.change(); err != nil {
				t.Fatal(err)
			}
		}
		var probes atomic.Int32
		options := append(c.options, signature, AllowUnverified(), counted(&probes))
		if err := opens(t, dir, options...); err != nil || probes.Load() != c.probes {
			t.Errorf("%s: got %d probes, %v, want %d", c.name, probes.Load(), err, c.probes)
		}
	}
	if err := opens(t, dir, signature, AllowUnverified()); err != nil {
		t.Errorf("without a probe, after one: got %v", err)
	}
}

// TestProbeTogether opens a model several times at once, before it was ever probed.
func TestProbeTogether(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := filepath.Join(models, "both")
	var probes atomic.Int32
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if err := opens(t, dir, AllowUnverified(), counted(&probes)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	before := probes.Load()
	if err := opens(t, dir, AllowUnverified(), counted(&probes)); err != nil ||
		before == 0 || probes.Load() != before {
		t.Errorf("got %d probes, then %d, %v, want no more", before, probes.Load(), err)
	}
}

func TestWithModelSHA256(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := filepath.Join(models, "both")
	content, other := contentOf(t, dir), strings.Repeat("0", 64)
	for _, c := range []struct {
		name string
		sums []string
		want string
	}{
		{"its own", []string{strings.ToUpper(content)}, ""},
		{"one of two", []string{other, content}, ""},
		{"another's", []string{other},
			fmt.Sprintf("expected a model of the SHA-256 %s, got %s", other, content)},
		{"a short one", []string{"12"}, `expected 64 hexadecimal digits, got "12"`},
		{"none", nil, "expected at least one, got none"},
	} {
		var probes atomic.Int32
		err := opens(t, dir, WithModelSHA256(c.sums...), counted(&probes))
		if !matches(err, c.want) || probes.Load() != 0 {
			t.Errorf("%s: got %v, %d probes, want %q and none", c.name, err, probes.Load(), c.want)
		}
	}
	// The hash that vouches is of the whole: it is not had where a link leads out.
	outside := copied(t, "both")
	if err := os.Symlink("/dev/null", filepath.Join(outside, "out")); err != nil {
		t.Fatal(err)
	}
	err := opens(t, outside, WithModelSHA256(content),
		WithScan(savedmodel.Skip(savedmodel.CheckLinks)))
	if !matches(err, "a link out of the directory") {
		t.Errorf("a link out: got %v, want that it is named", err)
	}
}

// TestExported opens what the exporter says that the user exported.
func TestExported(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := filepath.Join(models, "conv")
	if err := opens(t, dir); !errors.Is(err, ErrUnvouched) {
		t.Errorf("before: got %v, want ErrUnvouched", err)
	}
	err := vouched.Add(vouched.Entry{SHA256: contentOf(t, dir), By: vouched.ByExport})
	if err != nil {
		t.Fatal(err)
	}
	if err := opens(t, dir); err != nil {
		t.Errorf("after: got %v", err)
	}
}

// TestProbeNotRemembered has no cache to remember in: each Open probes and says so in a line.
func TestProbeNotRemembered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cache := range map[string]string{
		"below a file": filepath.Join(file, "cache"), "a relative path": "cache",
	} {
		t.Setenv("XDG_CACHE_HOME", cache)
		for range 2 {
			var probes atomic.Int32
			var said []string
			err := opens(t, filepath.Join(models, "both"), AllowUnverified(), counted(&probes),
				WithWarnings(func(message string) { said = append(said, message) }))
			if err != nil || probes.Load() != 1 || len(said) != 1 ||
				!strings.Contains(said[0], "cannot be remembered") ||
				strings.Contains(said[0], "\n") {
				t.Errorf("%s: got %v, %d probes, %q, want one and a line", name, err, probes.Load(),
					said)
			}
		}
	}
}
