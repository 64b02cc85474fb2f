package classify

import (
	"context"
	"iter"
	"os"
	"sync"
	"time"
)

// Image is one image of a stream.
type Image struct {
	Name  string // the caller's: a path, an address
	Index int64  // the caller's: the place in a larger whole
	// Read returns the bytes of the image's file. It is called once, from another goroutine.
	Read func() ([]byte, error)
	// Done, if not nil, is called when the bytes that Read returned are needed no more.
	Done func()
}

// Bytes is the image whose file has these bytes.
func Bytes(data []byte) Image {
	return Image{Read: func() ([]byte, error) { return data, nil }}
}

// File is the image in a file, named by its path.
func File(path string) Image {
	return Image{Name: path, Read: func() ([]byte, error) { return os.ReadFile(path) }}
}

// Result answers one image of a stream.
type Result struct {
	Image Image // without its Read and Done
	Answer
	Err error // why there is no answer: the image cannot be read or decoded, or a value is NaN
}

// Stream answers images as they come, and yields a Result for each, in their order, as soon as
// its batch was run. It holds no more than Options.Concurrency + 2 batches. An error is the last
// that is yielded: the context's cause, or the model's.
//
// The images are taken in another goroutine than the caller's, which has ended when Stream has:
// what waits for images should heed ctx too.
func (c *Classifier) Stream(
	ctx context.Context, top int, images iter.Seq[Image],
) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if err := checkTop(top); err != nil {
			yield(Result{}, err)
			return
		}
		run := func(ctx context.Context, b *Batch) error { return b.Run(ctx) }
		for b, err := range c.Batches(ctx, images, run) {
			if err != nil {
				yield(Result{}, err)
				return
			}
			for i, image := range b.Images {
				r := Result{Image: image, Err: b.Errors[i]}
				if r.Err == nil {
					r.Answer, r.Err = c.AnswerRow(b.Rows[i], top)
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// Batches cuts images into batches, decodes them in parallel, has run run each, and yields them in
// order, each until the next one is asked for. run is called from Options.Concurrency goroutines,
// with a batch that is decoded; it calls [Batch.Run]. Errors, memory and goroutines are those of
// Stream.
func (c *Classifier) Batches(
	ctx context.Context, images iter.Seq[Image], run func(context.Context, *Batch) error,
) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		s := c.newStream(run)
		defer s.close(cancel)
		s.goroutines.Go(func() { s.takeImages(ctx, images) })
		s.goroutines.Go(func() { s.cutBatches(ctx) })
		for {
			b, err := s.next(ctx)
			if b == nil && err == nil || !yield(b, err) || err != nil {
				return
			}
			b.reset()
			s.free <- b
		}
	}
}

// stream is one call of Batches.
type stream struct {
	classifier *Classifier
	run        func(context.Context, *Batch) error
	all        []*Batch
	free       chan *Batch   // to be filled
	images     chan Image    // to be put into a batch
	cut        chan *Batch   // in order; has room for all
	decoding   chan struct{} // holds one for each image that is read and decoded
	goroutines sync.WaitGroup
}

func (c *Classifier) newStream(run func(context.Context, *Batch) error) *stream {
	batches := c.options.Concurrency + 2 // one is filled and one is taken while the others run
	s := &stream{
		classifier: c, run: run,
		free: make(chan *Batch, batches), images: make(chan Image), cut: make(chan *Batch, batches),
		decoding: make(chan struct{}, c.options.Decoders.limits.Decoders),
	}
	for range batches {
		b := &Batch{classifier: c}
		b.reset()
		s.all = append(s.all, b)
		s.free <- b
	}
	return s
}

// close ends the stream's goroutines.
func (s *stream) close(cancel context.CancelFunc) {
	cancel()
	s.goroutines.Wait()
	for _, b := range s.all {
		b.release()
	}
}

// takeImages passes the images on, so that a wait for them can end.
func (s *stream) takeImages(ctx context.Context, images iter.Seq[Image]) {
	defer close(s.images)
	for image := range images {
		select {
		case s.images <- image:
		case <-ctx.Done():
			return
		}
	}
}

// cutBatches fills one batch after the other.
func (s *stream) cutBatches(ctx context.Context) {
	defer close(s.cut)
	for {
		select {
		case b := <-s.free:
			more := s.fill(ctx, b)
			if ctx.Err() != nil {
				return
			}
			if len(b.Images) > 0 {
				s.cut <- b
				s.goroutines.Go(func() { s.runBatch(ctx, b) })
			}
			if !more {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// fill puts images into a batch until it is full or has waited long enough, and has them decoded.
// It returns whether more may come.
func (s *stream) fill(ctx context.Context, b *Batch) bool {
	wait := s.classifier.options.MaxWait
	var late <-chan time.Time
	for len(b.Images) < s.classifier.options.BatchSize {
		select {
		case image, ok := <-s.images:
			if !ok {
				return false
			}
			if !s.decode(ctx, b, b.add(image)) {
				return false
			}
		case <-late:
			return true
		case <-ctx.Done():
			return false
		}
		if wait > 0 {
			late = time.After(wait)
		}
	}
	return true
}

// decode has an image decoded, and returns false where ctx ends first.
func (s *stream) decode(ctx context.Context, b *Batch, i int) bool {
	select {
	case s.decoding <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	slot, read, done := b.slots[i], b.Images[i].Read, b.Images[i].Done
	b.Images[i].Read, b.Images[i].Done = nil, nil // lets go of the bytes that they may hold
	b.decoded.Add(1)
	s.goroutines.Go(func() {
		defer b.decoded.Done()
		defer func() { <-s.decoding }()
		began := time.Now()
		slot.err = s.classifier.decode(ctx, slot, read)
		slot.took = time.Since(began)
		if done != nil {
			done()
		}
	})
	return true
}

// runBatch runs a batch when it is decoded.
func (s *stream) runBatch(ctx context.Context, b *Batch) {
	defer close(b.done)
	b.decoded.Wait()
	images := int64(len(b.Images))
	if b.err = s.classifier.running.Acquire(ctx, images); b.err != nil {
		return
	}
	defer s.classifier.running.Release(images)
	b.start()
	b.err = s.run(ctx, b)
}

// next returns the next batch when it was run; nil where there is none.
func (s *stream) next(ctx context.Context) (*Batch, error) {
	b, ok := <-s.cut
	if !ok {
		return nil, context.Cause(ctx)
	}
	<-b.done // soon, where ctx ends
	if b.err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return b, b.err
}
