package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kerasrun/runner"
	"kerasrun/tensor"
)

// benchmark measures a model on a few images, taken round and round.
type benchmark struct {
	model   *runner.Model
	input   string
	shape   tensor.Shape // of one image
	paths   []string
	tensors [][]float32 // of the images, preprocessed
	devices int
	span    time.Duration
}

func newBenchmark(
	ctx context.Context, m *runner.Model, images string, span time.Duration,
) (*benchmark, error) {
	p := m.Pipeline()
	if p == nil {
		return nil, errors.New("expected a model whose manifest says how images are preprocessed")
	}
	if p.DType != tensor.Float32 || p.Width == 0 {
		return nil, fmt.Errorf("expected a model of float32 images of one size, got %v", p)
	}
	b := &benchmark{
		model: m, input: m.SavedModel().Manifest.Image().Name,
		shape:   p.Shape(),
		devices: len(m.Devices()), span: span,
	}
	for path, err := range walkImages(ctx, []string{images}, nil) {
		if err != nil {
			return nil, err
		}
		image, err := readImage(ctx, path, nil)
		if err != nil {
			return nil, err
		}
		decoded, err := p.Image(image)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		values, err := p.AppendFloat32(nil, decoded)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		b.paths, b.tensors = append(b.paths, path), append(b.tensors, values)
	}
	return b, nil
}

// measure fills in what is measured of one batch size.
func (b *benchmark) measure(ctx context.Context, batch int, r *benchmarkResult) error {
	r.Batch = batch
	alone, err := b.fromTensor(ctx, batch)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := alone(0); err != nil {
		return err
	}
	r.FirstRunMS = milliseconds(time.Since(start))
	if r.throughput, err = b.repeat(batch, b.devices, alone); err != nil {
		return err
	}
	r.EndToEnd, err = b.repeat(batch, b.devices+1, b.fromFiles(ctx, batch))
	r.PeakRSSBytes = peakRSS()
	return err
}

// fromTensor returns a run of the model only.
func (b *benchmark) fromTensor(ctx context.Context, batch int) (run func(int) error, err error) {
	data := make([]float32, 0, batch*len(b.tensors[0]))
	for i := range batch {
		data = append(data, b.tensors[i%len(b.tensors)]...)
	}
	images, err := tensor.New(slices.Concat(tensor.Shape{int64(batch)}, b.shape), data)
	if err != nil {
		return nil, err
	}
	in := map[string]tensor.Tensor{b.input: images}
	return func(int) error {
		_, err := b.model.Run(ctx, in)
		return err
	}, nil
}

// fromFiles returns a run from image files to their top 5 classes.
func (b *benchmark) fromFiles(ctx context.Context, batch int) func(run int) error {
	return func(run int) error {
		files := make([][]byte, batch)
		for i := range files {
			var err error
			path := b.paths[(run*batch+i)%len(b.paths)]
			if files[i], err = readImage(ctx, path, nil); err != nil {
				return err
			}
		}
		_, err := b.model.Classify(ctx, 5, files...)
		return err
	}
}

// repeat keeps inFlight runs going at a time, for a warm-up that is not counted and then for the
// measurement.
func (b *benchmark) repeat(batch, inFlight int, run func(i int) error) (throughput, error) {
	if _, _, err := runFor(b.span/5, 1, inFlight, run); err != nil {
		return throughput{}, err
	}
	runs, elapsed, err := runFor(b.span, 5, inFlight, run)
	if err != nil {
		return throughput{}, err
	}
	sorted := slices.Sorted(slices.Values(runs))
	return throughput{
		ImagesPerSecond: float64(len(runs)*batch) / elapsed.Seconds(),
		LatencyMS: latency{
			percentile(sorted, 0.50), percentile(sorted, 0.95), percentile(sorted, 0.99),
		},
		RunsMS: runs,
	}, nil
}

// runFor starts runs until the time is over and at least minRuns have started. It returns what each
// took, in milliseconds, in the order of their ends, and the time until the last of them.
func runFor(
	span time.Duration, minRuns, inFlight int, run func(i int) error,
) ([]float64, time.Duration, error) {
	var mu sync.Mutex
	var runs []float64
	started := 0
	begin := time.Now()
	next := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(begin) >= span && started >= minRuns {
			return 0, false
		}
		started++
		return started - 1, true
	}
	var group errgroup.Group
	for range inFlight {
		group.Go(func() error {
			for i, ok := next(); ok; i, ok = next() {
				start := time.Now()
				if err := run(i); err != nil {
					return err
				}
				took := milliseconds(time.Since(start))
				mu.Lock()
				runs = append(runs, took)
				mu.Unlock()
			}
			return nil
		})
	}
	err := group.Wait()
	return runs, time.Since(begin), err
}

// percentile is the smallest of the sorted values that at least the share q of them do not exceed.
func percentile(sorted []float64, q float64) float64 {
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
