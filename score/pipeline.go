package score

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"

	"kerasrun/classify"
	"kerasrun/worker"
)

// pipeline feeds a run's images to the classifier and keeps what comes back, batch by batch.
type pipeline struct {
	Config
	recorder *recorder
	inputs   inputDigest
	journal  *journal // nil for an output that is not resumed
	keep     func(batch int64, records []Record) error
	counts   Counts
	slowest  []Slow // of the images that this process has read
	// Batches run under the read lock. An image that may be poison runs under the write lock, alone
	// in the process.
	native sync.RWMutex
	// of the encoded images that were read and are not yet decoded
	bytes *semaphore.Weighted
	kept  sync.Map // of the images between their reading and their records: index to []any
}

func (p *pipeline) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.bytes = semaphore.NewWeighted(MaxImageBytes)
	if p.Progress != nil {
		p.Progress(p.counts)
	}
	for b, err := range p.recorder.classifier.Batches(ctx, p.images(ctx, stop), p.runBatch) {
		if err != nil {
			return err
		}
		if err := p.keepBatch(b); err != nil {
			return err
		}
	}
	return nil
}

// images yields the images of this shard's batches that are not yet answered. As these are whole,
// but for the last of the input, the classifier cuts its batches at the places where the run has
// them.
func (p *pipeline) images(
	ctx context.Context, stop context.CancelCauseFunc,
) iter.Seq[classify.Image] {
	return func(yield func(classify.Image) bool) {
		if err := p.eachImage(ctx, yield); err != nil {
			stop(err) // so that what was yielded of the last batch is not run
		}
	}
}

// eachImage stops where the source no longer has the paths that the input digest found: images
// under another index than theirs must not reach the journal.
func (p *pipeline) eachImage(
	ctx context.Context, yield func(classify.Image) bool,
) error {
	size, index := int64(p.Batch), int64(-1)
	paths := newPathHash()
	check := func() error {
		if number := index / size; number >= int64(len(p.inputs.batches)) ||
			paths.sum() != p.inputs.batches[number] {
			return fmt.Errorf(
				"the inputs are no longer those that the run began with, among images %d to %d",
				number*size, index)
		}
		return nil
	}
	opening := opening{pipeline: p, ctx: ctx, yield: yield}
	defer opening.close()
	for item := range p.Source {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		index++
		paths.add(item.Path, keptBytes(item.Kept))
		number := index / size
		if (index+1)%size == 0 {
			if err := check(); err != nil {
				return err
			}
		}
		if !p.Shard.has(number) || p.journal != nil && p.journal.done[number] {
			continue
		}
		if index%size == 0 {
			if err := p.note(entry{Read: &number}); err != nil {
				return err
			}
		}
		if more, err := opening.add(item, index); !more || err != nil {
			return err
		}
	}
	if more, err := opening.flush(0); !more || err != nil {
		return err
	}
	if (index+1)%size != 0 {
		if err := check(); err != nil {
			return err
		}
	}
	if index+1 != p.inputs.images {
		return fmt.Errorf("the inputs held %d images when the run began, and now hold %d",
			p.inputs.images, index+1)
	}
	return nil
}

// take has the item wait, before it is read, until there is room for its bytes. Items wait here, in
// their order, so that none can hold what an earlier one waits for.
func (p *pipeline) take(ctx context.Context, item Item, index int64) (classify.Image, error) {
	size := min(max(item.Size, 0), MaxImageBytes)
	if err := p.bytes.Acquire(ctx, size); err != nil {
		return classify.Image{}, err
	}
	if size > MaxImageBytes/8 {
		runtime.GC() // what the last such image took may go to this one
	}
	if item.Kept != nil {
		p.kept.Store(index, item.Kept)
	}
	image, err := p.read(item, index)
	image.Done = func() { p.bytes.Release(size) }
	return image, err
}

