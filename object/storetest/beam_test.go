package storetest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestBeam holds that the Beam pipeline reads images and writes its output in a store, and that the
// shards merge there into the bytes of score.
func TestBeam(t *testing.T) {
	pipeline := filepath.Join(t.TempDir(), "kerasrun-beam")
	build := exec.Command("go", "build", "-o", pipeline, ".")
	build.Dir = filepath.Join(repository, "cmd/kerasrun-beam")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eachServer(t, func(t *testing.T, s *server) {
		dir := t.TempDir()
		fill(t, s, dir)
		score(t, s, dir, 3, "-q", "--output", s.url("score.parquet"), s.url("photos"))
		cmd := command(t, s, dir)
		cmd.Path = pipeline
		cmd.Args = []string{pipeline, "--runner=prism", "--model", model(t), "--batch", "4",
			"--output-shards", "2", "--output", s.url("beam.parquet"), s.url("photos")}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 3 {
			t.Fatalf("got %v, want exit status 3: %s", err, out)
		}
		merge := run(t, s, dir, "merge", "--output", s.url("merged.parquet"),
			s.url("beam-00000-of-00002.parquet"), s.url("beam-00001-of-00002.parquet"))
		if merge.status != 0 {
			t.Fatal(merge.err)
		}
		want, err := s.get("score.parquet")
		got, getErr := s.get("merged.parquet")
		if err := errors.Join(err, getErr); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes (%v), want score's %d", len(got), err, len(want))
		}
		if _, err := s.get("beam.inputs"); err == nil {
			t.Error("beam.inputs: it is there, want it removed")
		}
		if _, err := os.Stat(filepath.Join(dir, "beam.inputs")); err == nil {
			t.Error("beam.inputs: it is on this machine, want none")
		}
	})
}
