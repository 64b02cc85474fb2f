package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kerasrun/golden"
	"kerasrun/tensor/npy"
)

// exported is the model of the tests. Its labels are ImageNet's, and mean what they say.
const exported = "../../models/efficientnet-lite0"

func start(t *testing.T) *service {
	t.Helper()
	s, err := newService(t.Context(), slog.New(slog.DiscardHandler), exported, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.models.Close)
	return s
}

// The probabilities are Keras's own, of the goldens that the exporter wrote.
func TestLabelsAreKeras(t *testing.T) {
	handler := start(t).routes()
	pack, err := golden.Open(filepath.Join(exported, "assets.extra/goldens"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"cat": "Egyptian_cat"}
	found := 0
	for _, c := range pack.Cases {
		image, err := os.ReadFile(filepath.Join(pack.Dir, c.Image))
		if err != nil {
			t.Fatal(err)
		}
		arrays, err := npy.ReadZip(filepath.Join(pack.Dir, c.Arrays))
		if err != nil {
			t.Fatal(err)
		}
		probs, err := arrays["probs"].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		best := float32(0)
		for _, p := range probs {
			best = max(best, p)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/label", bytes.NewReader(image)))
		var got named
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
			t.Errorf("%s: got %d %s, %v", c.Name, w.Code, w.Body, err)
			continue
		}
		if d := math.Abs(float64(got.Probability - best)); !(d <= pack.Tolerance["probs"]) {
			t.Errorf("%s: got probability %v, want Keras's %v", c.Name, got.Probability, best)
		}
		if want, ok := names[c.Name]; ok {
			found++
			if got.Label != want {
				t.Errorf("%s: got label %q, want %q", c.Name, got.Label, want)
			}
		}
	}
	if found != len(names) {
		t.Errorf("the goldens have %d of the cases %v", found, names)
	}
}

func TestErrors(t *testing.T) {
	handler := start(t).routes()
	for _, c := range []struct {
		name, method, path, body string
		want                     int
	}{
		{"nothing", "POST", "/label", "", 400},
		{"text", "POST", "/label", "no image", 400},
		{"another format", "POST", "/label", "\x00\x00\x00\x0cjP  \r\n\x87\n", 415},
		{"too long", "POST", "/label", strings.Repeat("x", maxImage+1), 413},
		{"method", "GET", "/label", "", 404},
		{"probe", "GET", "/v2/health/ready", "", 200},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, w.Code, w.Body, c.want)
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	want := `kerasrun_requests_total{` +
		`code="InvalidArgument",model="model",protocol="go",version="1"} 3`
	if !strings.Contains(w.Body.String(), want) {
		t.Errorf("the metrics lack %s", want)
	}
}

// A request that is being sent when the service is told to stop is answered.
func TestStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, logs := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		logger := slog.New(slog.NewJSONHandler(logs, nil))
		ended <- run(ctx, logger, exported, "", "127.0.0.1:0")
		logs.Close()
	}()
	var line struct{ Msg, Address string }
	for lines := json.NewDecoder(log); line.Msg != "listening"; {
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("%v: %v", err, <-ended)
		}
	}
	go io.Copy(io.Discard, log)
	image, err := os.ReadFile("../../testdata/photos/cat.jpg")
	if err != nil {
		t.Fatal(err)
	}
	body, sending := io.Pipe()
	request, err := http.NewRequest("POST", "http://"+line.Address+"/label", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Expect", "100-continue") // nothing is sent until the service reads it
	client := http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	answered := make(chan int, 1)
	go func() {
		answer, err := client.Do(request)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		answer.Body.Close()
		answered <- answer.StatusCode
	}()
	sending.Write(image[:1000])
	stop()
	sending.Write(image[1000:])
	sending.Close()
	if got := <-answered; got != http.StatusOK {
		t.Errorf("got %d, want 200", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
