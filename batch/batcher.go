package batch

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"kerasrun/tensor"
)

// Batcher joins concurrent requests into batches. It is safe for concurrent use.
type Batcher struct {
	run        Run
	parameters Parameters

	mu sync.Mutex
	// a request came, left or waited out BatchTimeout, or the batcher was closed
	changed  sync.Cond
	queue    list.List // of *request, the lower priority first, of one priority the oldest
	rows     int       // in the queue: of each request at most MaxBatchSize, those of its next turn
	reserved int       // rows that have a place in the queue but are not there yet
	running  []running // what each thread runs
	past     struct {  // of the runs so far; older ones count less
		time time.Duration
		rows float64
	}
	closed  bool
	threads sync.WaitGroup
}

// request is one entry of the queue.
type request struct {
	place   *list.Element // in the queue; nil before it comes there and once it has left
	next    *request      // the following chunk of a large request, queued when this one is run
	gone    bool          // not to be queued any more
	in      map[string]tensor.Tensor
	rows    int
	key     string
	arrived time.Time

	priority int
	answer   chan answer // buffered: the caller may have left
}

type answer struct {
	Result
	err error
}

// Result answers one request.
type Result struct {
	Outputs map[string]tensor.Tensor
	Queue   time.Duration // from arrival to the start of its run
	Compute time.Duration // of the run that it was part of
	Batch   int           // rows of that run, without padding
}

// New starts a batcher over run. Close ends it.
func New(run Run, parameters Parameters) (*Batcher, error) {
	if err := parameters.Validate(); err != nil {
		return nil, err
	}
	b := &Batcher{run: run, parameters: parameters,
		running: make([]running, parameters.NumBatchThreads)}
	b.changed.L = &b.mu
	for thread := range b.running {
		b.threads.Go(func() { b.work(&b.running[thread]) })
	}
	return b, nil
}

// Run answers one request, of one or more rows, when the batch with it has been run. The request's
// tensors must not change until then. The error is ErrFull, ErrTimeout, ErrTooLong, ErrClosed, or
// what the run function returns for this request alone. It is the context's where that ends first:
// the request leaves the queue, or its answer is dropped.
func (b *Batcher) Run(ctx context.Context, in map[string]tensor.Tensor) (Result, error) {
	rows, _, err := rowsOf(in)
	if err != nil {
		return Result{}, err
	}
	place, err := b.Reserve(rows)
	if err != nil {
		return Result{}, err
	}
	return place.Run(ctx, in)
}

// split cuts a request into chunks that fit in a batch each.
func (b *Batcher) split(in map[string]tensor.Tensor, rows int, key string) ([]*request, error) {
	var chunks []*request
	for from := 0; from < rows; from += b.parameters.MaxBatchSize {
		to := min(from+b.parameters.MaxBatchSize, rows)
		chunk, err := tensor.RowsOfAll(in, int64(from), int64(to))
		if err != nil {
			return nil, fmt.Errorf("batch: %w", err)
		}
		chunks = append(chunks, &request{in: chunk, rows: to - from, key: key,
			answer: make(chan answer, 1)})
	}
	return chunks, nil
}

// waitAll waits for the chunks of one request, which follow each other in the queue, and puts their
// answers together.
func (b *Batcher) waitAll(ctx context.Context, chunks []*request) (Result, error) {
	var whole Result
	outputs := map[string][]tensor.Tensor{}
	for i, chunk := range chunks {
		timeout := b.parameters.QueueTimeout
		if i > 0 {
			timeout = 0 // once the first chunk runs, the others have their turns
		}
		r, err := b.wait(ctx, chunk, timeout)
		if err != nil {
			for _, chunk := range chunks[i:] {
				b.forget(chunk)
			}
			return Result{}, err
		}
		for name, t := range r.Outputs {
			outputs[name] = append(outputs[name], t)
		}
		whole.Queue, whole.Batch = max(whole.Queue, r.Queue), max(whole.Batch, r.Batch)
		whole.Compute += r.Compute
	}
	whole.Outputs = make(map[string]tensor.Tensor, len(outputs))
	for name, ts := range outputs {
		var err error
		if whole.Outputs[name], err = tensor.Concat(ts); err != nil {
			return Result{}, fmt.Errorf("batch: output %q: %w", name, err)
		}
	}
	return whole, nil
}

