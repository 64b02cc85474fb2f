package batch

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kerasrun/tensor"
)

// request of rows x 2 numbers, where number j of row i is first + 2i + j.
func numbers(t *testing.T, rows int, first float32) map[string]tensor.Tensor {
	t.Helper()
	data := make([]float32, 2*rows)
	for i := range data {
		data[i] = first + float32(i)
	}
	x, err := tensor.New(tensor.Shape{int64(rows), 2}, data)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]tensor.Tensor{"x": x}
}

// model counts its runs, answers y = 2x, and fails a batch that has the number bad in it.
type model struct {
	mu    sync.Mutex
	sizes []int64
	bad   float32
	gate  chan struct{} // if not nil, each run takes one from it first
}

var errBad = errors.New("bad number")

func (m *model) run(_ context.Context,
	in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	if m.gate != nil {
		<-m.gate
	}
	x, err := in["x"].Float32s()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.sizes = append(m.sizes, in["x"].Shape[0])
	m.mu.Unlock()
	y := make([]float32, len(x))
	for i, v := range x {
		if m.bad != 0 && v == m.bad {
			return nil, errBad
		}
		y[i] = 2 * v
	}
	out, err := tensor.New(in["x"].Shape, y)
	return map[string]tensor.Tensor{"y": out}, err
}

func start(t *testing.T, m *model, p Parameters) *Batcher {
	t.Helper()
	b, err := New(m.run, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// check wants the answer to numbers(rows, first).
func check(t *testing.T, r Result, err error, rows int, first float32) {
	t.Helper()
	if err != nil {
		t.Error(err)
		return
	}
	want := make([]float32, 2*rows)
	for i := range want {
		want[i] = 2 * (first + float32(i))
	}
	got, err := r.Outputs["y"].Float32s()
	if err != nil {
		t.Error(err)
	} else if !slices.Equal(got, want) {
		t.Errorf("rows that begin with %v: got %v, want %v", first, got, want)
	}
}

func TestJoinsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		p := Default()
		p.MaxBatchSize = 4
		b := start(t, m, p)
		var clients sync.WaitGroup
		for i := range 7 {
			clients.Go(func() {
				r, err := b.Run(t.Context(), numbers(t, 1, float32(10*i)))
				check(t, r, err, 1, float32(10*i))
			})
			synctest.Wait() // so that the first is run alone and the others wait in order
		}
		for range 3 {
			m.gate <- struct{}{}
		}
		clients.Wait()
		if diff := cmp.Diff([]int64{1, 4, 2}, m.sizes); diff != "" {
			t.Errorf("sizes of the runs (-want +got):\n%s", diff)
		}
	})
}

func TestTimeoutWaitsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{}
		p := Default()
		p.MaxBatchSize, p.BatchTimeout = 3, 10*time.Millisecond
		b := start(t, m, p)
		began := time.Now()
		var clients sync.WaitGroup
		// two, of which the first has waited long enough; then a full batch
		for i, after := range []time.Duration{0, 9, 50, 51, 52} {
			clients.Go(func() {
				time.Sleep(after * time.Millisecond)
				r, err := b.Run(t.Context(), numbers(t, 1, float32(i)))
				check(t, r, err, 1, float32(i))
			})
		}
		clients.Wait()
		if took := time.Since(began); took != 52*time.Millisecond {
			t.Errorf("the full batch did not run at once, but at %v", took)
		}
		if diff := cmp.Diff([]int64{2, 3}, m.sizes); diff != "" {
			t.Errorf("sizes of the runs (-want +got):\n%s", diff)
		}
	})
}

func TestNoCrossTalk(t *testing.T) {
	m := &model{}
	p := Default()
	p.MaxBatchSize, p.NumBatchThreads, p.AllowedBatchSizes = 8, 3, []int{3, 8}
	p.MaxEnqueuedBatches = 1000
	var observed atomic.Int64
	p.Observe = func(o Observation) { observed.Add(int64(len(o.Queued))) }
	b := start(t, m, p)
	const clients, requests = 32, 100
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(c)))
			for i := range requests {
				rows, first := 1+random.IntN(8), float32(1000*c+20*i)
				r, err := b.Run(t.Context(), numbers(t, rows, first))
				check(t, r, err, rows, first)
			}
		})
	}
	all.Wait()
	if observed.Load() != clients*requests {
		t.Errorf("got %d, want %d requests observed", observed.Load(), clients*requests)
	}
}

func TestBadRequestFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{}), bad: 31}
		b := start(t, m, Default())
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				r, err := b.Run(t.Context(), numbers(t, 1, float32(10*i)))
				if i == 3 {
					if !errors.Is(err, errBad) {
						t.Errorf("the bad request: got %v, want %v", err, errBad)
					}
					return
				}
				check(t, r, err, 1, float32(10*i))
			})
			synctest.Wait()
		}
		close(m.gate)
		clients.Wait()
	})
}

func TestCancelledLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		b := start(t, m, Default())
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		clients.Go(func() { b.Run(t.Context(), numbers(t, 1, 0)) })
		synctest.Wait()
		clients.Go(func() {
			if _, err := b.Run(ctx, numbers(t, 3, 10)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		})
		clients.Go(func() {
			r, err := b.Run(t.Context(), numbers(t, 1, 20))
			check(t, r, err, 1, 20)
		})
		synctest.Wait()
		if got := b.Pending(); got != 2 {
			t.Errorf("before: got %d, want 2 requests waiting", got)
		}
		cancel()
		synctest.Wait()
		if got := b.Pending(); got != 1 {
			t.Errorf("after: got %d, want 1 request waiting", got)
		}
		close(m.gate)
		clients.Wait()
		if diff := cmp.Diff([]int64{1, 1}, m.sizes); diff != "" {
			t.Errorf("sizes of the runs (-want +got):\n%s", diff)
		}
		if _, err := b.Run(ctx, numbers(t, 1, 0)); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: got %v, want %v", err, context.Canceled)
		}
	})
}

func TestCancelledWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		b := start(t, m, Default())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Run(ctx, numbers(t, 1, 0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		close(m.gate)
		r, err := b.Run(t.Context(), numbers(t, 1, 5))
		check(t, r, err, 1, 5)
	})
}

func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		p := Default()
		p.MaxBatchSize, p.MaxEnqueuedBatches = 2, 2
		b := start(t, m, p)
		var clients sync.WaitGroup
		for i := range 5 {
			clients.Go(func() {
				r, err := b.Run(t.Context(), numbers(t, 1, float32(10*i)))
				check(t, r, err, 1, float32(10*i))
			})
			synctest.Wait()
		}
		if _, err := b.Run(t.Context(), numbers(t, 1, 0)); !errors.Is(err, ErrFull) ||
			b.CheckAdmission(1) != ErrFull || b.CheckAdmission(0) != nil {
			t.Errorf("got %v, want %v", err, ErrFull)
		}
		close(m.gate)
		clients.Wait()
		r, err := b.Run(t.Context(), numbers(t, 2, 7))
		check(t, r, err, 2, 7)
	})
}

func TestLargeRequest(t *testing.T) {
	m := &model{}
	p := Default()
	p.MaxBatchSize, p.MaxEnqueuedBatches = 4, 1
	b := start(t, m, p)
	r, err := b.Run(t.Context(), numbers(t, 10, 3)) // more than the whole queue
	check(t, r, err, 10, 3)
	if diff := cmp.Diff([]int64{4, 4, 2}, m.sizes); diff != "" {
		t.Errorf("sizes of the runs (-want +got):\n%s", diff)
	}
	m.bad = 9
	if _, err := b.Run(t.Context(), numbers(t, 10, 3)); !errors.Is(err, errBad) {
		t.Errorf("got %v, want %v", err, errBad)
	}
	p.EnableLargeBatchSplitting = false
	_, err = start(t, m, p).Run(t.Context(), numbers(t, 10, 3))
	if want := "max_batch_size: expected at most 4, got 10"; !errors.Is(err, ErrTooLong) ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

// Large requests take turns with each other and with small ones: whoever comes waits for one batch
// of each, however many rows they have.
func TestLargeRequestsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		p := Default()
		p.MaxBatchSize, p.MaxEnqueuedBatches, p.QueueTimeout = 4, 3, 0
		b := start(t, m, p)
		var clients sync.WaitGroup
		var mu sync.Mutex
		runs := 0
		done := map[string]int{} // how many runs there were when a request was answered
		send := func(name string, rows int, first float32) {
			clients.Go(func() {
				r, err := b.Run(t.Context(), numbers(t, rows, first))
				check(t, r, err, rows, first)
				mu.Lock()
				defer mu.Unlock()
				done[name] = runs
			})
			synctest.Wait()
		}
		step := func() {
			mu.Lock()
			runs++
			mu.Unlock()
			m.gate <- struct{}{}
			synctest.Wait()
		}
		send("huge", 4000, 0)
		send("large", 40, 10_000)
		for range 4 {
			step()
		}
		send("small", 1, 20_000)
		for range 4 {
			step()
		}
		send("late", 3, 30_000)
		for range 4 {
			step()
		}
		close(m.gate)
		clients.Wait()
		// the run that is under way, one batch of each of the two others, and its own
		for name, most := range map[string]int{"small": 4 + 4, "late": 8 + 4} {
			if done[name] == 0 || done[name] > most {
				t.Errorf("%s: got an answer after %d runs, want at most %d", name, done[name], most)
			}
		}
	})
}

// A client that leaves takes all chunks of its request with it, those that are not in the queue
// yet too.
func TestLargeRequestLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		p := Default()
		p.MaxBatchSize = 4
		b := start(t, m, p)
		ctx, cancel := context.WithCancel(t.Context())
		var client sync.WaitGroup
		client.Go(func() {
			if _, err := b.Run(ctx, numbers(t, 400, 0)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		})
		synctest.Wait()
		m.gate <- struct{}{}
		synctest.Wait()
		cancel()
		client.Wait()
		if n := b.Pending(); n != 0 {
			t.Errorf("%d chunks wait still", n)
		}
		close(m.gate)
		b.Close()
		if len(m.sizes) > 2 {
			t.Errorf("got %d runs, want the one that was answered and the one that ran", len(m.sizes))
		}
	})
}

