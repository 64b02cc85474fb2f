package serve

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

	"github.com/google/go-cmp/cmp"

	"kerasrun/batch"
	"kerasrun/savedmodel"
)

// addVersion makes an empty directory of a version.
func addVersion(t testing.TB, dir, version string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, version), 0o755); err != nil {
		t.Fatal(err)
	}
}

// loader loads fakes, and refuses the directories that have a file "broken".
type loader struct {
	mu    sync.Mutex
	loads []string
	fakes map[string]*fakeModel
}

var errBroken = errors.New("the goldens do not agree")

func (l *loader) load(_ context.Context, dir string) (Model, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loads = append(l.loads, filepath.Base(dir))
	if _, err := os.Stat(filepath.Join(dir, "broken")); err == nil {
		return nil, errBroken
	}
	if l.fakes == nil {
		l.fakes = map[string]*fakeModel{}
	}
	m := &fakeModel{}
	l.fakes[filepath.Base(dir)] = m
	return m, nil
}

func (l *loader) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.loads = nil }()
	return l.loads
}

// states returns the states of the fake's versions as "3 AVAILABLE, 2 END".
func states(t testing.TB, s *Server) string {
	t.Helper()
	statuses, err := s.repository.statuses(choice{model: "fake"})
	if err != nil {
		return err.Error()
	}
	var text []string
	for _, status := range statuses {
		text = append(text, fmt.Sprintf("%d %s", status.Version, status.State))
	}
	return strings.Join(text, ", ")
}

func TestVersions(t *testing.T) {
	l := &loader{}
	var dir string
	s := startServer(t, nil, func(c *Config) {
		c.Load = l.load
		dir = c.Models[0].Path
	})
	step := func(name, wantLoads, wantStates string) {
		t.Helper()
		s.refresh(t.Context())
		s.unloading.Wait()
		if loads := strings.Join(l.take(), " "); loads != wantLoads {
			t.Errorf("%s: got %q, want %q loaded", name, loads, wantLoads)
		}
		if got := states(t, s); got != wantStates {
			t.Errorf("%s: got %s, want %s", name, got, wantStates)
		}
	}
	l.take()
	step("nothing new", "", "1 AVAILABLE")

	addVersion(t, dir, "2")
	addVersion(t, dir, "not a version")
	step("a new one", "2", "2 AVAILABLE, 1 END")
	if !l.fakes["1"].closed.Load() || l.fakes["2"].closed.Load() {
		t.Error("want the old one closed and the new one open")
	}

	addVersion(t, dir, "10")
	broken := filepath.Join(dir, "10", "broken")
	if err := os.WriteFile(broken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	step("a broken one", "10", "10 END, 2 AVAILABLE, 1 END")
	step("is not tried again", "", "10 END, 2 AVAILABLE, 1 END")
	w := request(s.Handler(), "GET", "/v1/models/fake/versions/10", "")
	if want := `"state":"END","status":{"error_code":"INTERNAL","error_message":"the goldens do ` +
		`not agree"}`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %s, want %s", w.Body, want)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("a broken version makes the server not ready: %v", err)
	}

	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	step("mended", "10", "10 AVAILABLE, 2 END, 1 END")

	if err := os.RemoveAll(filepath.Join(dir, "10")); err != nil {
		t.Fatal(err)
	}
	step("taken back", "2", "10 END, 2 AVAILABLE, 1 END")

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	step("the directory is gone", "", "10 END, 2 AVAILABLE, 1 END")
	if w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf); w.Code != 200 {
		t.Errorf("got %d %s, want 200", w.Code, w.Body)
	}
}