// enqueue puts the first chunk of a request into the queue, in the place that was reserved for it.
// Each other one comes to the queue's end when the one before it is run.
func (b *Batcher) enqueue(ctx context.Context, place *Reservation, chunks ...*request) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	place.release()
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.closed {
		return ErrClosed
	}
	now := time.Now()
	for i, r := range chunks {
		r.arrived, r.priority = now, place.Priority
		if i > 0 {
			chunks[i-1].next = r
		}
	}
	b.push(chunks[0])
	if timeout := b.parameters.BatchTimeout; timeout > 0 {
		time.AfterFunc(timeout, b.wake)
	}
	return nil
}

// push puts a request into the queue, behind those of its priority.
func (b *Batcher) push(r *request) {
	before := b.queue.Back()
	for before != nil && before.Value.(*request).priority > r.priority {
		before = before.Prev()
	}
	if before == nil {
		r.place = b.queue.PushFront(r)
	} else {
		r.place = b.queue.InsertAfter(r, before)
	}
	b.rows += r.rows
	b.changed.Broadcast()
}

func (b *Batcher) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

// wait waits for a request's answer. A timeout other than 0 limits the wait until its run begins.
func (b *Batcher) wait(ctx context.Context, r *request, timeout time.Duration) (Result, error) {
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case a := <-r.answer:
			return a.Result, a.err
		case <-late:
			if b.forget(r) {
				return Result{}, ErrTimeout
			}
			late = nil // it is being run
		case <-ctx.Done():
			b.forget(r)
			return Result{}, ctx.Err()
		}
	}
}

// forget takes a request out of the queue, if it is still there, or keeps it from coming there.
func (b *Batcher) forget(r *request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.gone = true
	if r.place == nil {
		return false
	}
	b.leave(r)
	b.changed.Broadcast()
	return true
}

// leave takes a request out of the queue.
func (b *Batcher) leave(r *request) {
	b.queue.Remove(r.place)
	r.place = nil
	b.rows -= r.rows
}

// Pending returns the number of requests that wait in the queue.
func (b *Batcher) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.Len()
}

// Close refuses further requests with ErrClosed, waits until those in the queue are answered, and
// ends the batcher. It can be called more than once.
func (b *Batcher) Close() {
	b.mu.Lock()
	b.closed = true
	b.changed.Broadcast()
	b.mu.Unlock()
	b.threads.Wait()
}

// work is one batch thread.
func (b *Batcher) work(now *running) {
	for {
		requests, taken := b.take(now)
		if requests == nil {
			return
		}
		b.answer(requests, taken)
	}
}

// take waits for a batch and takes its requests out of the queue; nil when the batcher is closed
// and nothing waits.
func (b *Batcher) take(now *running) ([]*request, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*now = running{}
	for {
		if b.ready() {
			requests := b.pop()
			*now = running{since: time.Now()}
			for _, r := range requests {
				now.rows += r.rows
			}
			return requests, now.since
		}
		if b.closed {
			return nil, time.Time{}
		}
		b.changed.Wait()
	}
}

// ready says whether the head of the queue is to be run now.
func (b *Batcher) ready() bool {
	if b.queue.Len() == 0 {
		return false
	}
	if b.closed || b.rows >= b.parameters.MaxBatchSize {
		return true
	}
	// With priorities the oldest is not always the first.
	for e := b.queue.Front(); e != nil; e = e.Next() {
		if time.Since(e.Value.(*request).arrived) >= b.parameters.BatchTimeout {
			return true
		}
	}
	return false
}

// pop takes as many requests as can be joined and fit in a batch from the head of the queue.
func (b *Batcher) pop() []*request {
	var requests []*request
	rows := 0
	for e := b.queue.Front(); e != nil; e = b.queue.Front() {
		r := e.Value.(*request)
		if len(requests) > 0 && (rows+r.rows > b.parameters.MaxBatchSize ||
			r.key != requests[0].key) {
			break
		}
		b.leave(r)
		requests, rows = append(requests, r), rows+r.rows
	}
	for _, r := range requests {
		if r.next != nil && !r.next.gone {
			b.push(r.next)
		}
	}
	return requests
}

