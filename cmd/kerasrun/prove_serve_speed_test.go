//go:build prove

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"kerasrun/batch"
	"kerasrun/runner"
	"kerasrun/serve"
	"kerasrun/tensor"
)

// distinct returns inputs of the small model, all different, and the probabilities that a run of
// each alone gives, in this process.
func distinct(t *testing.T, n int) (inputs [][]byte, want [][]float32) {
	t.Helper()
	m, err := runner.Open(t.Context(), smallModel, probed)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := m.Pipeline()
	shape := tensor.Shape{1, int64(p.Height), int64(p.Width), 3}
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		pixels := make([]float32, p.Height*p.Width*3)
		for i := range pixels {
			pixels[i] = 256*random.Float32() - 128
		}
		x, err := tensor.New(shape, pixels)
		if err != nil {
			t.Fatal(err)
		}
		input := m.SavedModel().Manifest.Image().Name
		out, err := m.Run(context.Background(), map[string]tensor.Tensor{input: x})
		if err != nil {
			t.Fatal(err)
		}
		probs, err := out["probs"].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		inputs, want = append(inputs, raw), append(want, probs)
	}
	return inputs, want
}

// inferRaw returns a request of one input as the Open Inference Protocol has it in binary, which
// asks for the probabilities in JSON. Its body is made once: what a client needs for that is not
// the server's time.
func (s *server) inferRaw(model string, raw []byte) (send func() reply) {
	side := 224
	if len(raw) == 32*32*3*4 {
		side = 32
	}
	header := fmt.Sprintf(`{"inputs": [{"name": "images", "datatype": "FP32", `+
		`"shape": [1, %d, %d, 3], `+
		`"parameters": {"binary_data_size": %d}}], `+
		`"outputs": [{"name": "probs"}]}`, side, side, len(raw))
	body := append([]byte(header), raw...)
	return func() reply {
		return s.send("/v2/models/"+model+"/infer", "application/octet-stream", body,
			"Inference-Header-Content-Length", strconv.Itoa(len(header)))
	}
}

func probabilitiesOf(r reply) ([]float32, error) {
	if r.err != nil || r.status != http.StatusOK {
		return nil, fmt.Errorf("%d %.300s %v", r.status, r.body, r.err)
	}
	var answer struct{ Outputs []struct{ Data []float32 } }
	if err := json.Unmarshal(r.body, &answer); err != nil {
		return nil, err
	}
	return answer.Outputs[0].Data, nil
}

// speed is a server, and the same model in this process, which are measured in turns.
type speed struct {
	*server
	*benchmark
	images   [][]byte
	requests []func() reply // requests of the images' tensors
}

