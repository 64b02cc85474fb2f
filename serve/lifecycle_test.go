package serve

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"kerasrun/batch"
)

// serving is a Server that answers on loopback.
type serving struct {
	http, grpc string
	stop       context.CancelFunc
	done       chan error
}

func startServing(t *testing.T, s *Server, delay, timeout time.Duration) *serving {
	t.Helper()
	l := Listeners{DrainDelay: delay, DrainTimeout: timeout}
	for _, listener := range []*net.Listener{&l.HTTP, &l.GRPC} {
		var err error
		if *listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &serving{http: "http://" + l.HTTP.Addr().String(), grpc: l.GRPC.Addr().String(),
		stop: stop, done: make(chan error, 1)}
	go func() { r.done <- s.Serve(ctx, l) }()
	t.Cleanup(stop)
	return r
}

// Fifty times a server under load is told to stop: no request that it took is lost, and readiness
// ends before the listener does.
func TestShutdownLosesNothing(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		m := &fakeModel{}
		s := startServer(t, m, nil)
		m.rows.Store(0) // without those of the warm-up
		r := startServing(t, s, 50*time.Millisecond, 10*time.Second)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
		var clients sync.WaitGroup
		var answered atomic.Int64
		var stopping atomic.Bool
		for range 8 {
			clients.Go(func() {
				for {
					answer, err := client.Post(r.http+"/v1/models/fake:predict", "application/json",
						strings.NewReader(oneHalf))
					if err != nil {
						if !stopping.Load() {
							t.Errorf("lost: %v", err)
						}
						return // refused: nobody has read the request
					}
					body, err := io.ReadAll(answer.Body)
					answer.Body.Close()
					if err != nil || answer.StatusCode != 200 {
						t.Errorf("lost: %d %s %v", answer.StatusCode, body, err)
						return
					}
					answered.Add(1)
				}
			})
		}
		for answered.Load() < 20 {
			time.Sleep(time.Millisecond)
		}
		stopping.Store(true)
		r.stop()
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		clients.Wait()
		if ran := m.rows.Load(); ran != answered.Load() {
			t.Errorf("of %d admitted requests, %d were answered", ran, answered.Load())
		}
		s.Close()
	}
}

func TestDraining(t *testing.T) {
	m := &fakeModel{}
	s := startServer(t, m, nil)
	m.gate = make(chan struct{})
	r := startServing(t, s, 200*time.Millisecond, 10*time.Second)
	connection, err := grpc.NewClient(r.grpc,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	health := grpc_health_v1.NewHealthClient(connection)
	state := func() string {
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			return err.Error()
		}
		return answer.Status.String()
	}
	if got := state(); got != "SERVING" {
		t.Errorf("before: got %s, want SERVING", got)
	}
	admitted := make(chan int)
	go func() {
		answer, err := http.Post(r.http+"/v1/models/fake:predict", "application/json",
			strings.NewReader(oneHalf))
		if err != nil {
			t.Error(err)
			admitted <- 0
			return
		}
		answer.Body.Close()
		admitted <- answer.StatusCode
	}()
	for m.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	r.stop()
	for s.Ready() == nil {
		time.Sleep(time.Millisecond)
	}
	answer, err := http.Get(r.http + "/v2/health/ready")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 503 || !answer.Close {
		t.Errorf("readiness while draining: got %d %v, want 503 and the connection closed",
			answer.StatusCode, answer.Close)
	}
	if got := state(); got != "NOT_SERVING" {
		t.Errorf("while draining: got %s, want NOT_SERVING", got)
	}
	close(m.gate)
	if code := <-admitted; code != 200 {
		t.Errorf("the admitted request: got %d, want 200", code)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

func TestDrainGivesUp(t *testing.T) {
	m := &fakeModel{}
	s := startServer(t, m, nil)
	m.gate = make(chan struct{})
	r := startServing(t, s, 0, 50*time.Millisecond)
	lost := make(chan error)
	go func() {
		_, err := http.Post(r.http+"/v1/models/fake:predict", "application/json",
			strings.NewReader(oneHalf))
		lost <- err
	}()
	for m.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	r.stop()
	if err := <-r.done; err == nil || !strings.Contains(err.Error(), "left unanswered") {
		t.Errorf("got %v, want an error", err)
	}
	if err := <-lost; err == nil {
		t.Error("the request was answered all the same")
	}
	close(m.gate)
}

// Ready is loaded and warm, for every model; live is from the start, and however much there is to
// do.
func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loading, m := make(chan struct{}), &fakeModel{gate: make(chan struct{})}
		s, err := New(Config{
			Models: []ModelConfig{{Name: "fake", Path: modelDirectory(t)}},
			Load: func(context.Context, string) (Model, error) {
				<-loading
				return m, nil
			},
			Batching: batch.Parameters{MaxBatchSize: 1, MaxEnqueuedBatches: 1, NumBatchThreads: 1},
			Limits:   DefaultLimits(),
		})
		if err != nil {
			t.Fatal(err)
		}
		probes := func(when string, ready int) {
			t.Helper()
			synctest.Wait()
			for path, want := range map[string]int{"/v2/health/live": 200,
				"/v2/health/ready": ready, "/v2/models/fake/ready": ready} {
				if w := request(s.Handler(), "GET", path, ""); w.Code != want {
					t.Errorf("%s, %s: got %d %s, want %d", when, path, w.Code, w.Body, want)
				}
			}
		}
		var started sync.WaitGroup
		started.Go(func() {
			if err := s.Start(t.Context()); err != nil {
				t.Error(err)
			}
		})
		probes("while it is loaded", 503)
		close(loading)
		probes("while it is warmed", 503)
		m.gate <- struct{}{}
		started.Wait()
		probes("warm", 200)
		var clients sync.WaitGroup
		answers := make([]int, 8)
		for i := range answers {
			clients.Go(func() {
				answers[i] = request(s.Handler(), "POST", "/v1/models/fake:predict",
					oneHalf).Code
			})
		}
		probes("with a full queue", 200)
		close(m.gate)
		clients.Wait()
		slices.Sort(answers)
		if answers[0] != 200 || answers[7] != 503 {
			t.Errorf("the queue was not full: %v", answers)
		}
		s.Drain()
		probes("draining", 503)
		s.Close()
	})
}

// The end of the context ends a load, and is no fault of the version.
func TestStopWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		s, err := New(Config{
			Models: []ModelConfig{{Name: "fake", Path: modelDirectory(t)}},
			Load: func(ctx context.Context, _ string) (Model, error) {
				loads++
				if loads > 1 {
					return &fakeModel{}, nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			},
			Batching: batch.Default(),
			Limits:   DefaultLimits(),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := s.Start(ctx); err != nil || time.Since(began) != time.Minute {
			t.Errorf("got %v after %v, want nil after a minute", err, time.Since(began))
		}
		if err := s.Start(t.Context()); err != nil || loads != 2 {
			t.Errorf("the same version again: got %v, %d loads", err, loads)
		}
	})
}