// answer runs requests as one batch and answers each. A batch that fails is run again in halves,
// unless it is lost.
func (b *Batcher) answer(requests []*request, taken time.Time) {
	outputs, result, err := b.compute(requests, taken)
	var lost *LostError
	if errors.As(err, &lost) {
		err = &LostError{len(requests), lost.Err}
	} else if err != nil && len(requests) > 1 {
		half := len(requests) / 2
		b.answer(requests[:half], taken)
		b.answer(requests[half:], taken)
		return
	}
	for i, r := range requests {
		a := answer{Result: result, err: err}
		if err == nil {
			a.Outputs = outputs[i]
		}
		a.Queue = taken.Sub(r.arrived)
		r.answer <- a
	}
}

// compute runs requests as one batch and splits the outputs.
func (b *Batcher) compute(requests []*request, taken time.Time) (outputs []map[string]tensor.Tensor,
	result Result, err error) {
	rows := 0
	queued := make([]time.Duration, len(requests))
	for i, r := range requests {
		rows += r.rows
		queued[i] = taken.Sub(r.arrived)
	}
	padding := b.parameters.size(rows) - rows
	start := time.Now()
	defer func() {
		result = Result{Compute: time.Since(start), Batch: rows}
		if err == nil {
			b.ObserveRun(result.Compute, rows+padding)
		}
		if b.parameters.Observe != nil {
			b.parameters.Observe(Observation{Rows: rows, Padding: padding, Queued: queued,
				Compute: result.Compute, Err: err})
		}
	}()
	in, err := join(requests, padding)
	if err != nil {
		return nil, result, err
	}
	// The batch is shared: no one request's context may cancel it.
	out, err := b.run(context.Background(), in)
	if err != nil {
		return nil, result, err
	}
	outputs, err = part(out, requests, rows+padding)
	return outputs, result, err
}

// join concatenates the requests' inputs. The requests' own tensors become views of the batch, so
// that it is not held in memory twice.
func join(requests []*request, padding int) (map[string]tensor.Tensor, error) {
	if len(requests) == 1 && padding == 0 {
		return requests[0].in, nil
	}
	in := make(map[string]tensor.Tensor, len(requests[0].in))
	for name := range requests[0].in {
		chunks := make([]tensor.Tensor, len(requests))
		for i, r := range requests {
			chunks[i] = r.in[name]
		}
		row, err := chunks[0].Rows(0, 1)
		if err == nil {
			in[name], err = tensor.Concat(append(chunks,
				slices.Repeat([]tensor.Tensor{row}, padding)...))
		}
		if err != nil {
			return nil, fmt.Errorf("batch: input %q: %w", name, err)
		}
	}
	views, err := rowsOfEach(in, requests)
	if err != nil {
		return nil, err
	}
	for i, r := range requests {
		r.in = views[i]
	}
	return in, nil
}

// part gives each request its rows of the batch's outputs, which have size rows.
func part(out map[string]tensor.Tensor, requests []*request,
	size int) ([]map[string]tensor.Tensor, error) {
	for name, t := range out {
		if len(t.Shape) == 0 || t.Shape[0] != int64(size) {
			return nil, fmt.Errorf(
				"batch: output %q: expected %d rows, one for each of the inputs', got shape %v",
				name, size, t.Shape)
		}
	}
	if len(requests) == 1 && requests[0].rows == size {
		return []map[string]tensor.Tensor{out}, nil
	}
	return rowsOfEach(out, requests)
}

// rowsOfEach takes each request's rows out of a batch's tensors.
func rowsOfEach(whole map[string]tensor.Tensor,
	requests []*request) ([]map[string]tensor.Tensor, error) {
	each := make([]map[string]tensor.Tensor, len(requests))
	from := int64(0)
	for i, r := range requests {
		var err error
		if each[i], err = tensor.RowsOfAll(whole, from, from+int64(r.rows)); err != nil {
			return nil, fmt.Errorf("batch: %w", err)
		}
		from += int64(r.rows)
	}
	return each, nil
}