func TestAllowedBatchSizes(t *testing.T) {
	m := &model{}
	p := Default()
	p.MaxBatchSize, p.AllowedBatchSizes = 8, []int{1, 4, 8}
	var seen []Observation
	p.Observe = func(o Observation) { seen = append(seen, o) }
	b := start(t, m, p)
	for _, rows := range []int{1, 2, 4, 5} {
		r, err := b.Run(t.Context(), numbers(t, rows, 100))
		check(t, r, err, rows, 100)
	}
	b.Close()
	if diff := cmp.Diff([]int64{1, 4, 4, 8}, m.sizes); diff != "" {
		t.Errorf("sizes of the runs (-want +got):\n%s", diff)
	}
	for i, padding := range []int{0, 2, 0, 3} {
		if seen[i].Padding != padding {
			t.Errorf("run %d: got %d, want a padding of %d", i, seen[i].Padding, padding)
		}
	}
}

func TestDifferentShapesAreNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		b := start(t, m, Default())
		wide, err := tensor.New(tensor.Shape{1, 3}, []float32{1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		var clients sync.WaitGroup
		for _, in := range []map[string]tensor.Tensor{numbers(t, 1, 0), numbers(t, 1, 10),
			{"x": wide}, numbers(t, 2, 20)} {
			clients.Go(func() {
				if _, err := b.Run(t.Context(), in); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(m.gate)
		clients.Wait()
		if diff := cmp.Diff([]int64{1, 1, 1, 2}, m.sizes); diff != "" {
			t.Errorf("sizes of the runs (-want +got):\n%s", diff)
		}
	})
}

func TestCloseAnswersWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		p := Default()
		p.BatchTimeout, p.QueueTimeout = time.Hour, 0
		b := start(t, m, p)
		var clients sync.WaitGroup
		for i := range 3 {
			clients.Go(func() {
				r, err := b.Run(t.Context(), numbers(t, 1, float32(10*i)))
				check(t, r, err, 1, float32(10*i))
			})
		}
		synctest.Wait()
		close(m.gate)
		b.Close()
		clients.Wait()
		if _, err := b.Run(t.Context(), numbers(t, 1, 0)); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want %v", err, ErrClosed)
		}
	})
}

func TestRefusesRequests(t *testing.T) {
	row := func(shape tensor.Shape, data []float32) tensor.Tensor {
		return tensor.Tensor{DType: tensor.Float32, Shape: shape, Data: data}
	}
	b := start(t, &model{}, Default())
	for _, c := range []struct {
		name string
		in   map[string]tensor.Tensor
		want string
	}{
		{"nothing", nil, "at least one input"},
		{"scalar", map[string]tensor.Tensor{"x": row(tensor.Shape{}, []float32{1})},
			"got shape ()"},
		{"no rows", map[string]tensor.Tensor{"x": row(tensor.Shape{0, 2}, nil)},
			"got shape (0, 2)"},
		{"short data", map[string]tensor.Tensor{"x": row(tensor.Shape{1, 2}, []float32{1})},
			"expected 2 elements"},
		{"overflow", map[string]tensor.Tensor{"x": row(tensor.Shape{1 << 40, 1 << 40}, nil)},
			"more elements"},
		{"uneven", map[string]tensor.Tensor{
			"a": row(tensor.Shape{1}, []float32{1}), "b": row(tensor.Shape{2}, []float32{1, 2}),
		}, `input "b" has 2 rows, input "a" has 1`},
	} {
		if _, err := b.Run(t.Context(), c.in); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestRefusesOutputsOfOtherSizes(t *testing.T) {
	sum, err := tensor.New(tensor.Shape{}, []float32{1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(func(context.Context,
		map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
		return map[string]tensor.Tensor{"sum": sum}, nil
	}, Default())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = b.Run(t.Context(), numbers(t, 2, 0))
	if want := `output "sum": expected 2 rows`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

func TestParametersValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for _, c := range []struct {
		want   string
		change func(*Parameters)
	}{
		{"max_batch_size", func(p *Parameters) { p.MaxBatchSize = 0 }},
		{"batch_timeout_micros", func(p *Parameters) { p.BatchTimeout = -time.Second }},
		{"max_enqueued_batches", func(p *Parameters) { p.MaxEnqueuedBatches = 0 }},
		{"num_batch_threads", func(p *Parameters) { p.NumBatchThreads = 0 }},
		{"allowed_batch_sizes", func(p *Parameters) { p.AllowedBatchSizes = []int{4, 2, 32} }},
		{"allowed_batch_sizes", func(p *Parameters) { p.AllowedBatchSizes = []int{4, 4, 32} }},
		{"allowed_batch_sizes", func(p *Parameters) { p.AllowedBatchSizes = []int{0, 32} }},
		{"allowed_batch_sizes", func(p *Parameters) { p.AllowedBatchSizes = []int{1, 16} }},
	} {
		p := Default()
		c.change(&p)
		if _, err := New((&model{}).run, p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want an error with %q", p, err, c.want)
		}
	}
}
