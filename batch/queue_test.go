package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kerasrun/tensor"
)

// slow is a model that takes a second a row.
func slow(_ context.Context, in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	time.Sleep(time.Duration(in["x"].Shape[0]) * time.Second)
	return map[string]tensor.Tensor{"y": in["x"]}, nil
}

// Who waits for its run too long is told so when the time is over, and who would wait too long at
// once.
func TestQueueTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Default()
		p.MaxBatchSize, p.QueueTimeout = 2, 2500*time.Millisecond
		b, err := New(slow, p)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		type outcome struct {
			err  error
			took time.Duration
		}
		send := func(clients int) []outcome {
			outcomes := make([]outcome, clients)
			var all sync.WaitGroup
			for i := range outcomes {
				all.Go(func() {
					began := time.Now()
					_, err := b.Run(t.Context(), numbers(t, 1, 0))
					outcomes[i] = outcome{err, time.Since(began)}
				})
				synctest.Wait()
			}
			all.Wait()
			return outcomes
		}
		s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
		// Nothing is known of the time of a run yet: one runs, two run next, and the others wait in
		// vain.
		want := []outcome{{nil, s(1)}, {nil, s(3)}, {nil, s(3)}, {ErrTimeout, s(2.5)},
			{ErrTimeout, s(2.5)}}
		for i, got := range send(len(want)) {
			if got != want[i] {
				t.Errorf("at first, request %d: got %v, want %v", i, got, want[i])
			}
		}
		// Now it is: who would begin after 3 seconds is not let wait.
		got := send(7)
		for i, want := range []outcome{{nil, s(1)}, {nil, s(3)}, {nil, s(3)}, {ErrTimeout, 0},
			{ErrTimeout, 0}, {ErrTimeout, 0}, {ErrTimeout, 0}} {
			if got[i] != want {
				t.Errorf("then, request %d: got %v, want %v", i, got[i], want)
			}
		}
	})
}

// The parts of a large request follow each other: only the first can be too late.
func TestQueueTimeoutOfLargeRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Default()
		p.MaxBatchSize, p.QueueTimeout = 2, 2500*time.Millisecond
		b, err := New(slow, p)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if r, err := b.Run(t.Context(), numbers(t, 9, 0)); err != nil ||
			r.Compute != 9*time.Second {
			t.Errorf("got %v, %v, want an answer after 9 s", r.Compute, err)
		}
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := b.Run(t.Context(), numbers(t, 9, 0)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if _, err := b.Run(t.Context(), numbers(t, 9, 0)); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want %v", err, ErrTimeout)
		}
		first.Wait()
		if n := b.Pending(); n != 0 {
			t.Errorf("%d parts are left in the queue", n)
		}
	})
}

// A place that is reserved counts as taken until it is used or given up, and who has it is not
// turned away.
func TestReservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		p := Default()
		p.MaxBatchSize, p.MaxEnqueuedBatches = 2, 1
		b := start(t, m, p)
		var clients sync.WaitGroup
		run := func(answer func(context.Context, map[string]tensor.Tensor) (Result, error)) {
			clients.Go(func() {
				r, err := answer(t.Context(), numbers(t, 1, 3))
				check(t, r, err, 1, 3)
			})
			synctest.Wait()
		}
		run(b.Run) // is run at once; two more have a place
		places := make([]*Reservation, 2)
		for i := range places {
			var err error
			if places[i], err = b.Reserve(1); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Reserve(1); err != ErrFull {
			t.Errorf("got %v, want %v", err, ErrFull)
		}
		places[0].Release()
		places[0].Release() // changes nothing
		run(b.Run)
		if err := b.CheckAdmission(1); err != ErrFull {
			t.Errorf("got %v, want %v", err, ErrFull)
		}
		run(places[1].Run)
		close(m.gate)
		clients.Wait()
		b.Close()
		if _, err := b.Reserve(1); err != ErrClosed {
			t.Errorf("got %v, want %v", err, ErrClosed)
		}
	})
}

func TestPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{gate: make(chan struct{})}
		p := Default()
		p.MaxBatchSize = 1
		b := start(t, m, p)
		var clients sync.WaitGroup
		var mu sync.Mutex
		var order []int
		// The first is run before the others are there.
		for i, priority := range []int{2, 2, 3, 1, 2, 1} {
			clients.Go(func() {
				place, err := b.Reserve(1)
				if err != nil {
					t.Error(err)
					return
				}
				place.Priority = priority
				r, err := place.Run(t.Context(), numbers(t, 1, float32(10*i)))
				check(t, r, err, 1, float32(10*i))
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			})
			synctest.Wait()
		}
		for range 6 {
			m.gate <- struct{}{}
			synctest.Wait()
		}
		clients.Wait()
		if want := []int{0, 3, 5, 1, 4, 2}; !slices.Equal(order, want) {
			t.Errorf("got order %v, want %v", order, want)
		}
	})
}

// A request of a late client that comes first must not make an older one wait longer.
func TestPriorityKeepsBatchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{}
		p := Default()
		p.BatchTimeout = 10 * time.Millisecond
		b := start(t, m, p)
		began := time.Now()
		var clients sync.WaitGroup
		for i, priority := range []int{2, 1} {
			clients.Go(func() {
				time.Sleep(time.Duration(9*i) * time.Millisecond)
				place, err := b.Reserve(1)
				if err != nil {
					t.Error(err)
					return
				}
				place.Priority = priority
				r, err := place.Run(t.Context(), numbers(t, 1, float32(i)))
				check(t, r, err, 1, float32(i))
			})
		}
		clients.Wait()
		if took := time.Since(began); took != 10*time.Millisecond {
			t.Errorf("got %v, want 10ms", took)
		}
	})
}
