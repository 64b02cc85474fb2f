package serve

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitsOfSize(t *testing.T) {
	good := string(pngImage(t, 1, 2, 3))
	deep := strings.Repeat("[", 101) + strings.Repeat("]", 101)
	for _, c := range []struct {
		name       string
		change     func(*Config)
		path, body string
		code       int
	}{
		{"body", func(c *Config) { c.Limits.Body = 100 }, "/v1/models/fake:predict",
			strings.Repeat(" ", 101), 413},
		{"body just within", func(c *Config) { c.Limits.Body = 100 }, "/v1/models/fake:predict",
			strings.Repeat(" ", 100), 400},
		{"bodies in flight", func(c *Config) { c.Limits.InFlight = 1000 }, "/classify", good, 503},
		{"tensors in flight", func(c *Config) { c.Limits.InFlight = 3 << 16 },
			"/v1/models/fake:predict",
			`{"instances": [` + strings.Repeat(`{"b64": ""}, `, 9000) + `{"b64": ""}]}`, 503},
		{"image", func(c *Config) { c.Limits.Image = int64(len(good)) - 1 }, "/classify", good,
			413},
		{"pixels", func(c *Config) { c.Limits.Pixels = 11 }, "/classify", good, 422},
		{"image just within", func(c *Config) {
			c.Limits.Image, c.Limits.Pixels = int64(len(good)),
				12
		}, "/classify", good, 200},
		{"depth", nil, "/v1/models/fake:predict", `{"instances": ` + deep + `}`, 400},
		{"depth of what is skipped", nil, "/v1/models/fake:predict", `{"more": ` + deep + `}`, 400},
		{"depth in OIP", nil, "/v2/models/fake/infer", `{"parameters": {"more": ` + deep + `}}`,
			400},
	} {
		w := request(startServer(t, &fakeModel{}, c.change).Handler(), "POST", c.path, c.body)
		if w.Code != c.code {
			t.Errorf("%s: got %d %.200s, want %d", c.name, w.Code, w.Body, c.code)
		}
		if retry := w.Header().Get("Retry-After"); (retry != "") != (c.code == 503) {
			t.Errorf("%s: Retry-After: %q", c.name, retry)
		}
	}
}

// A server whose memory was all taken answers again afterwards: what is taken is given back,
// whatever happened.
func TestMemoryIsGivenBack(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.InFlight = 4 << 16 })
	for _, body := range []string{string(pngImage(t, 1, 2, 3)), "no image",
		strings.Repeat("x", 5<<16), ""} {
		for range 20 {
			request(s.Handler(), "POST", "/classify", body)
			request(s.Handler(), "POST", "/classify", body, "Content-Encoding", "gzip")
		}
	}
	if !s.memory.TryAcquire(4 << 16) {
		t.Error("memory was not given back")
	}
}

const oneHalf = `{"signature_name": "half_plus_two", "instances": [1]}`

func TestFullQueueIs503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeModel{}
		s := startServer(t, m, func(c *Config) {
			c.Batching.MaxBatchSize,
				c.Batching.MaxEnqueuedBatches = 1, 2
		})
		m.gate = make(chan struct{})
		answers := make([]*httptest.ResponseRecorder, 4)
		var clients sync.WaitGroup
		for i := range answers {
			clients.Go(func() {
				answers[i] = request(s.Handler(), "POST", "/v1/models/fake:predict",
					oneHalf)
			})
			synctest.Wait()
		}
		close(m.gate)
		clients.Wait()
		for i, w := range answers {
			want := 200
			if i == 3 { // one runs, two wait
				want = 503
			}
			if w.Code != want {
				t.Errorf("request %d: got %d %s, want %d", i, w.Code, w.Body, want)
			}
		}
		if retry := answers[3].Header().Get("Retry-After"); retry == "" {
			t.Error("got none, want a Retry-After")
		}
		s.Close()
	})
}

func TestDeadlineIs504(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeModel{}
		s := startServer(t, m, nil)
		m.gate = make(chan struct{})
		began := time.Now()
		w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf)
		if took := time.Since(began); w.Code != 504 || took != 30*time.Second {
			t.Errorf("got %d after %v: %s, want 504 after 30 s", w.Code, took, w.Body)
		}
		close(m.gate)
		if w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf); w.Code != 200 {
			t.Errorf("afterwards: got %d %s, want 200", w.Code, w.Body)
		}
		s.Close()
	})
}

func TestHeaderLimit(t *testing.T) {
	http_, _ := listen(t, startServer(t, &fakeModel{}, nil))
	r, err := http.NewRequest("GET", "http://"+http_+"/v2", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 80<<10))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, want 431", answer.StatusCode)
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	var none Limits
	for _, name := range []string{"body", "bytes in flight", "image", "pixels", "pixels in flight",
		"decoders", "deadline", "read header",
		"read", "idle", "header bytes", "connections"} {
		if err := none.Validate(); err == nil ||
			!strings.Contains(err.Error(), "limit of "+name+":") {
			t.Errorf("got %v, want an error about %s", err, name)
		}
	}
	l := DefaultLimits()
	l.PixelsInFlight = int64(l.Pixels) - 1
	if err := l.Validate(); err == nil {
		t.Error("fewer pixels in flight than in one image are accepted")
	}
}
