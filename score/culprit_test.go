package score

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kerasrun/tensor"
	"kerasrun/worker"
)

// mortal is the fake in a worker, which dies of some runs: it is told each run's rows and whether
// one of them is marked to crash, and how often it has died.
type mortal struct {
	fake
	dies func(rows int64, marked bool, deaths int) bool

	mu     sync.Mutex
	deaths int
}

func (m *mortal) RunSignature(ctx context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	images := in["images"]
	marked := false
	pixels := append([]float32{}, images.Data.([]float32)...)
	for row := 0; row < len(pixels); row += 12 {
		marked = marked || pixels[row] == markerCrash
		pixels[row] = 0 // the fake itself would crash this process
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dies(images.Shape[0], marked, m.deaths) {
		m.deaths++
		return nil, &worker.DiedError{Cause: "SIGSEGV", Reason: "a reason", Death: m.deaths, Runs: 2}
	}
	images.Data = pixels
	return m.fake.RunSignature(ctx, key, map[string]tensor.Tensor{"images": images})
}

// killing makes a directory of 20 images, of which a [mortal] worker dies of two.
func killing(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 20 {
		content := fmt.Sprintf("image %d", i)
		if i == 11 || i == 13 {
			content = "crash " + content
		}
		write(t, filepath.Join(dir, fmt.Sprintf("%05d.jpg", i)), imageOf(content))
	}
	return dir
}

// TestCulprit has a worker die of images, of something else, and of a batch.
func TestCulprit(t *testing.T) {
	dir := killing(t)
	for name, c := range map[string]struct {
		dies     func(rows int64, marked bool, deaths int) bool
		failed   int64
		deaths   int
		warnings int
		err      string
	}{
		"two images": {func(_ int64, marked bool, _ int) bool { return marked }, 2, 3, 2, ""},
		"somebody kills it once": {
			func(_ int64, _ bool, deaths int) bool { return deaths == 0 }, 0, 1, 0, ""},
		"a batch is too large": {
			func(rows int64, marked bool, _ int) bool { return rows > 1 && marked }, 0, 2, 0,
			"images 8 to 15: the model's process died (SIGSEGV) with 2 runs in flight, of which this " +
				"is one: that is twice, and none of them does it alone"},
	} {
		t.Run(name, func(t *testing.T) {
			model := &mortal{dies: c.dies}
			var warnings []string
			run := config(filepath.Join(t.TempDir(), "out.jsonl"), source(t, dir))
			run.Model.Model, run.Concurrency = model, 1
			run.Warn = func(message string) { warnings = append(warnings, message) }
			summary, err := Run(t.Context(), run)
			if c.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.err) {
					t.Errorf("got %v, want %s", err, c.err)
				}
			} else if err != nil || summary.Answered != 20-c.failed || summary.Failed != c.failed {
				t.Errorf("got %+v, %v, want %d failed", summary, err, c.failed)
			}
			if model.deaths != c.deaths || len(warnings) != c.warnings {
				t.Errorf("got %d deaths and the warnings %q, want %d and %d", model.deaths, warnings,
					c.deaths, c.warnings)
			}
			for i, warning := range warnings {
				want := filepath.Join(dir, fmt.Sprintf("%05d.jpg: image %d killed the model's process: "+
					"SIGSEGV: a reason", 11+2*i, 11+2*i))
				if warning != want {
					t.Errorf("got the warning %q, want %q", warning, want)
				}
			}
			if c.failed > 0 {
				want := `"error":"killed the model's process (SIGSEGV) when it ran alone"`
				if n := strings.Count(read(t, run.Output), want); int64(n) != c.failed {
					t.Errorf("got %d rows with %s, want %d", n, want, c.failed)
				}
			}
		})
	}
}

// TestCulpritIsRemembered has a run end after its worker's culprits are known, before their batch
// is answered: the run that goes on does not run them again, and its output is the undisturbed one.
// So does one whose first process crashed itself.
func TestCulpritIsRemembered(t *testing.T) {
	dir := killing(t)
	run := config(filepath.Join(t.TempDir(), "out.jsonl"), source(t, dir))
	run.Concurrency, run.Columns.Outputs = 1, []string{Probs} // as child has it
	model := &mortal{dies: func(rows int64, marked bool, deaths int) bool {
		return marked || rows > 1 && deaths == 3 // the rest of the batch, once
	}}
	run.Model.Model = model
	if _, err := Run(t.Context(), run); err == nil || model.deaths != 4 {
		t.Fatalf("got %v and %d deaths, want an error and 4", err, model.deaths)
	}
	if s := mustRun(t, run); s.Failed != 2 || model.deaths != 4 {
		t.Errorf("got %+v and %d deaths, want 2 failed and no further death", s, model.deaths)
	}
	whole := run
	whole.Output = filepath.Join(t.TempDir(), "whole.jsonl")
	mustRun(t, whole)
	if got, want := read(t, run.Output), read(t, whole.Output); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}

	// Without a worker the process itself crashes; the next one has a worker.
	crashed := run
	crashed.Output = filepath.Join(t.TempDir(), "out.jsonl")
	if out, err := child(dir, crashed.Output).CombinedOutput(); err == nil {
		t.Fatalf("got %s, want a crash", out)
	}
	if s := mustRun(t, crashed); s.Failed != 2 {
		t.Errorf("got %+v, want 2 failed", s)
	}
	if got, want := read(t, crashed.Output), read(t, whole.Output); got != want {
		t.Errorf("after a crash: got %s\nwant %s", got, want)
	}
}
