package serve

import (
	"net/http"
	"strings"
	"testing"
)

func TestCrossOrigin(t *testing.T) {
	const page = "https://app.example"
	h := startServer(t, &fakeModel{}, func(c *Config) {
		c.Origins, c.Token = []string{page, "http://localhost:3000"}, "secret"
	}).Handler()
	for _, origin := range []string{page, "http://localhost:3000", "https://app.example:444",
		"http://app.example", "https://evil.example", "null", ""} {
		allowed := origin == page || origin == "http://localhost:3000"
		w := request(h, "OPTIONS", "/v1/models/fake:predict", "", "Origin", origin,
			"Access-Control-Request-Method", "POST", "Sec-Fetch-Site", "cross-site")
		got := w.Header().Get("Access-Control-Allow-Origin")
		if (got == origin && origin != "" && w.Code == http.StatusNoContent) != allowed ||
			!allowed && got != "" || w.Header().Get("Vary") != "Origin" {
			t.Errorf("%q, preflight: got %d, %q, want it allowed: %v", origin, w.Code, got, allowed)
		}
		if allowed && !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"),
			"Authorization") {
			t.Errorf("%q: a page cannot send the token", origin)
		}
		w = request(h, "POST", "/v1/models/fake:predict", oneHalf, "Origin", origin,
			"Authorization", "Bearer secret", "Sec-Fetch-Site", "cross-site")
		if want := map[bool]int{true: 200, false: 403}[allowed]; w.Code != want ||
			(w.Header().Get("Access-Control-Allow-Origin") == origin && origin != "") != allowed {
			t.Errorf("%q: got %d %s, want %d", origin, w.Code, w.Body, want)
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%q: credentials are allowed", origin)
		}
	}
	// A page of the list still has to have the token, and reads that it lacks it.
	w := request(h, "POST", "/v1/models/fake:predict", oneHalf, "Origin", page)
	if w.Code != 401 || w.Header().Get("Access-Control-Allow-Origin") != page {
		t.Errorf("without the token: got %d, want 401 that the page can read", w.Code)
	}
	for _, origin := range []string{"*", "app.example", "https://app.example/", "https://*.example",
		"null", ""} {
		_, err := New(Config{Models: []ModelConfig{{Name: "fake"}}, Limits: DefaultLimits(),
			Origins: []string{origin}})
		if err == nil || !strings.Contains(err.Error(), "an origin of pages") {
			t.Errorf("%q: got %v, want an error", origin, err)
		}
	}
}
