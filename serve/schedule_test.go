package serve

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kerasrun/serve/internal/oip"
)

// scheduled is a request with parameters.
func scheduled(parameters string) string {
	return `{"parameters": {"signature_name": "half_plus_two", ` + parameters + `}, "inputs": [` +
		`{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}`
}

func TestTimeoutParameter(t *testing.T) {
	model := &fakeModel{}
	s := startServer(t, model, nil) // which warms the model up
	model.gate = make(chan struct{})
	defer close(model.gate)
	w := request(s.Handler(), "POST", "/v2/models/fake/infer", scheduled(`"timeout": 20000`))
	if w.Code != http.StatusGatewayTimeout {
		t.Errorf("HTTP: got %d %s, want %d", w.Code, w.Body, http.StatusGatewayTimeout)
	}
	r := halfRequest()
	r.Parameters["timeout"] = &oip.InferParameter{
		ParameterChoice: &oip.InferParameter_Int64Param{Int64Param: 20000}}
	_, err := oip.NewGRPCInferenceServiceClient(dial(t, s)).ModelInfer(t.Context(), r)
	if got := status.Code(err); got != codes.DeadlineExceeded {
		t.Errorf("gRPC: got %v, want %v", got, codes.DeadlineExceeded)
	}
}

func TestScheduleRefuses(t *testing.T) {
	s := startServer(t, &fakeModel{}, nil)
	for parameters, want := range map[string]string{
		`"timeout": -1`:    "parameter timeout: expected microseconds, 0 for no timeout, got -1",
		`"timeout": "1"`:   "parameter timeout: ",
		`"priority": 1.5`:  "parameter priority: ",
		`"priority": 4`:    "expected a level from 1, the first, to 3, or 0 for 2, got 4",
		`"priority": -1`:   "got -1",
		`"timeout": 1e300`: "parameter timeout: ",
	} {
		w := request(s.Handler(), "POST", "/v2/models/fake/infer", scheduled(parameters))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d %s, want 400 %s", parameters, w.Code, w.Body, want)
		}
	}
	r := halfRequest()
	r.Parameters["timeout"] = &oip.InferParameter{
		ParameterChoice: &oip.InferParameter_StringParam{StringParam: "5"}}
	_, err := oip.NewGRPCInferenceServiceClient(dial(t, s)).ModelInfer(t.Context(), r)
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("gRPC: got %v, want %v", err, codes.InvalidArgument)
	}
}

// Of requests that wait, those of level 1 are run first.
func TestPriorityParameter(t *testing.T) {
	model := &fakeModel{}
	s := startServer(t, model, func(c *Config) { c.Batching.MaxBatchSize = 1 })
	model.gate = make(chan struct{})
	var mu sync.Mutex
	var order []string
	var clients sync.WaitGroup
	defer clients.Wait()
	for i, priority := range []int{0, 3, 0, 1} {
		clients.Go(func() {
			w := request(s.Handler(), "POST", "/v2/models/fake/infer",
				scheduled(fmt.Sprintf(`"priority": %d`, priority)))
			mu.Lock()
			defer mu.Unlock()
			order = append(order, fmt.Sprint(priority, " ", w.Code))
		})
		waitFor(t, func() bool {
			v, release, err := s.repository.acquire(choice{model: "fake"})
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			return model.waiting.Load() == 1 && v.pending() == i
		})
	}
	for n := range 4 {
		model.gate <- struct{}{}
		waitFor(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(order) == n+1
		})
	}
	if got, want := strings.Join(order, ", "), "0 200, 1 200, 0 200, 3 200"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// waitFor waits until something that another goroutine does has come to be.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be in 10 s")
		}
	}
}