func newSpeed(t *testing.T) *speed {
	t.Helper()
	inRepository(t)
	m, err := runner.Open(t.Context(), defaultModel, probed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	b, err := newBenchmark(t.Context(), m, "testdata/photos", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	// On a slow machine 64 clients wait for longer than by default they may.
	s := &speed{server: startServer(t, "--queue-timeout", "30s"), benchmark: b}
	for i, path := range b.paths {
		s.images = append(s.images, []byte(readFile(t, path)))
		x, err := tensor.New(slices.Concat(tensor.Shape{1}, b.shape), b.tensors[i])
		if err != nil {
			t.Fatal(err)
		}
		raw, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		s.requests = append(s.requests, s.inferRaw("resnext50", raw))
	}
	return s
}

// Served images a second, against what bench measures at the batch that was formed: in turns, since
// a machine's pace drifts, each against the mean of the measurements before and after it; and the
// median of these ratios.
func TestProveThroughput(t *testing.T) {
	s := newSpeed(t)
	for _, kind := range []string{"tensors", "images"} {
		send := func(i int) reply { return s.requests[i%len(s.requests)]() }
		if kind == "images" {
			send = func(i int) reply { return s.classify(s.images[i%len(s.images)]) }
		}
		// Turns are as short and as many as the clients' number lets them be: a machine's pace drifts
		// within seconds.
		for _, c := range []struct {
			clients, turns int
			span           time.Duration
		}{{1, 20, time.Second}, {8, 40, 1500 * time.Millisecond}, {64, 10, 5 * time.Second}} {
			clients, turns := c.clients, c.turns
			s.span = c.span
			// The first turn is a warm-up, long enough to show what batches are formed.
			var size int
			var before, served, bench, formed float64
			var ratios []float64
			for turn := range turns + 1 {
				span := c.span
				if turn == 0 {
					span = 10 * time.Second
				}
				runs, began := s.runs(t), time.Now()
				replies := closedLoop(clients, after(span), send)
				r := s.runs(t).since(runs)
				for _, reply := range replies {
					if reply.status != http.StatusOK {
						t.Fatalf("%d clients: %d %.200s %v", clients, reply.status, reply.body, reply.err)
					}
				}
				if turn == 0 {
					size = max(1, int(r.rows/r.count+0.5))
				}
				measured, err := s.alone(size, kind == "images", min(2, clients))
				if err != nil {
					t.Fatal(err)
				}
				if turn > 0 {
					rate, around := steady(replies, began.Add(span/4), began.Add(span)), (before+measured)/2
					ratios = append(ratios, rate/around)
					served += rate / float64(turns)
					bench += around / float64(turns)
					formed += r.rows / r.count / float64(turns)
				}
				before = measured
			}
			slices.Sort(ratios)
			middle := (ratios[(turns-1)/2] + ratios[turns/2]) / 2
			t.Logf("%2d clients, %-8s: %6.2f images/s in batches of %4.1f, "+
				"bench in batches of %d: %6.2f; ratio %.3f (%.3f-%.3f)",
				clients, kind, served, formed, size, bench, middle, ratios[0], ratios[turns-1])
			if !(middle >= 0.95) {
				t.Errorf("%d clients, %s: want 0.95 of bench, got %.3f", clients, kind, middle)
			}
		}
	}
}

// steady returns how many replies a second there were while all clients were at work: from the last
// reply before one time, when the first batches have been formed, to the last before another.
func steady(replies []reply, from, to time.Time) float64 {
	var ends []time.Time
	for _, r := range replies {
		if end := r.began.Add(r.took); end.Before(to) {
			ends = append(ends, end)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	first, _ := slices.BinarySearchFunc(ends, from, time.Time.Compare)
	last := len(ends) - 1
	first = max(first-1, 0)
	return float64(last-first) / ends[last].Sub(ends[first]).Seconds()
}

// alone returns images a second as bench measures them: of the model alone, or from files with so
// many batches in flight.
func (s *speed) alone(size int, files bool, inFlight int) (float64, error) {
	run, err := s.fromTensor(context.Background(), size)
	if err != nil {
		return 0, err
	}
	if files {
		run = s.fromFiles(context.Background(), size)
	} else {
		inFlight = 1
	}
	result, err := s.repeat(size, inFlight, run)
	return result.ImagesPerSecond, err
}

// Two models under load share the CPUs, however many clients each has: what each answers meanwhile
// is held against what it answers alone, in turns, by the median of these shares.
func TestProveFairness(t *testing.T) {
	inRepository(t)
	names := []string{"resnext50", "efficientnet-lite0"}
	text := "model_config_list {\n"
	for _, name := range names {
		path, err := filepath.Abs("models/" + name)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("config { name: %q base_path: %q }\n", name, path)
	}
	file := filepath.Join(t.TempDir(), "models.config")
	if err := os.WriteFile(file, []byte(text+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, images := startServer(t, "--model-config-file", file, "--queue-timeout", "30s"), photos(t)
	// rate is how many images of a model are answered a second, by so many clients.
	rate := func(name string, clients int, span time.Duration) float64 {
		began := time.Now()
		replies := closedLoop(clients, after(span), func(i int) reply {
			return s.send("/classify?model="+name, "application/octet-stream",
				images[i%len(images)])
		})
		for _, reply := range replies {
			if reply.status != http.StatusOK {
				t.Errorf("%s: %d %.200s %v", name, reply.status, reply.body, reply.err)
			}
		}
		return steady(replies, began.Add(span/4), began.Add(span))
	}
	const turns, span = 3, 4 * time.Second
	for _, clients := range [][2]int{{8, 8}, {32, 1}, {1, 32}} {
		var shares [2][]float64
		for range turns {
			var alone, beside [2]float64
			for i, name := range names {
				alone[i] = rate(name, clients[i], span)
			}
			var both sync.WaitGroup
			for i, name := range names {
				both.Go(func() { beside[i] = rate(name, clients[i], 2*span) })
			}
			both.Wait()
			for i := range names {
				shares[i] = append(shares[i], beside[i]/alone[i])
			}
		}
		for i, name := range names {
			slices.Sort(shares[i])
			middle := shares[i][turns/2]
			t.Logf("%2d clients of %s beside %d of the other: %.2f of its pace alone (%.2f-%.2f)",
				clients[i], name, clients[1-i], middle, shares[i][0], shares[i][turns-1])
			if !(middle >= 0.35) {
				t.Errorf("%d and %d clients: %s has %.2f of its pace alone, want about half",
					clients[0], clients[1], name, middle)
			}
		}
	}
	s.stop(t)
}

// What HTTP adds to one request, against the same model called from Go, in turns: the difference of
// the medians.
func TestProveLatency(t *testing.T) {
	inRepository(t)
	m, err := runner.Open(t.Context(), defaultModel, probed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	b, err := newBenchmark(t.Context(), m, "testdata/photos", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	// A request goes out in one write, as Triton's and other clients in Python send it, and not in
	// twenty.
	s := &server{client: &http.Client{Transport: &http.Transport{WriteBufferSize: 1 << 20}},
		url: serveHere(t, m)}
	x, err := tensor.New(slices.Concat(tensor.Shape{1}, b.shape), b.tensors[0])
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	image := []byte(readFile(t, b.paths[0]))
	for _, c := range []struct {
		name   string
		direct func() error
		http   func() reply
	}{
		{"tensors", func() error {
			_, err := m.Run(t.Context(), map[string]tensor.Tensor{b.input: x})
			return err
		},
			s.inferRaw("here", raw)},
		{"images", func() error { _, err := m.Classify(t.Context(), 5, image); return err },
			func() reply { return s.classify(image) }},
	} {
		var direct, served []float64
		const turns, warm = 200, 20
		for i := range turns + warm {
			began := time.Now()
			if err := c.direct(); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			r := c.http()
			if r.status != http.StatusOK {
				t.Fatalf("%d %s %v", r.status, r.body, r.err)
			}
			if i >= warm {
				direct, served = append(direct, milliseconds(took)), append(served, milliseconds(r.took))
			}
		}
		slices.Sort(direct)
		slices.Sort(served)
		p50, p95 := percentile(served, 0.5)-percentile(direct, 0.5),
			percentile(served, 0.95)-percentile(direct, 0.95)
		t.Logf("batch 1, %s: %.2f ms from Go, %.2f ms over HTTP: "+
			"%+.2f ms at the median of %d, %+.2f ms at p95",
			c.name, percentile(direct, 0.5), percentile(served, 0.5), p50, turns, p95)
		if !(p50 < 2) {
			t.Errorf("%s: HTTP adds %.2f ms", c.name, p50)
		}
	}
}

// kept is a model that the server does not close.
type kept struct{ *runner.Model }

func (kept) Close() error { return nil }

// serveHere serves a model from this process.
func serveHere(t *testing.T, m *runner.Model) (url string) {
	t.Helper()
	s, err := serve.New(serve.Config{
		Models:   []serve.ModelConfig{{Name: "here", Path: defaultModel}},
		Load:     func(context.Context, string) (serve.Model, error) { return kept{m}, nil },
		Batching: batch.Default(), Limits: serve.DefaultLimits(), Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		err = s.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(ctx, serve.Listeners{HTTP: listener, DrainTimeout: time.Second}); err != nil &&
			!errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
		s.Close()
	})
	return "http://" + listener.Addr().String()
}

// Four times as many requests as a server can answer, for a minute.
func TestProveOverload(t *testing.T) {
	inRepository(t)
	images := photos(t)
	s := startServer(t)
	send := func(i int) reply { return s.classify(images[i%len(images)]) }
	memory := s.watch(t)
	closedLoop(64, after(5*time.Second), send)
	began := time.Now()
	replies := closedLoop(64, after(15*time.Second), send)
	elapsed := time.Since(began)
	replies = slices.DeleteFunc(replies, func(r reply) bool { return r.status != http.StatusOK })
	capacity := float64(len(replies)) / elapsed.Seconds()
	if capacity > 1000 {
		t.Fatalf("a capacity of %.0f requests/s is more than this proof can overload", capacity)
	}
	// Batches of every size, as usual requests form them.
	openLoop(0.9*capacity, 30*time.Second, send)
	alone := median(closedLoop(1, after(3*time.Second), send))
	usual := slices.Max(memory())

	before := s.runs(t)
	replies = openLoop(4*capacity, time.Minute, send)
	ended := time.Now()
	r := s.runs(t).since(before)
	series := memory()

	var admitted []time.Duration
	turned, late := 0, 0
	for _, reply := range replies {
		switch {
		case reply.status == http.StatusOK:
			admitted = append(admitted, reply.took)
		case reply.status == http.StatusServiceUnavailable && reply.retryAfter != "":
			if turned++; reply.took > time.Second {
				late++
			}
		default:
			t.Fatalf("%d %.200s %v, Retry-After %q", reply.status, reply.body, reply.err, reply.retryAfter)
		}
	}
	slices.Sort(admitted)
	run := time.Duration(r.seconds / r.count * float64(time.Second))
	bound := batch.Default().QueueTimeout + 2*run
	p99 := admitted[len(admitted)*99/100]
	t.Logf("capacity %.1f requests/s; %.1f/s for 60 s: %d answered, "+
		"%d turned away (%d of them after a second or more)",
		capacity, 4*capacity, len(admitted), turned, late)
	t.Logf("answered: p50 %v, p99 %v, at most %v; queue timeout + 2 runs of %.1f rows = %v",
		admitted[len(admitted)/2], p99,
		admitted[len(admitted)-1], r.rows/r.count, bound)
	grown := (slices.Max(series) - usual) * (1 << 20)
	waiting := mayWait(images, capacity)
	t.Logf("memory: at most %.0f MiB under usual load, %.0f MiB under this one, %+.1f MiB of the "+
		"%.1f that may wait; every 5 s, MiB: %.0f", usual, slices.Max(series), grown/(1<<20),
		waiting/(1<<20), series)
	if p99 > bound {
		t.Errorf("p99 %v is over %v", p99, bound)
	}
	if grown > waiting {
		t.Errorf("memory has grown by %.0f bytes, more than the %.0f that may wait", grown, waiting)
	}
	// Back to normal: requests one at a time are answered as quickly as before.
	for {
		reply := send(0)
		if reply.status == http.StatusOK && reply.took < alone*3/2 {
			t.Logf("back to normal after %v", time.Since(ended))
			break
		}
		if time.Since(ended) > 5*time.Second {
			t.Fatalf("5 s after the load: %d after %v; before it took %v", reply.status, reply.took, alone)
		}
	}
}

// mayWait returns the bytes that requests with these images may take by the server's limits, as a
// server that answers so many a second lets them wait: the queue's rows, no more than the queue's
// timeout lets in, and those of a batch that is run and of one that is decoded. Each has its body,
// which is reserved in parts of 64 KiB, and its pixels; the collector lets half of that lie.
func mayWait(images [][]byte, capacity float64) float64 {
	const pixels, part = 224 * 224 * 3, 1 << 16
	p := batch.Default()
	body := 0
	for _, image := range images {
		body = max(body, (len(image)+part-1)/part*part)
	}
	rows := min(float64(p.MaxBatchSize*p.MaxEnqueuedBatches), capacity*p.QueueTimeout.Seconds()) +
		float64((p.NumBatchThreads+1)*p.MaxBatchSize)
	return rows * float64(body+pixels) * 3 / 2
}

// watch looks at the server's memory, which breathes with every run. The function returns the most
// in each 5 seconds since it was last called, in MiB.
func (s *server) watch(t *testing.T) func() []float64 {
	t.Helper()
	var mu sync.Mutex
	var seen []float64
	most, looks := 0.0, 0
	look := func() {
		mu.Lock()
		defer mu.Unlock()
		most, looks = max(most, s.rss(t)/(1<<20)), looks+1
		if looks%50 == 0 {
			seen, most = append(seen, most), 0
		}
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				look()
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		watching.Wait()
	})
	return func() []float64 {
		look()
		mu.Lock()
		defer mu.Unlock()
		defer func() { seen, most, looks = nil, 0, 0 }()
		return append(seen, most)
	}
}

// openLoop sends so many requests a second whether or not they are answered, and returns every
// reply.
func openLoop(rate float64, span time.Duration, send func(i int) reply) []reply {
	replies := make([]reply, int(rate*span.Seconds()))
	var all sync.WaitGroup
	began := time.Now()
	for i := range replies {
		time.Sleep(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		all.Go(func() { replies[i] = send(i) })
	}
	all.Wait()
	return replies
}

func median(replies []reply) time.Duration {
	var took []time.Duration
	for _, r := range replies {
		took = append(took, r.took)
	}
	slices.Sort(took)
	return took[len(took)/2]
}
