package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"kerasrun/tensor"
)

func TestToken(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Token = "secret" })
	for _, c := range []struct {
		path, authorization string
		code                int
	}{
		{"/v2", "", 401},
		{"/v2", "Bearer wrong", 401},
		{"/v2", "Basic secret", 401},
		{"/v2", "secret", 401},
		{"/v2", "Bearer", 401},
		{"/v2", "Bearer secret", 200},
		{"/v2", "bearer secret", 200},
		{"/metrics", "", 401},
		{"/nothing", "", 401},
		{"/v2/models/fake/ready", "", 401},
		{"/v2/health/live", "", 200},
		{"/v2/health/ready", "", 200},
		{"/", "", 200},
	} {
		w := request(s.Handler(), "GET", c.path, "", "Authorization", c.authorization)
		if w.Code != c.code {
			t.Errorf("%s with %q: got %d, want %d", c.path, c.authorization, w.Code, c.code)
		}
		challenge := w.Header().Get("WWW-Authenticate")
		if (challenge == "Bearer") != (c.code == 401) {
			t.Errorf("%s with %q: WWW-Authenticate %q", c.path, c.authorization, challenge)
		}
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	s := startServer(t, &fakeModel{}, nil)
	w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf, "Sec-Fetch-Site",
		"cross-site")
	if w.Code != 403 || !strings.HasPrefix(w.Body.String(), `{"error":"`) {
		t.Errorf("got %d %s, want 403", w.Code, w.Body)
	}
	if w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf, "Sec-Fetch-Site",
		"same-origin"); w.Code != 200 {
		t.Errorf("the page itself: got %d, want 200", w.Code)
	}
}

func TestRequestID(t *testing.T) {
	var log bytes.Buffer
	s := startServer(t, &fakeModel{},
		func(c *Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	log.Reset()
	w := request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf, "X-Request-Id",
		"my-7.a_B")
	if got := w.Header().Get("X-Request-Id"); got != "my-7.a_B" {
		t.Errorf("got %q, want the id that was given", got)
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	for key, want := range map[string]any{
		"request_id": "my-7.a_B", "method": "POST", "path": "/v1/models/fake:predict",
		"status": 200.0, "model": "fake", "version": 1.0,
	} {
		if line[key] != want {
			t.Errorf("the log's %s: got %v, want %v", key, line[key], want)
		}
	}
	for _, given := range []string{"", "a b", "line\nline", strings.Repeat("x", 129), `"`} {
		w := request(s.Handler(), "GET", "/v2", "", "X-Request-Id", given)
		if got := w.Header().Get("X-Request-Id"); got == given || len(got) < 16 {
			t.Errorf("instead of %q: got %q", given, got)
		}
	}
}

// panicking is a model with a fault.
type panicking struct{ *fakeModel }

func (panicking) RunSignature(_ context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	if x, ok := in["x"].Data.([]float64); ok && x[0] == 13 {
		panic("a fault with a secret in it")
	}
	return (&fakeModel{}).RunSignature(context.Background(), key, in)
}

func TestPanicEndsOneRequest(t *testing.T) {
	s := startServer(t, panicking{&fakeModel{}}, nil)
	w := request(s.Handler(), "POST", "/v1/models/fake:predict",
		`{"signature_name": "sum", "inputs": [13]}`)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s, want 500 without the panic's words", w.Code, w.Body)
	}
	if w := request(s.Handler(), "POST", "/v1/models/fake:predict",
		`{"signature_name": "sum", "inputs": [1]}`); w.Code != 200 {
		t.Errorf("afterwards: got %d %s, want 200", w.Code, w.Body)
	}
}

func TestPprofIsOff(t *testing.T) {
	if w := request(startServer(t, &fakeModel{}, nil).Handler(), "GET", "/debug/pprof/",
		""); w.Code != 404 {
		t.Errorf("got %d, want 404", w.Code)
	}
	on := startServer(t, &fakeModel{}, func(c *Config) { c.Pprof = true })
	if w := request(on.Handler(), "GET", "/debug/pprof/", ""); w.Code != 200 {
		t.Errorf("with Pprof: got %d, want 200", w.Code)
	}
}

func TestPage(t *testing.T) {
	w := request(startServer(t, &fakeModel{}, nil).Handler(), "GET", "/", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" ||
		!strings.Contains(w.Body.String(), "</html>") {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	policy := w.Header().Get("Content-Security-Policy")
	if strings.Count(policy, "'sha256-") != 2 || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
	// One file, and nothing from elsewhere.
	if body := w.Body.String(); strings.Contains(body, "http://") ||
		strings.Contains(body, "https://") || strings.Contains(body, "src=") {
		t.Error("the page wants something from elsewhere")
	}
}

// A page whose name has come to mean this server gets nothing by it: DNS rebinding.
func TestHost(t *testing.T) {
	for _, c := range []struct {
		host   string
		names  []string
		path   string
		status int
	}{
		{"localhost", []string{}, "/v2", 200},
		{"LocalHost:8501", []string{}, "/v2", 200},
		{"localhost.", []string{}, "/v2", 200},
		{"127.0.0.1:8501", []string{}, "/v2", 200},
		{"127.0.0.1", []string{}, "/metrics", 200},
		{"10.1.2.3:8501", []string{}, "/v2", 200},
		{"[::1]:8501", []string{}, "/v2", 200},
		{"[::1]", []string{}, "/v2", 200},
		{"", []string{}, "/v2", 200},
		{"evil.example", []string{}, "/v2", 421},
		{"evil.example:8501", []string{}, "/", 421},
		{"evil.example", []string{}, "/metrics", 421},
		{"evil.example", []string{}, "/monitoring/prometheus/metrics", 421},
		{"evil.example", []string{}, "/nothing", 421},
		{"evil.example", []string{}, "/v2/health/live", 200},
		{"localhost.evil.example", []string{}, "/v2", 421},
		{"127.0.0.1.evil.example", []string{}, "/v2", 421},
		{"evil.example", []string{"images.example"}, "/v2", 421},
		{"x.images.example", []string{"images.example"}, "/v2", 421},
		{"Images.example:80", []string{"other", "images.example"}, "/v2", 200},
		{"localhost", []string{"images.example"}, "/v2", 200},
		{"evil.example", nil, "/v2", 200},
	} {
		h := startServer(t, &fakeModel{}, func(config *Config) { config.Hosts = c.names }).Handler()
		r := httptest.NewRequest("GET", c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s%s, a server called %q: got %d %.100s, want %d", c.host, c.path, c.names,
				w.Code, w.Body, c.status)
		}
		if w.Code == 421 && !strings.Contains(w.Body.String(), "--host") {
			t.Errorf("got %s, want the flag's name in it", w.Body)
		}
	}
}
