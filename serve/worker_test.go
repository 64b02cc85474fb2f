package serve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"kerasrun/serve/internal/oip"
	"kerasrun/tensor"
	"kerasrun/worker"
)

// mortalModel is the fake in a worker that dies of an x of 13.
type mortalModel struct {
	*fakeModel
	mu       sync.Mutex
	down     error
	restarts int
	watch    func()
}

func (m *mortalModel) Down() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}

func (m *mortalModel) Restarts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.restarts
}

func (m *mortalModel) Watch(f func()) { m.watch = f }

func (m *mortalModel) set(down error) {
	m.mu.Lock()
	m.down = down
	if down == nil {
		m.restarts++
	}
	m.mu.Unlock()
	m.watch()
}

func (m *mortalModel) RunSignature(ctx context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	out, err := m.fakeModel.RunSignature(ctx, key, in)
	x, _ := in["x"].ConvertFloat32() // none where there is no x
	if slices.Contains(x, 13) {
		died := &worker.DiedError{Cause: "SIGABRT", Death: 1, Runs: 1}
		m.set(died)
		return nil, died
	}
	return out, err
}

// TestWorkerDiesUnbatched has a request that joins no batch kill the worker: it was alone.
func TestWorkerDiesUnbatched(t *testing.T) {
	var log bytes.Buffer
	s := startServer(t, &mortalModel{fakeModel: &fakeModel{}}, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	request(s.Handler(), "POST", "/v1/models/fake:predict",
		`{"signature_name": "sum", "inputs": [13]}`)
	want := "signature=sum signal=SIGABRT death=1 alone=true runs=1 requests_in_run=1"
	if !strings.Contains(log.String(), want) {
		t.Errorf("got the log %s, want %q", &log, want)
	}
}

// TestWorkerDies has a request kill the worker, asks in every protocol while there is none, and
// again when there is.
func TestWorkerDies(t *testing.T) {
	var log bytes.Buffer
	model := &mortalModel{fakeModel: &fakeModel{}}
	s := startServer(t, model, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	connection := dial(t, s)
	client := oip.NewGRPCInferenceServiceClient(connection)
	health := grpc_health_v1.NewHealthClient(connection)
	web := s.Handler()
	const predict = `{"signature_name": "half_plus_two", "instances": [`
	w := request(web, "POST", "/v1/models/fake:predict", predict+"13]}")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" ||
		!strings.Contains(w.Body.String(), "the model's process died (SIGABRT)") {
		t.Errorf("the culprit: got %d, Retry-After %q, %s", w.Code, w.Header().Get("Retry-After"),
			w.Body)
	}
	for _, text := range []string{"a request was in flight when the worker died", "signal=SIGABRT",
		"alone=true", "request_id=" + w.Header().Get("X-Request-Id"), "model=fake version=1"} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("got the log %s, want %q", &log, text)
		}
	}
	infer := func() error {
		_, err := client.ModelInfer(t.Context(), &oip.ModelInferRequest{ModelName: "fake",
			Inputs: []*grpcInput{grpcImages(&oip.InferTensorContents{
				Fp32Contents: make([]float32, 12)}, 1, 2, 2, 3)}})
		return err
	}
	check := func(up bool) {
		t.Helper()
		want, code, serving, metric := 200, codes.OK,
			grpc_health_v1.HealthCheckResponse_SERVING, `kerasrun_worker_up{model="fake",version="1"} 1`
		if !up {
			want, code, serving = 503, codes.Unavailable,
				grpc_health_v1.HealthCheckResponse_NOT_SERVING
			metric = strings.TrimSuffix(metric, "1") + "0"
		}
		for _, c := range []struct{ method, path, body string }{
			{"GET", "/v2/health/ready", ""},
			{"GET", "/v2/models/fake/ready", ""},
			{"GET", "/v2/models/fake/versions/1/ready", ""},
			{"POST", "/v1/models/fake:predict", predict + "1]}"},
			{"POST", "/v2/models/fake/infer", `{"inputs": [{"name": "images", "datatype": "FP32",
				"shape": [1, 2, 2, 3], "data": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}]}`},
			{"POST", "/classify", string(pngImage(t, 1, 2, 3))},
		} {
			w := request(web, c.method, c.path, c.body)
			if w.Code != want || (w.Header().Get("Retry-After") != "") == up {
				t.Errorf("%s: got %d, Retry-After %q: %s; want %d", c.path, w.Code,
					w.Header().Get("Retry-After"), w.Body, want)
			}
		}
		for _, path := range []string{"/v2/health/live", "/v2/models/fake", "/v1/models/fake"} {
			if w := request(web, "GET", path, ""); w.Code != 200 {
				t.Errorf("%s: got %d: %s, want 200", path, w.Code, w.Body)
			}
		}
		w := request(web, "POST", "/v2/repository/index", "")
		state := map[bool]string{true: `"state":"READY"`, false: `"state":"UNAVAILABLE"`}[up]
		if !strings.Contains(w.Body.String(), state) {
			t.Errorf("the index: got %s, want %s", w.Body, state)
		}
		if err := infer(); status.Code(err) != code {
			t.Errorf("gRPC: got %v, want %v", err, code)
		}
		ready, err := client.ServerReady(t.Context(), &oip.ServerReadyRequest{})
		if err != nil || ready.Ready != up {
			t.Errorf("gRPC: ready: got %v, %v, want %v", ready, err, up)
		}
		h, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil || h.Status != serving {
			t.Errorf("gRPC's health: got %v, %v, want %v", h, err, serving)
		}
		if w := request(web, "GET", "/metrics", ""); !strings.Contains(w.Body.String(), metric) {
			t.Errorf("got no %s in the metrics", metric)
		}
	}
	check(false)
	model.set(nil)
	check(true)
	want := `kerasrun_worker_restarts_total{model="fake",version="1"} 1`
	if w := request(web, "GET", "/metrics", ""); !strings.Contains(w.Body.String(), want) {
		t.Errorf("got no %s in the metrics", want)
	}
	model.set(errors.New("cannot be opened"))
	check(false)
}
