package score

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"kerasrun/labels"
	"kerasrun/tensor"
)

// pipeline is source -> decode -> run -> keep, each stage with its goroutines. A batch travels as
// one value; at most Concurrency + 2 are under way, and their buffers are reused.
type pipeline struct {
	Config
	inputs  inputDigest
	journal *journal // nil for an output that is not resumed
	keep    func(batch int64, records []Record) error
	counts  Counts
	// Batches run under the read lock. An image that may be poison runs under the write lock, alone
	// in the process.
	native sync.RWMutex
}

// batch is a fixed cut of the input.
type batch struct {
	number   int64
	items    []Item
	first    int64          // the index of items[0]
	pixels   []float32      // one slot an item
	failures []error        // one an item, of reading and decoding
	decoded  sync.WaitGroup // done when every slot is filled
	records  []Record       // one an item, when answered is closed
	answered chan struct{}
}

// Answer answers one batch by itself: the images from index first on, in order. It is what other
// schedulers, such as Apache Beam, call; the bits are those of a run that cuts the same batch.
func Answer(ctx context.Context, m Model, c Columns, first int64, items []Item) ([]Record, error) {
	p := pipeline{Config: Config{Model: m, Columns: c}}
	var b batch
	b.reset(0, first)
	b.items = items
	b.size(m.Shape)
	for i := range items {
		go func() {
			defer b.decoded.Done()
			b.failures[i] = p.decode(&b, i)
		}()
	}
	err := p.answer(ctx, &b)
	return b.records, err
}

