package batch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"kerasrun/batch"
	"kerasrun/tensor"
)

// TestLostBatch holds that a batch whose runner is gone is not run again: each request gets the
// error, and how many there were.
func TestLostBatch(t *testing.T) {
	const requests = 5
	gone := errors.New("the runner is gone")
	runs := 0
	parameters := batch.Default()
	parameters.MaxBatchSize, parameters.NumBatchThreads = requests, 1
	parameters.BatchTimeout, parameters.QueueTimeout = time.Hour, 0 // until the batch is full
	b, err := batch.New(func(context.Context, map[string]tensor.Tensor) (
		map[string]tensor.Tensor, error) {
		runs++
		return nil, &batch.LostError{Err: gone}
	}, parameters)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			in, err := tensor.New(tensor.Shape{1}, []float32{1})
			if err != nil {
				t.Error(err)
			}
			_, err = b.Run(t.Context(), map[string]tensor.Tensor{"x": in})
			var lost *batch.LostError
			if !errors.As(err, &lost) || lost.Requests != requests || !errors.Is(err, gone) ||
				err.Error() != "the runner is gone, in a batch of 5 requests" {
				t.Errorf("got %v, want the runner's error in a batch of 5 requests", err)
			}
		})
	}
	all.Wait()
	b.Close()
	if runs != 1 {
		t.Errorf("got %d runs, want 1", runs)
	}
}