// read is [Item.image]. An image of a batch that crashed the process is first read and decoded
// alone, so that the next process knows which one it was if it crashes again.
func (p *pipeline) read(item Item, index int64) (classify.Image, error) {
	j := p.journal
	switch {
	case j == nil || !j.crashed[index/int64(p.Batch)]:
		return item.image(index), nil
	case j.poison[index] != nil:
		fail := func() ([]byte, error) { return nil, j.poison[index] }
		return classify.Image{Name: item.Path, Index: index, Read: fail}, nil
	}
	p.native.Lock()
	defer p.native.Unlock()
	if err := j.append(entry{Probe: &index}); err != nil {
		return classify.Image{}, err
	}
	image := item.image(index)
	data, err := image.Read()
	if err == nil {
		p.recorder.classifier.TryDecode(data)
	}
	image.Read = func() ([]byte, error) { return data, err }
	none := int64(-1)
	return image, j.append(entry{Probe: &none})
}

// image is the item as the classifier reads it. A streamed one is read now.
func (i Item) image(index int64) classify.Image {
	image := classify.Image{Name: i.Path, Index: index, Read: i.Read}
	if i.Streamed {
		data, err := i.Read()
		image.Read = func() ([]byte, error) { return data, err }
	}
	return image
}

var errPoison = errors.New("crashed the process; passed over")

// runBatch runs a batch. It notes in the journal what is about to run, so that the next process
// knows what this one was at if it crashes.
func (p *pipeline) runBatch(ctx context.Context, b *classify.Batch) error {
	first, last := b.Images[0].Index, b.Images[len(b.Images)-1].Index
	number := first / int64(p.Batch)
	if err := p.probe(ctx, number, b); err != nil {
		return err
	}
	if b.Good() == 0 {
		return nil
	}
	err := p.runTogether(ctx, number, b)
	if died := (*worker.DiedError)(nil); errors.As(err, &died) {
		err = p.findCulprit(ctx, b)
	}
	if err != nil {
		return fmt.Errorf("images %d to %d: %w", first, last, err)
	}
	return nil
}

func (p *pipeline) runTogether(ctx context.Context, number int64, b *classify.Batch) error {
	p.native.RLock()
	defer p.native.RUnlock()
	if err := p.note(entry{Start: &number}); err != nil {
		return err
	}
	return b.Run(ctx)
}

// probe passes over the images known as poison. If this batch was running when the process crashed,
// each of its images first runs alone: the culprit crashes the process once more, and is known from
// then on.
func (p *pipeline) probe(ctx context.Context, number int64, b *classify.Batch) error {
	j := p.journal
	if j == nil {
		return nil
	}
	for i, image := range b.Images {
		if err := j.poison[image.Index]; err != nil {
			b.Errors[i] = err
		}
	}
	if !j.crashed[number] {
		return nil
	}
	p.native.Lock()
	defer p.native.Unlock()
	return p.runEachAlone(ctx, b)
}

func (p *pipeline) keepBatch(b *classify.Batch) error {
	if err := storeErrorOf(b); err != nil {
		return err
	}
	records := p.recorder.records(b)
	for i, r := range records {
		kept, _ := p.kept.LoadAndDelete(r.Index)
		if records[i].Kept, _ = kept.([]any); kept == nil {
			records[i].Kept = make([]any, len(p.Kept))
		}
	}
	// here, where the batches are in order: the first failure of the input is the one that stops
	// the run
	if p.OnError == StopOnError {
		for _, r := range records {
			if r.Error != "" {
				return fmt.Errorf("%s: %s", r.Path, r.Error)
			}
		}
	}
	counts := p.counts
	for _, r := range records {
		if r.Error == "" {
			counts.Answered++
		} else {
			counts.Failed++
		}
	}
	// A batch that is too many is not kept: the next process tries its images again.
	if err := p.checkFailures(counts); err != nil {
		for _, r := range records {
			if r.Error != "" {
				return fmt.Errorf("%w; the last: %s: %s", err, r.Path, r.Error)
			}
		}
	}
	if err := p.keep(b.Images[0].Index/int64(p.Batch), records); err != nil {
		return err
	}
	p.counts = counts
	for i, took := range b.Took {
		p.slowest = append(p.slowest, Slow{records[i].Path, took.Seconds()})
	}
	p.slowest = slowest(p.slowest)
	if p.Progress != nil {
		p.Progress(p.counts)
	}
	return nil
}