func (p *pipeline) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	free := make(chan *batch, p.Concurrency+2)
	for range cap(free) {
		free <- new(batch)
	}
	type slot struct {
		b *batch
		i int
	}
	slots := make(chan slot)
	toRun, toKeep := make(chan *batch, cap(free)), make(chan *batch, cap(free))

	group.Go(func() error {
		defer close(toRun)
		defer close(toKeep)
		defer close(slots)
		return p.cut(ctx, free, func(b *batch) error {
			toKeep <- b // both have room for every batch there is
			toRun <- b
			for i := range b.items {
				select {
				case slots <- slot{b, i}:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range p.Workers {
		group.Go(func() error {
			for s := range slots {
				s.b.failures[s.i] = p.decode(s.b, s.i)
				s.b.decoded.Done()
			}
			return nil
		})
	}
	for range p.Concurrency {
		group.Go(func() error {
			for b := range toRun {
				if err := p.answer(ctx, b); err != nil {
					return err
				}
				close(b.answered)
			}
			return nil
		})
	}
	group.Go(func() error {
		for b := range toKeep {
			select {
			case <-b.answered:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := p.keepBatch(b); err != nil {
				return err
			}
			free <- b
		}
		return nil
	})
	return group.Wait()
}

// cut forms the batches that are this shard's and not yet answered, and hands each to emit. It
// stops where the source no longer has the paths that the input digest found: images under another
// index than theirs must not reach the journal.
func (p *pipeline) cut(ctx context.Context, free <-chan *batch, emit func(*batch) error) error {
	var b *batch
	size, index := int64(p.Batch), int64(-1)
	paths := newPathHash()
	end := func() error {
		if number := index / size; number >= int64(len(p.inputs.batches)) ||
			paths.sum() != p.inputs.batches[number] {
			return fmt.Errorf(
				"the inputs are no longer those that the run began with, among images %d to %d",
				number*size, index)
		}
		if b == nil {
			return nil
		}
		b.size(p.Model.Shape)
		whole := b
		b = nil
		return emit(whole)
	}
	for item := range p.Source {
		index++
		paths.add(item.Path)
		number := index / size
		if p.Shard.has(number) && !(p.journal != nil && p.journal.done[number]) {
			if b == nil {
				select {
				case b = <-free:
					b.reset(number, index)
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if item.Streamed {
				data, err := item.Read()
				item.Read = func() ([]byte, error) { return data, err }
			}
			b.items = append(b.items, item)
		}
		if (index+1)%size == 0 {
			if err := end(); err != nil {
				return err
			}
		}
	}
	if (index+1)%size != 0 {
		if err := end(); err != nil {
			return err
		}
	}
	if index+1 != p.inputs.images {
		return fmt.Errorf("the inputs held %d images when the run began, and now hold %d",
			p.inputs.images, index+1)
	}
	return nil
}

func (b *batch) reset(number, first int64) {
	b.number, b.first, b.items, b.answered = number, first, b.items[:0], make(chan struct{})
	b.records = b.records[:0]
}

// size makes room for every item.
func (b *batch) size(shape tensor.Shape) {
	n := len(b.items)
	b.pixels = slices.Grow(b.pixels[:0], n*stride(shape))[:n*stride(shape)]
	b.failures = slices.Grow(b.failures[:0], n)[:n]
	b.decoded.Add(n)
}

// stride is the number of values of one image.
func stride(shape tensor.Shape) int { return int(shape[0] * shape[1] * shape[2]) }

func (p *pipeline) decode(b *batch, i int) error {
	data, err := b.items[i].Read()
	b.items[i].Read = nil // frees the bytes of a streamed item
	if err != nil {
		return err
	}
	size := stride(p.Model.Shape)
	out, err := p.Model.Preprocess(b.pixels[i*size:i*size:(i+1)*size], data)
	if err == nil && len(out) != size {
		err = fmt.Errorf("preprocessing: expected %d values, got %d", size, len(out))
	}
	return err
}

// answer runs a batch. Images that failed take no part; an image that has crashed the process
// before takes none either.
func (p *pipeline) answer(ctx context.Context, b *batch) error {
	wait := make(chan struct{})
	go func() { b.decoded.Wait(); close(wait) }()
	select {
	case <-wait:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.probe(ctx, b); err != nil {
		return err
	}
	size := stride(p.Model.Shape)
	rows := 0 // the good ones move up
	for i, failure := range b.failures {
		if failure == nil {
			copy(b.pixels[rows*size:(rows+1)*size], b.pixels[i*size:(i+1)*size])
			rows++
		}
	}
	var answer []float32
	if rows > 0 {
		var err error
		if answer, err = p.runBatch(ctx, b.number, b.pixels[:rows*size]); err != nil {
			return fmt.Errorf("images %d to %d: %w", b.first, b.first+int64(len(b.items))-1, err)
		}
	}
	for i, item := range b.items {
		index := b.first + int64(i)
		if failure := b.failures[i]; failure != nil {
			b.records = append(b.records, Record{Index: index, Path: item.Path,
				Error: failure.Error()})
			continue
		}
		width := len(answer) / rows
		record, err := p.record(index, item.Path, answer[:width])
		if err != nil { // NaN, or a vector of another length
			record = Record{Index: index, Path: item.Path, Error: err.Error()}
		}
		b.records = append(b.records, record)
		answer = answer[width:]
		rows--
	}
	return nil
}

func (p *pipeline) infer(ctx context.Context, pixels []float32) ([]float32, error) {
	rows := int64(len(pixels) / stride(p.Model.Shape))
	in, err := tensor.New(append(tensor.Shape{rows}, p.Model.Shape...), pixels)
	if err != nil {
		return nil, err
	}
	out, err := p.Model.Run(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(out.Shape) < 2 || out.Shape[0] != rows {
		return nil, fmt.Errorf("expected an answer with %d rows, got the shape %v", rows, out.Shape)
	}
	return out.Float32s()
}

func (p *pipeline) record(index int64, path string, row []float32) (Record, error) {
	if p.Columns.hasVector() && len(row) != p.Columns.Length {
		return Record{}, fmt.Errorf("expected a vector of %d values, got %d", p.Columns.Length,
			len(row))
	}
	var vector []float32
	if p.Columns.hasVector() {
		vector = slices.Clone(row)
	}
	var top []labels.Prediction
	if p.Columns.hasTop() {
		var err error
		if top, err = labels.Top(row, p.Columns.Top, p.Model.Labels); err != nil {
			return Record{}, err
		}
	}
	return p.Columns.record(index, path, top, vector), nil
}

var errPoison = errors.New("crashed the process in native code; passed over")

// runBatch notes in the journal what is about to run, so that the next process knows what this one
// was at if it crashes.
func (p *pipeline) runBatch(ctx context.Context, number int64, pixels []float32) ([]float32,
	error) {
	p.native.RLock()
	defer p.native.RUnlock()
	if p.journal != nil {
		if err := p.journal.append(entry{Start: &number}); err != nil {
			return nil, err
		}
	}
	return p.infer(ctx, pixels)
}

// probe passes over the images known as poison. If this batch was running when the process crashed,
// each of its images first runs alone: the culprit crashes the process once more, and is known from
// then on.
func (p *pipeline) probe(ctx context.Context, b *batch) error {
	j, size := p.journal, stride(p.Model.Shape)
	if j == nil {
		return nil
	}
	for i := range b.items {
		if j.poison[b.first+int64(i)] {
			b.failures[i] = errPoison
		}
	}
	if !j.crashed[b.number] {
		return nil
	}
	p.native.Lock()
	defer p.native.Unlock()
	for i := range b.items {
		if b.failures[i] != nil {
			continue
		}
		index := b.first + int64(i)
		if err := j.append(entry{Probe: &index}); err != nil {
			return err
		}
		if _, err := p.infer(ctx, b.pixels[i*size:(i+1)*size]); err != nil {
			return fmt.Errorf("%s: %w", b.items[i].Path, err)
		}
	}
	return nil
}

func (p *pipeline) keepBatch(b *batch) error {
	// here, where the batches are in order: the first failure of the input is the one that stops
	// the run
	if p.OnError == StopOnError {
		for _, r := range b.records {
			if r.Error != "" {
				return fmt.Errorf("%s: %s", r.Path, r.Error)
			}
		}
	}
	if err := p.keep(b.number, b.records); err != nil {
		return err
	}
	for _, r := range b.records {
		if r.Error == "" {
			p.counts.Answered++
		} else {
			p.counts.Failed++
		}
	}
	if p.Progress != nil {
		p.Progress(p.counts)
	}
	return nil
}
