package batch

import (
	"context"
	"fmt"
	"time"

	"kerasrun/tensor"
)

// Reservation is a place in the queue for a request that is still being prepared. With a place, the
// request is not refused unless it waits too long, so preparing it is not wasted.
type Reservation struct {
	// Priority of the request, to be set before Run: those with a lower number come first.
	Priority int

	batcher *Batcher
	rows    int // of its first turn; 0 once the place is given up
}

// Reserve takes a place for a request of so many rows. The error is ErrFull, ErrTimeout or
// ErrClosed. Run or Release gives the place up.
func (b *Batcher) Reserve(rows int) (*Reservation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refuses(rows); err != nil {
		return nil, err
	}
	turn := b.turn(rows)
	b.reserved += turn
	return &Reservation{batcher: b, rows: turn}, nil
}

// CheckAdmission returns the error that Reserve would, without taking a place.
func (b *Batcher) CheckAdmission(rows int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuses(rows)
}

// Run answers the request that the place is for, as Batcher.Run does.
func (r *Reservation) Run(ctx context.Context, in map[string]tensor.Tensor) (Result, error) {
	defer r.Release()
	b := r.batcher
	rows, key, err := rowsOf(in)
	if err != nil {
		return Result{}, err
	}
	if rows > b.parameters.MaxBatchSize && !b.parameters.EnableLargeBatchSplitting {
		return Result{}, fmt.Errorf("%w: expected at most %d, got %d", ErrTooLong,
			b.parameters.MaxBatchSize, rows)
	}
	chunks := []*request{{in: in, rows: rows, key: key, answer: make(chan answer, 1)}}
	if rows > b.parameters.MaxBatchSize {
		if chunks, err = b.split(in, rows, key); err != nil {
			return Result{}, err
		}
	}
	if err := b.enqueue(ctx, r, chunks...); err != nil {
		return Result{}, err
	}
	if len(chunks) == 1 {
		return b.wait(ctx, chunks[0], b.parameters.QueueTimeout)
	}
	return b.waitAll(ctx, chunks)
}

// Release gives the place up, if Run has not.
func (r *Reservation) Release() {
	r.batcher.mu.Lock()
	defer r.batcher.mu.Unlock()
	r.release()
}

func (r *Reservation) release() {
	r.batcher.reserved -= r.rows
	r.rows = 0
}

// turn returns how many of a request's rows are run at a time.
func (b *Batcher) turn(rows int) int { return min(rows, b.parameters.MaxBatchSize) }

// refuses returns why a request of so many rows is one too many. What counts of it, as of those
// that wait, are the rows of one turn: the rest waits behind those who come meanwhile.
func (b *Batcher) refuses(rows int) error {
	before := b.rows + b.reserved
	rows = b.turn(rows)
	switch {
	case b.closed:
		return ErrClosed
	case before > 0 && before+rows > b.parameters.MaxEnqueuedBatches*b.parameters.MaxBatchSize:
		return ErrFull
	case b.parameters.QueueTimeout > 0 && b.expected(before) > b.parameters.QueueTimeout*3/4:
		return ErrTimeout
	}
	return nil
}

// running is what a thread runs: nothing, or a batch.
type running struct {
	rows  int
	since time.Time
}

// expected returns how long a request will wait behind so many rows: for the rest of the current
// runs and for the full batches before its own.
func (b *Batcher) expected(before int) time.Duration {
	size, row := b.parameters.MaxBatchSize, b.rowTime()
	wait := time.Duration(before/size*size) * row
	for _, r := range b.running {
		if r.rows > 0 {
			wait += max(0, time.Duration(r.rows)*row-time.Since(r.since))
		}
	}
	return wait / time.Duration(len(b.running))
}

// ObserveRun records how long a run of so many rows took. The batcher records its own runs; a
// caller adds those that it made to warm the model.
func (b *Batcher) ObserveRun(took time.Duration, rows int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.past.time += took - b.past.time/4
	b.past.rows += float64(rows) - b.past.rows/4
}

// rowTime is the recent time per row. Runs are weighted by their rows: a slow run of a single row
// says little about large ones.
func (b *Batcher) rowTime() time.Duration {
	if b.past.rows == 0 {
		return 0
	}
	return time.Duration(float64(b.past.time) / b.past.rows)
}
