package serve

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kerasrun/savedmodel"
	"kerasrun/serve/internal/oip"
	"kerasrun/tensor"
)

// counted is a model that counts its runs of half_plus_two and adds to each answer.
type counted struct {
	*fakeModel
	runs  atomic.Int64
	extra float32
}

func (m *counted) RunSignature(ctx context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	out, err := m.fakeModel.RunSignature(ctx, key, in)
	if err == nil && key == "half_plus_two" {
		m.runs.Add(1)
		y := out["y"].Data.([]float32)
		for i := range y {
			y[i] += m.extra
		}
	}
	return out, err
}

func (m *counted) SavedModel() *savedmodel.Model { return m.fakeModel.SavedModel() }

func halves(values string) string {
	return `{"signature_name": "half_plus_two", "instances": [` + values + `]}`
}

// The same request is run once, and each other one by itself, over every protocol.
func TestCache(t *testing.T) {
	model := &counted{fakeModel: &fakeModel{}}
	s := startServer(t, model, func(c *Config) { c.Cache = 1 << 20 })
	for i, c := range []struct {
		path, body, want string
		runs             int64
	}{
		{"/v1/models/fake:predict", halves("1, 2"), "2.5, 3.0", 1},
		{"/v1/models/fake:predict", halves("1, 2"), "2.5, 3.0", 1},
		{"/v1/models/fake:predict", halves("1,2.0"), "2.5, 3.0", 1},
		{"/v1/models/fake/versions/1:predict", halves("1, 2"), "2.5, 3.0", 1},
		{"/v1/models/fake:predict", halves("2, 1"), "3.0, 2.5", 2},
		{"/v1/models/fake:predict", halves("1"), "2.5", 3},
		{"/v1/models/fake:predict", halves("[1, 2]"), "rank", 3}, // an error, every time
		{"/v1/models/fake:predict", halves("[1, 2]"), "rank", 3},
		{"/v2/models/fake/infer", scheduled(`"timeout": 0`), "2.5", 3},
		{"/v1/models/fake:predict", halves("666"), "the fake failed", 3}, // is not kept
		{"/v1/models/fake:predict", halves("666"), "the fake failed", 3},
	} {
		w := request(s.Handler(), "POST", c.path, c.body)
		body := strings.Join(strings.Fields(w.Body.String()), " ")
		if c.want != "rank" && !strings.Contains(body, c.want) || model.runs.Load() != c.runs {
			t.Errorf("%d: got %s after %d runs, want %s after %d", i, w.Body, model.runs.Load(),
				c.want, c.runs)
		}
	}
	w := request(s.Handler(), "GET", "/metrics", "")
	for _, want := range []string{
		`kerasrun_cache_total{model="fake",result="hit",version="1"} 4`,
		`kerasrun_cache_entries 3`, `nv_cache_num_hits_per_model{model="fake",version="1"} 4`,
	} {
		if !strings.Contains(w.Body.String(), "\n"+want) {
			t.Errorf("want %s", want)
		}
	}
	stats := request(s.Handler(), "GET", "/v2/models/fake/stats", "").Body.String()
	if !strings.Contains(stats, `"cache_hit":{"count":4,`) ||
		!strings.Contains(stats, `"cache_miss":{"count":3,`) ||
		!strings.Contains(stats, `"compute_infer":{"count":3,`) ||
		!strings.Contains(stats, `"success":{"count":7,`) ||
		!strings.Contains(stats, `"inference_count":5,`) {
		t.Errorf("statistics: %s", stats)
	}
	image := string(pngImage(t, 1, 2, 3))
	first := request(s.Handler(), "POST", "/classify", image).Body.String()
	again := request(s.Handler(), "POST", "/classify", image).Body.String()
	cut := func(text string) string { return text[:strings.Index(text, "times_ms")] }
	if cut(first) != cut(again) || !strings.Contains(again, `"preprocess":0,`) {
		t.Errorf("an image again: got %s, want as at first %s without decoding", again, first)
	}
}

// Each version has its own answers, also when it is the same number that is loaded again.
func TestCacheAcrossVersions(t *testing.T) {
	var loaded atomic.Int64
	dir := modelDirectory(t)
	s := startServer(t, nil, func(c *Config) {
		c.Cache = 1 << 20
		c.Models[0].Path, c.Models[0].Labels = dir, nil
		c.Load = func(context.Context, string) (Model, error) {
			return &counted{fakeModel: &fakeModel{}, extra: float32(loaded.Add(1))}, nil
		}
	})
	ask := func(want string) {
		t.Helper()
		for range 2 {
			w := request(s.Handler(), "POST", "/v1/models/fake:predict", halves("2"))
			if body := strings.Join(strings.Fields(w.Body.String()), " "); !strings.Contains(body, want) {
				t.Errorf("got %s, want %s", body, want)
			}
		}
	}
	ask("4.0")
	addVersion(t, dir, "2")
	s.refresh(t.Context())
	s.unloading.Wait()
	ask("5.0")
	if _, entries := s.cache.held(); entries != 1 {
		t.Errorf("got %d answers kept, want 1: those of the version before are gone", entries)
	}
	m := s.repository.models["fake"]
	s.unload(m, 2)
	s.unloading.Wait()
	s.refresh(t.Context())
	ask("6.0")
}