// Versions are swapped under load: every request is answered, by a model that is open.
func TestSwapsLoseNothing(t *testing.T) {
	l := &loader{}
	var dir string
	s := startServer(t, nil, func(c *Config) {
		c.Load = l.load
		dir = c.Models[0].Path
	})
	h := s.Handler()
	var stop atomic.Bool
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 8 {
		clients.Go(func() {
			for !stop.Load() {
				if w := request(h, "POST", "/v1/models/fake:predict", oneHalf); w.Code != 200 {
					t.Errorf("lost: %d %s", w.Code, w.Body)
					return
				}
				answered.Add(1)
			}
		})
	}
	for version := 2; version <= 201; version++ {
		addVersion(t, dir, fmt.Sprint(version))
		s.refresh(t.Context())
		if err := os.Remove(filepath.Join(dir, fmt.Sprint(version-1))); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	clients.Wait()
	s.unloading.Wait()
	if !strings.HasPrefix(states(t, s), "201 AVAILABLE, 200 END") || answered.Load() == 0 {
		t.Errorf("%d answered; %s", answered.Load(), states(t, s))
	}
}

func TestNotReadyWithoutAVersion(t *testing.T) {
	dir := t.TempDir()
	addVersion(t, dir, "1")
	if err := os.WriteFile(filepath.Join(dir, "1", "broken"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	l := &loader{}
	s, err := New(Config{Models: []ModelConfig{{Name: "fake", Path: dir}}, Load: l.load,
		Batching: batch.Default(), Limits: DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, code := range map[string]int{"/v2/health/live": 200, "/v2/health/ready": 503,
		"/v2/models/fake/ready": 503} {
		if w := request(s.Handler(), "GET", path, ""); w.Code != code {
			t.Errorf("before the start, %s: got %d, want %d", path, w.Code, code)
		}
	}
	if w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf); w.Code != 503 {
		t.Errorf("before the start, predict: got %d, want 503", w.Code)
	}
	if err := s.Start(t.Context()); !errors.Is(err, errBroken) ||
		!strings.Contains(err.Error(), "no version that is ready") {
		t.Errorf("got %v, want %v", err, errBroken)
	}
}

func TestPolicy(t *testing.T) {
	all := func() []directory { return []directory{{1, "1"}, {2, "2"}, {5, "5"}} }
	for _, c := range []struct {
		policy Policy
		want   string
	}{
		{Policy{}, "[{5 5}]"},
		{Policy{Latest: 2}, "[{2 2} {5 5}]"},
		{Policy{Latest: 9}, "[{1 1} {2 2} {5 5}]"},
		{Policy{All: true}, "[{1 1} {2 2} {5 5}]"},
		{Policy{Specific: []int64{5, 1, 7}}, "[{1 1} {5 5}]"},
	} {
		if got := fmt.Sprint(c.policy.choose(all())); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.policy, got, c.want)
		}
	}
	if got := (Policy{}).choose(nil); len(got) != 0 {
		t.Errorf("of nothing: got %v", got)
	}
}

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"10", "9", "007", "7", "-1", "x", "1.5"} {
		addVersion(t, dir, name)
	}
	if err := os.WriteFile(filepath.Join(dir, "11"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := ModelConfig{Path: dir}.directories(t.Context())
	want := []int64{7, 9, 10}
	var got []int64
	for _, d := range found {
		got = append(got, d.number)
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := os.WriteFile(filepath.Join(dir, savedmodel.GraphPath), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	found, err = ModelConfig{Path: dir}.directories(t.Context())
	if err != nil || len(found) != 1 || found[0] != (directory{1, dir}) {
		t.Errorf("a model itself: got %v, %v", found, err)
	}
	none := ModelConfig{Path: filepath.Join(dir, "none")}
	if found, err := none.directories(t.Context()); err == nil {
		t.Errorf("a directory that is not there: got %v", found)
	}
}

// TestLinkedVersions holds that a version may be a link to where it is stored, which is resolved
// once.
func TestLinkedVersions(t *testing.T) {
	dir := t.TempDir()
	addVersion(t, dir, "store/abc")
	addVersion(t, dir, "model")
	for version, target := range map[string]string{"1": "../store/abc", "2": "../store/gone"} {
		if err := os.Symlink(target, filepath.Join(dir, "model", version)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := ModelConfig{Path: filepath.Join(dir, "model")}.directories(t.Context())
	stored, resolveErr := filepath.EvalSymlinks(filepath.Join(dir, "store/abc"))
	if err != nil || resolveErr != nil || len(found) != 1 || found[0] != (directory{1, stored}) {
		t.Errorf("got %v, %v, want version 1 in %s", found, err, stored)
	}
	link := filepath.Join(dir, "model", "1")
	before, err := fingerprint(link)
	if err != nil {
		t.Fatal(err)
	}
	addVersion(t, stored, "variables")
	if after, err := fingerprint(link); err != nil || before == after {
		t.Errorf("got %v and the same mark, want one that changes with what the link leads to", err)
	}
}

func TestSeveralModels(t *testing.T) {
	l := &loader{}
	s := startServer(t, nil, func(c *Config) {
		c.Load = l.load
		addVersion(t, c.Models[0].Path, "2")
		c.Models[0].Policy.All = true
		c.Models[0].Labels = map[string]int64{"stable": 1, "canary": 2, "gone": 3}
		c.Models = append(c.Models, ModelConfig{Name: "other", Path: modelDirectory(t)})
	})
	for path, code := range map[string]int{
		"/v1/models/fake": 200, "/v1/models/fake/versions/1": 200,
		"/v1/models/fake/labels/canary": 200, "/v1/models/fake/labels/gone": 404,
		"/v1/models/other": 200, "/v1/models/other/versions/2": 404, "/v1/models/third": 404,
	} {
		if w := request(s.Handler(), "POST", path+":predict", oneHalf); w.Code != code {
			t.Errorf("%s: got %d %s, want %d", path, w.Code, w.Body, code)
		}
	}
	w := request(s.Handler(), "GET", "/v2/models/fake", "")
	if want := `"versions":["1","2"]`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %s, want %s", w.Body, want)
	}
}

// A model whose queue is full holds up no other: tensors and images are answered meanwhile.
func TestModelsDoNotWaitForEachOther(t *testing.T) {
	busy := &fakeModel{}
	other := modelDirectory(t)
	s := startServer(t, nil, func(c *Config) {
		c.Load = func(_ context.Context, dir string) (Model, error) {
			if strings.HasPrefix(dir, other) {
				return &fakeModel{}, nil
			}
			return busy, nil
		}
		c.Models = append(c.Models, ModelConfig{Name: "other", Path: other})
	})
	busy.gate = make(chan struct{}) // now that it is warm
	h := s.Handler()
	var waiting sync.WaitGroup
	for range 64 {
		waiting.Go(func() { request(h, "POST", "/v1/models/fake:predict", oneHalf) })
	}
	waitFor(t, func() bool { return busy.waiting.Load() > 0 })
	for range 8 {
		w := request(h, "POST", "/v1/models/other:predict", oneHalf)
		image := request(h, "POST", "/classify?model=other", string(pngImage(t, 0, 255, 0)))
		if w.Code != 200 || image.Code != 200 {
			t.Errorf("got %d %s, %d %s, want 200", w.Code, w.Body, image.Code, image.Body)
		}
	}
	close(busy.gate)
	waiting.Wait()
}

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		models []ModelConfig
		want   string
	}{
		{nil, "at least one model"},
		{[]ModelConfig{{Name: ""}}, "a model's name"},
		{[]ModelConfig{{Name: "a/b"}}, "a model's name"},
		{[]ModelConfig{{Name: "a:predict"}}, "a model's name"},
		{[]ModelConfig{{Name: "a"}, {Name: "a"}}, "two models"},
	} {
		_, err := New(Config{Models: c.models, Batching: batch.Default(), Limits: DefaultLimits()})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want an error with %q", c.models, err, c.want)
		}
	}
}
