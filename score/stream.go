package score

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"golang.org/x/sync/semaphore"

	"kerasrun/classify"
)

// StreamConfig says how [Stream] answers.
type StreamConfig struct {
	Model   Model
	Columns Columns
	Column  string // of paths, of images' bytes, or of Hugging Face's {bytes, path}
	Batch   int    // images that run together: a record batch is cut after each so many; 0 is 32
	// Concurrency is how many batches run at once; 0 is 1, which suits a model on one device.
	Concurrency int
	Workers     int          // images that are read and decoded at once; 0 is GOMAXPROCS
	Warn        func(string) // told of images that killed a worker; may be nil
}

// Stream answers a table in Arrow's stream format with another. Each record batch of in is answered
// by one of out with as many rows in the same order, which is written at once and waits for no
// later one: a program may write the next when it has read the answer, or up to two before. The
// columns are those of a .parquet output, the index counted from 0 over the whole stream; path is
// null where the column holds bytes without one. An image that cannot be classified is a row with
// its error; a store that cannot be used at all ends the stream.
//
// It returns when in ends as Arrow's stream format does; one that is cut is an error. When it
// returns an error, a read of in may still be waiting, and a batch running. In memory are no more
// than Concurrency + 2 record batches.
func Stream(ctx context.Context, c StreamConfig, in io.Reader, out io.Writer) (Counts, error) {
	s, err := newStreamer(c)
	if err != nil {
		return Counts{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	buffered := bufio.NewWriterSize(out, 1<<16)
	w := newArrowWriter(buffered, s.recorder.schema)
	turns := make(chan chan []Record, max(c.Concurrency, 1))
	go func() {
		defer close(turns)
		index := int64(0)
		for items, err := range s.read(in, c.Column) {
			if err != nil {
				cancel(err)
				return
			}
			turn, first := make(chan []Record, 1), index
			index += int64(len(items))
			select {
			case turns <- turn:
			case <-ctx.Done():
				return
			}
			go func() {
				records, err := s.answer(ctx, first, items)
				if err != nil {
					cancel(err)
					return
				}
				turn <- records
			}()
		}
	}()
	for {
		var records []Record
		select {
		case turn, more := <-turns:
			if !more {
				if ctx.Err() != nil {
					return s.counts, context.Cause(ctx)
				}
				return s.counts, errors.Join(w.Close(), buffered.Flush())
			}
			select {
			case records = <-turn:
			case <-ctx.Done():
				return s.counts, context.Cause(ctx)
			}
		case <-ctx.Done():
			return s.counts, context.Cause(ctx)
		}
		if err := w.Write(records); err != nil {
			return s.counts, err
		}
		if err := buffered.Flush(); err != nil {
			return s.counts, err
		}
		s.count(records)
	}
}

// streamer is one call of [Stream].
type streamer struct{ pipeline }

func (s *streamer) count(records []Record) {
	s.counts.Images += int64(len(records))
	for _, r := range records {
		if r.Error == "" {
			s.counts.Answered++
		} else {
			s.counts.Failed++
		}
	}
}

func newStreamer(c StreamConfig) (*streamer, error) {
	// Of a run there is no source to be listed first.
	config, err := Config{Model: c.Model, Columns: c.Columns, Source: slices.Values([]Item(nil)),
		Batch: c.Batch, Concurrency: c.Concurrency, Workers: c.Workers, Warn: c.Warn}.complete()
	if err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	r, err := config.recorder(formatArrow)
	if err != nil {
		return nil, err
	}
	return &streamer{pipeline: pipeline{Config: config, recorder: r,
		bytes: semaphore.NewWeighted(MaxImageBytes)}}, nil
}

// read yields the images of each record batch. An error is the last that is yielded.
func (s *streamer) read(in io.Reader, column string) iter.Seq2[[]Item, error] {
	return func(yield func([]Item, error) bool) {
		end := &lastBytes{Reader: in}
		r, err := recovered(func() (*ipc.Reader, error) { return newArrowReader(end) })
		if err != nil {
			yield(nil, fmt.Errorf("expected Arrow's stream format: %w", err))
			return
		}
		defer r.Release()
		place, err := imageColumn(r.Schema(), column)
		if err != nil {
			yield(nil, &UsageError{err.Error()})
			return
		}
		for r.Next() {
			items, err := recovered(func() ([]Item, error) {
				if err := checkColumns(r.RecordBatch()); err != nil {
					return nil, err
				}
				return itemsOf(r.RecordBatch().Column(place), column)
			})
			if !yield(items, err) || err != nil {
				return
			}
		}
		if err := r.Err(); err != nil {
			yield(nil, err)
		} else if string(end.last) != streamEnd {
			yield(nil, errors.New("expected Arrow's stream format to its end mark, got a stream "+
				"that was cut: its writer ended or did not close it"))
		}
	}
}

// lastBytes remembers the end of what was read.
type lastBytes struct {
	io.Reader
	last []byte
}

func (r *lastBytes) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.last = append(r.last, p[:n]...)
	r.last = append(r.last[:0], r.last[max(len(r.last)-len(streamEnd), 0):]...)
	return n, err
}

// imageColumn is the place of the column of images or their paths.
func imageColumn(schema *arrow.Schema, column string) (int, error) {
	places, err := arrowPlaces(schema, []string{column}, func(_ int, f field) error {
		return checkImages(f)
	})
	if err != nil {
		return 0, err
	}
	return places[0], nil
}

// itemsOf are the images of a column, which need it no more.
func itemsOf(column arrow.Array, name string) ([]Item, error) {
	items := make([]Item, column.Len())
	for i := range items {
		value, err := arrowValue(column, i)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
		image, _ := value.(embedded)
		switch v := value.(type) {
		case string:
			image.path = v
		case []byte:
			image.data = v
		}
		switch {
		case image.data != nil:
			items[i] = bytesItem(image.path, bytes.Clone(image.data))
		case image.path != "":
			items[i] = File(image.path)
		default:
			items[i] = failedItem("", fmt.Errorf("expected an image or a path in the column %q, got none",
				name))
		}
	}
	return items, nil
}

// bytesItem is an image that is in memory. Its path may be "".
func bytesItem(path string, data []byte) Item {
	if err := checkSize(cmp.Or(path, "an image without a path"), int64(len(data))); err != nil {
		return failedItem(path, err)
	}
	return Item{Path: path, Size: int64(len(data)),
		Read: func() ([]byte, error) { return data, nil }}
}

// answer returns a record for each image of a record batch.
func (s *streamer) answer(ctx context.Context, first int64, items []Item) ([]Record, error) {
	var taken error
	images := func(yield func(classify.Image) bool) {
		opening := opening{pipeline: &s.pipeline, ctx: ctx, yield: yield}
		defer opening.close()
		for i, item := range items {
			var more bool
			if more, taken = opening.add(item, first+int64(i)); !more || taken != nil {
				return
			}
		}
		_, taken = opening.flush(0)
	}
	records := make([]Record, 0, len(items))
	for b, err := range s.recorder.classifier.Batches(ctx, images, s.runBatch) {
		if err == nil {
			err = storeErrorOf(b)
		}
		if err != nil {
			return nil, err
		}
		records = append(records, s.recorder.records(b)...)
	}
	if taken == nil && len(records) != len(items) {
		taken = fmt.Errorf("%d images in, %d rows out", len(items), len(records))
	}
	return records, taken
}