// The bytes that are kept are bounded; the answer that was asked for longest ago goes first.
func TestCacheIsBounded(t *testing.T) {
	model := &counted{fakeModel: &fakeModel{}}
	const entry = entryBytes + outputBytes + 4
	s := startServer(t, model, func(c *Config) { c.Cache = 3 * entry })
	for i, runs := range []int64{1, 2, 3, 3, 4, 5, 5} {
		value := []int{1, 2, 3, 1, 4, 2, 1}[i]
		request(s.Handler(), "POST", "/v1/models/fake:predict", halves(fmt.Sprint(value)))
		if got := model.runs.Load(); got != runs {
			t.Errorf("request %d: got %d runs, want %d", i, got, runs)
		}
		if bytes, entries := s.cache.held(); bytes > 3*entry || bytes != int64(entries)*entry {
			t.Errorf("request %d: got %d bytes of %d answers, want at most %d", i, bytes, entries,
				3*entry)
		}
	}
	// One that is larger than all that is kept is not kept, and takes nothing's place.
	request(s.Handler(), "POST", "/v1/models/fake:predict", halves(strings.Repeat("1,", 500)+"1"))
	if bytes, _ := s.cache.held(); bytes != 3*entry {
		t.Errorf("got %d bytes, want %d", bytes, 3*entry)
	}
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for j := range 50 {
				n := (i + j) % 7
				w := request(s.Handler(), "POST", "/v1/models/fake:predict", halves(fmt.Sprint(2*n)))
				if want := fmt.Sprintf("%d.0", n+2); !strings.Contains(w.Body.String(), want) {
					t.Errorf("got %s, want %s", w.Body, want)
				}
			}
		})
	}
	clients.Wait()
	if bytes, _ := s.cache.held(); bytes > 3*entry {
		t.Errorf("got %d bytes, want at most %d", bytes, 3*entry)
	}
}

// A MultiInference of which one task was answered from the cache has been run too.
func TestStatisticsOfTasks(t *testing.T) {
	var whole timing
	whole.add(timing{Hit: 1})
	whole.add(timing{Miss: 2, Inference: 3, Queue: 4})
	s := newStatistics()
	s.answered(time.Now(), 5, whole, nil)
	for _, c := range []struct {
		name string
		got  *oip.StatisticDuration
		ns   uint64
	}{
		{"cache_hit", s.requests.CacheHit, 1}, {"cache_miss", s.requests.CacheMiss, 2},
		{"compute_infer", s.requests.ComputeInfer, 3}, {"queue", s.requests.Queue, 4},
		{"success", s.requests.Success, 5},
	} {
		if c.got.Count != 1 || c.got.Ns != c.ns {
			t.Errorf("%s: got %v, want 1 of %d ns", c.name, c.got, c.ns)
		}
	}
}

// The key of a text that stands for many takes no longer than that of one: here a tebibyte. It is
// that of as many equal texts, and of no others.
func TestCacheKeyOfTexts(t *testing.T) {
	sig := &signature{}
	key := func(texts ...[]byte) cacheKey {
		t.Helper()
		in, err := tensor.New(tensor.Shape{int64(len(texts))}, texts)
		if err != nil {
			t.Fatal(err)
		}
		k, err := keyOf(nil, sig, map[string]tensor.Tensor{"x": in})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	large := make([]byte, 1<<20)
	many := make([][]byte, 1<<20)
	for i := range many {
		many[i] = large
	}
	if key(many...) == key(many[1:]...) {
		t.Error("got one key for another number of texts")
	}
	a, b := []byte("ab"), []byte("ab")
	if key(a, a) != key(a, b) {
		t.Error("got other keys for equal texts")
	}
	seen := map[cacheKey]string{}
	for _, texts := range [][]string{{"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"", "abc"}, {"abc"},
		{"ab", "ab"}, {"ab", "ab", "ab"}, {"ab", "a"}} {
		whole := []byte(strings.Join(texts, "")) // in one memory, as those of a message
		var parts [][]byte
		for _, text := range texts {
			parts, whole = append(parts, whole[:len(text)]), whole[len(text):]
		}
		k := key(parts...)
		if other, ok := seen[k]; ok {
			t.Errorf("got one key for %q and %s", texts, other)
		}
		seen[k] = fmt.Sprintf("%q", texts)
	}
}
