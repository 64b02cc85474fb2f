package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"
	tracing "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A second signal ends a server that would otherwise still wait for its requests.
func TestServeSecondSignal(t *testing.T) {
	inRepository(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "serve", "--addr", "127.0.0.1:0", "--drain-delay", "1h",
		"--drain-timeout", "1h")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(log)
	for _, words := range []string{"listening", "draining"} {
		for !strings.Contains(lines.Text(), words) {
			if !lines.Scan() {
				t.Fatalf("the log ends before %q", words)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, log); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) ||
		exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("got %v, want the end by SIGTERM", err)
	}
}

// A model that does not answer as its goldens say on this device is not served.
func TestServeRefusesOtherAnswers(t *testing.T) {
	inRepository(t)
	other, err := os.ReadFile("testdata/photos/rocket.jpg")
	if err != nil {
		t.Fatal(err)
	}
	dir := changedModel(t, "assets.extra/goldens/cat.jpg", other)
	args := []string{"serve", "--addr", "127.0.0.1:0", "--drain-delay", "0s", "--model", dir,
		"--skip-check", "files", "--allow-unverified"}
	if status, _, stderr := call(t, nil, args...); status != exitFailed ||
		!strings.Contains(stderr, "outputs differ from those of") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}

// Spans go to the collector that OpenTelemetry's variables name.
func TestServeTraces(t *testing.T) {
	inRepository(t)
	var mu sync.Mutex
	names := map[string]string{} // of spans, with their trace
	services := map[string]bool{}
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var unpacked *gzip.Reader
			if unpacked, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
				body, err = io.ReadAll(unpacked)
			}
		}
		var request tracing.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range request.ResourceSpans {
			for _, attribute := range resource.Resource.Attributes {
				services[attribute.Key+"="+attribute.Value.GetStringValue()] = true
			}
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					names[span.Name] = hex.EncodeToString(span.TraceId)
				}
			}
		}
	}))
	defer collector.Close()
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_SERVICE_NAME", "images")
	url, _, stop := startServe(t, "--verify=false")
	waitReady(t, url)
	image, err := os.ReadFile(filepath.Join("testdata/photos", "cat.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest("POST", url+"/classify", bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	request.Header.Set("traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if status, log := stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, log)
	}
	mu.Lock()
	defer mu.Unlock()
	want := map[string]string{"POST /classify": id, "run": id}
	delete(names, "GET /v2/health/ready") // what waitReady asked
	if diff := cmp.Diff(want, names); diff != "" || !services["service.name=images"] {
		t.Errorf("spans and their traces (-want +got):\n%sof %v", diff, services)
	}

	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	if status, _, stderr := call(t, nil, "serve", "--addr", "127.0.0.1:0"); status != exitFailed ||
		!strings.Contains(stderr, "expected http/protobuf") {
		t.Errorf("another protocol: exit status %d: %s", status, stderr)
	}
}
