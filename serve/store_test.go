package serve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/batch"
	"kerasrun/savedmodel"
)

// fakeStore is a store whose store://PATH is a path in a directory.
type fakeStore struct {
	root    string
	down    error // what every look at it answers
	broken  error // what every copy from it answers
	fetched []string
}

const storeScheme = "store://"

func (s *fakeStore) path(dir string) string {
	return filepath.Join(s.root, strings.TrimPrefix(dir, storeScheme))
}

func (s *fakeStore) ReadDir(_ context.Context, dir string) ([]string, error) {
	if s.down != nil {
		return nil, s.down
	}
	entries, err := os.ReadDir(s.path(dir))
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return names, err
}

func (s *fakeStore) Fingerprint(_ context.Context, dir string) (string, error) {
	if s.down != nil {
		return "", s.down
	}
	return fingerprint(s.path(dir))
}

func (s *fakeStore) Fetch(_ context.Context, dir string) (string, error) {
	s.fetched = append(s.fetched, dir)
	return s.path(dir), s.broken
}

// TestStore holds that versions come from a store as from this machine, and that what a store does
// not answer for a while takes nothing away and is asked for again.
func TestStore(t *testing.T) {
	store, l := &fakeStore{root: t.TempDir()}, &loader{}
	addVersion(t, store.root, "model/1")
	var log bytes.Buffer
	s, err := New(Config{
		Models: []ModelConfig{{Name: "fake", Path: storeScheme + "model/", Store: store}},
		Load:   l.load, Batching: batch.Default(), Limits: DefaultLimits(),
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err == nil {
		err = s.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add := func(version string) func() {
		return func() { addVersion(t, store.root, "model/"+version) }
	}
	for _, step := range []struct {
		name            string
		do              func()
		fetched, loaded string
		states          string
		errors          int // lines of the log
	}{
		{"at the start", func() {}, "1", "1", "1 AVAILABLE", 0},
		{"nothing new", func() {}, "", "", "1 AVAILABLE", 0},
		{"a new one", add("2"), "2", "2", "2 AVAILABLE, 1 END", 0},
		{"no version", add("latest"), "", "", "2 AVAILABLE, 1 END", 0},
		{"no answer", func() { store.down = errors.New("no answer") }, "", "",
			"2 AVAILABLE, 1 END", 1},
		{"still none", add("3"), "", "", "2 AVAILABLE, 1 END", 0},
		{"no copy", func() { store.down, store.broken = nil, errors.New("cut off") }, "3", "",
			"3 END, 2 AVAILABLE, 1 END", 1},
		{"is tried again", func() {}, "3", "", "3 END, 2 AVAILABLE, 1 END", 0},
		{"and comes", func() { store.broken = nil }, "3", "3", "3 AVAILABLE, 2 END, 1 END", 0},
		{"a broken one", add("4/broken"), "4", "4", "4 END, 3 AVAILABLE, 2 END, 1 END", 1},
		{"is not copied again", func() {}, "", "", "4 END, 3 AVAILABLE, 2 END, 1 END", 0},
	} {
		step.do()
		s.refresh(t.Context())
		s.unloading.Wait()
		fetched := strings.ReplaceAll(strings.Join(store.fetched, " "), storeScheme+"model/", "")
		loaded := strings.Join(l.take(), " ")
		if fetched != step.fetched || loaded != step.loaded {
			t.Errorf("%s: got %q fetched and %q loaded, want %q and %q", step.name, fetched, loaded,
				step.fetched, step.loaded)
		}
		if got := states(t, s); got != step.states {
			t.Errorf("%s: got %s, want %s", step.name, got, step.states)
		}
		if got := strings.Count(log.String(), "\n"); got != step.errors {
			t.Errorf("%s: got %d errors logged, want %d: %s", step.name, got, step.errors, &log)
		}
		w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf)
		if w.Code != 200 {
			t.Errorf("%s: got %d %s, want an answer", step.name, w.Code, w.Body)
		}
		store.fetched = nil
		log.Reset()
	}
}

// A store that cannot be asked at the start is an error that says why; a model that has no versions
// is version 1.
func TestStoreAtTheStart(t *testing.T) {
	unreachable := errors.New("store://: the credentials are refused")
	for _, test := range []struct {
		name string
		down error
		file string
		want error
	}{
		{"no answer", unreachable, "1/x", unreachable},
		{"a model itself", nil, savedmodel.GraphPath, nil},
	} {
		store, l := &fakeStore{root: t.TempDir(), down: test.down}, &loader{}
		path := filepath.Join(store.root, "model", test.file)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{
			Models: []ModelConfig{{Name: "fake", Path: storeScheme + "model", Store: store}},
			Load:   l.load, Batching: batch.Default(), Limits: DefaultLimits()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if got := states(t, s); test.want == nil && got != "1 AVAILABLE" {
			t.Errorf("%s: got %s, want 1 AVAILABLE", test.name, got)
		}
		s.Close()
	}
}
