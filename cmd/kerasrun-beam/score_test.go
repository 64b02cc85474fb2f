package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"

	"kerasrun/score"
)

// A model that cannot be opened is named and counted once, by the first element; a bundle that is
// tried again, of this or of another function, does not open it again.
func TestModelNotOpened(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() { shared.failed = nil })
	job := Job{Model: dir, Output: "out.jsonl", Batch: 1, Shards: 1}
	ctx := metrics.SetPTransformID(metrics.SetBundleID(context.Background(), "bundle"), "score")
	scores, writes := &scoreFn{Job: job}, &writeFn{Job: job}
	scores.Setup()
	emit := func(int64, score.Answered) { t.Error("got an answer, want none") }
	b := Batch{Names: []string{"a"}, Paths: []string{"a"}, Errors: []string{""}}
	first := scores.ProcessElement(ctx, b, emit)
	if first == nil || !strings.Contains(first.Error(), "the model "+dir+" cannot be opened: ") {
		t.Fatalf("got %v, want an error that names %s", first, dir)
	}
	if err := os.Remove(dir); err != nil { // opened again, it would fail otherwise
		t.Fatal(err)
	}
	next := func(*score.Answered) bool { return false }
	for _, err := range []error{scores.ProcessElement(ctx, b, emit),
		writes.ProcessElement(ctx, 0, next)} {
		if err != first {
			t.Errorf("got %v, want the same error", err)
		}
	}
	for _, err := range []error{scores.Teardown(), writes.Teardown()} {
		if err != nil {
			t.Error(err)
		}
	}
	counted := map[string]int64{}
	err := metrics.Extractor{SumInt64: func(l metrics.Labels, n int64) {
		counted[l.Name()] += n
	}}.ExtractFrom(metrics.GetStore(ctx))
	if err != nil || counted["models_not_opened"] != 1 {
		t.Errorf("got %v, %v, want one model that is not opened", counted, err)
	}
}
