// Package batch joins requests that arrive close together into one run of a model: dynamic
// batching, with the parameters and names of TensorFlow Serving. It works over any run function and
// uses no TensorFlow.
//
// A request is a set of tensors whose first dimension counts its rows. Requests wait in one queue,
// first come, first served among those of one priority. A goroutine takes as many from its head as
// fit in a batch. A request of more rows than a batch takes turns with the others: one batch of it
// is run, then the rest waits behind what came meanwhile. A batch that fails is halved until the
// one request that fails is alone; only that request gets the error, but a [LostError] all do. A
// request whose context ends leaves the queue.
//
// A [Batcher] is safe for concurrent use. [Batcher.Close] ends its goroutines; whoever called [New]
// calls it. Inputs belong to the batcher until their request is answered, outputs to the caller.
package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kerasrun/tensor"
)

// Run computes a model's outputs from its inputs, by name. Each input and each output has the batch
// as its first dimension, and row i of the outputs answers row i of the inputs. It must be safe for
// concurrent use, and may return what shares memory with its input.
type Run func(ctx context.Context, in map[string]tensor.Tensor) (map[string]tensor.Tensor, error)

// Parameters say how requests are joined. The names are those of TensorFlow Serving's batching
// parameters.
type Parameters struct {
	// MaxBatchSize (max_batch_size) is the largest number of rows of a run.
	MaxBatchSize int
	// BatchTimeout (batch_timeout_micros) is how long the first request of a batch that is not full
	// waits for others.
	BatchTimeout time.Duration
	// MaxEnqueuedBatches (max_enqueued_batches) times MaxBatchSize rows fit in the queue; ErrFull
	// beyond. Of a request of more than MaxBatchSize rows only those count whose turn is next.
	MaxEnqueuedBatches int
	NumBatchThreads    int // num_batch_threads: runs at a time, a goroutine for each

	// QueueTimeout (Triton's default_timeout_microseconds), if not 0: ErrTimeout for a request that
	// has waited this long for its run. A request whose expected wait is three quarters of it gets
	// ErrTimeout at once, so that few wait in vain.
	QueueTimeout time.Duration

	// AllowedBatchSizes (allowed_batch_sizes), if any: the numbers of rows that a run may take,
	// ascending, the last equal to MaxBatchSize. A batch of another size is filled up with copies
	// of its first row, whose answers are dropped.
	AllowedBatchSizes []int

	// EnableLargeBatchSplitting (enable_large_batch_splitting) cuts a request of more than
	// MaxBatchSize rows into several; without it, such a request is an error.
	EnableLargeBatchSplitting bool

	// Observe, if not nil, is told of every run. It must be safe for concurrent use and quick.
	Observe func(Observation)
}

// Observation is one run of a batch.
type Observation struct {
	Rows    int             // of the requests
	Padding int             // rows added to reach an allowed batch size
	Queued  []time.Duration // how long each request waited
	Compute time.Duration   // how long the run took
	Err     error
}

// Default returns TensorFlow Serving's parameters, except for batches of at most 32 rows, one
// thread (a run of TensorFlow keeps every core busy by itself), large requests split, and at most
// four seconds in the queue. Without a batch timeout a batch is what came in while the last one
// ran: a lone request never waits.
func Default() Parameters {
	return Parameters{
		MaxBatchSize: 32, MaxEnqueuedBatches: 10, NumBatchThreads: 1,
		EnableLargeBatchSplitting: true, QueueTimeout: 4 * time.Second,
	}
}

// Validate returns everything that is wrong with the parameters.
func (p Parameters) Validate() error {
	var faults []error
	atLeast := func(name string, value, minimum int) {
		if value < minimum {
			faults = append(faults, fmt.Errorf("batch: %s: expected at least %d, got %d", name,
				minimum, value))
		}
	}
	atLeast("max_batch_size", p.MaxBatchSize, 1)
	atLeast("batch_timeout_micros", int(p.BatchTimeout/time.Microsecond), 0)
	atLeast("max_enqueued_batches", p.MaxEnqueuedBatches, 1)
	atLeast("num_batch_threads", p.NumBatchThreads, 1)
	if p.QueueTimeout < 0 || p.QueueTimeout > 0 && p.QueueTimeout <= p.BatchTimeout {
		faults = append(faults,
			fmt.Errorf("batch: queue timeout: expected 0, for none, or more than "+
				"batch_timeout_micros, got %v", p.QueueTimeout))
	}
	if sizes := p.AllowedBatchSizes; len(sizes) > 0 {
		ascending := slices.IsSorted(sizes) &&
			len(slices.Compact(slices.Clone(sizes))) == len(sizes)
		if !ascending || sizes[0] < 1 || sizes[len(sizes)-1] != p.MaxBatchSize {
			faults = append(faults,
				fmt.Errorf("batch: allowed_batch_sizes: expected ascending sizes that end with "+
					"max_batch_size, %d, got %v", p.MaxBatchSize, sizes))
		}
	}
	return errors.Join(faults...)
}

// size returns how many rows a run of this many takes.
func (p Parameters) size(rows int) int {
	for _, size := range p.AllowedBatchSizes {
		if rows <= size {
			return size
		}
	}
	return rows
}

// The errors of a request that was not run.
var (
	ErrFull    = errors.New("batch: the queue is full")
	ErrTimeout = errors.New("batch: the wait in the queue is over its limit")
	ErrTooLong = errors.New("batch: the request has more rows than max_batch_size")
	ErrClosed  = errors.New("batch: the batcher is closed")
)

// LostError is an error of the run function that says that what ran the batch is gone. The batch is
// not run again in halves, which might be the end of that once more: each of its requests gets the
// error.
type LostError struct {
	Requests int // of the batch, as the batcher counts them
	Err      error
}

func (e *LostError) Error() string {
	if e.Requests > 1 {
		return fmt.Sprintf("%v, in a batch of %d requests", e.Err, e.Requests)
	}
	return e.Err.Error()
}

// Unwrap returns the reason.
func (e *LostError) Unwrap() error { return e.Err }
