package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"kerasrun/labels"
	"kerasrun/runner/internal/session"
	"kerasrun/tensor"
)

// probabilities is the output that the exporter gives the classes' probabilities.
const probabilities = "probs"

// The most pictures that Classify runs at a time. A CPU gains nothing from more; a GPU's many more units need them.
const (
	batchSizeCPU = 32
	batchSizeGPU = 128
)

// BatchSize returns how many pictures Classify runs at a time at most, on one device. A few times as many in one call keep all
// devices busy while further ones are prepared.
func (m *Model) BatchSize() int {
	if m.devices[0] == "cpu" {
		return batchSizeCPU
	}
	return batchSizeGPU
}

// Classify decodes pictures (the bytes of JPEG, PNG, GIF, BMP or WebP files), prepares them as the model's manifest says, and returns
// the top most probable classes of each, best first, as Keras's decode_predictions does. A picture that cannot be decoded has no row
// (nil), and an *ImageError joined into the error, which takes nothing from the others. Any other error ends Classify: no rows then.
//
// The pictures are run in batches of at most BatchSize, and while one is computed the next is prepared.
func (m *Model) Classify(ctx context.Context, top int, images ...[]byte) ([][]labels.Prediction, error) {
	s, err := m.signature(m.key)
	if err != nil {
		return nil, err
	}
	if err := m.classifies(s); err != nil {
		return nil, err
	}
	if top < 1 {
		return nil, fmt.Errorf("top: want at least 1, got %d", top)
	}
	rows, faults := make([][]labels.Prediction, len(images)), make([]error, len(images))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(1 + len(m.devices))
	size := m.BatchSize()
	if m.devices[0] == "cpu" {
		size = min(size, microBatchRows())
	}
	for at := 0; at < len(images); at += size {
		end := min(at+size, len(images))
		group.Go(func() error { return m.classify(ctx, s, top, images[at:end], rows[at:end], faults[at:end]) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, fault := range faults {
		if fault != nil {
			faults[i] = &ImageError{i, fault}
		}
	}
	return rows, errors.Join(faults...)
}

// classifies returns an error unless the signature goes from pictures to probabilities.
func (m *Model) classifies(s *signature) error {
	if m.pipeline == nil {
		return fmt.Errorf("signature %s: the manifest does not say how to make its input of a picture", s.Key)
	}
	if _, ok := s.Inputs[m.directory.Manifest.Input.Name]; !ok || len(s.Inputs) != 1 {
		return fmt.Errorf("signature %s: want the input %q alone, got %q", s.Key, m.directory.Manifest.Input.Name, s.calls[0].inputs)
	}
	if out, ok := s.Outputs[probabilities]; !ok || out.DType != tensor.Float32 {
		return fmt.Errorf("signature %s: want an output %q of float32 to classify, got %q", s.Key, probabilities, s.calls[0].outputs)
	}
	return nil
}

// classify answers one batch.
func (m *Model) classify(ctx context.Context, s *signature, top int, images [][]byte, rows [][]labels.Prediction, faults []error) error {
	batch, good, err := m.prepare(ctx, images, faults)
	if err != nil {
		return err
	}
	if len(good) == 0 {
		batch.Free()
		return nil
	}
	shape := tensor.Shape{int64(len(good)), int64(m.pipeline.Height), int64(m.pipeline.Width), 3}
	fed := false
	out, err := m.run(ctx, s, func([]string) ([]*session.Tensor, error) {
		fed = true
		return []*session.Tensor{batch.Tensor(tensor.Float32, shape, len(good)*m.pictureBytes())}, nil
	})
	if !fed {
		batch.Free()
	}
	if err != nil {
		return err
	}
	probs, err := out[probabilities].Float32s()
	if err != nil {
		return fmt.Errorf("output %q: %w", probabilities, err)
	}
	got := out[probabilities].Shape
	if len(got) != 2 || got[0] != int64(len(good)) {
		return fmt.Errorf("output %q: want a row of probabilities a picture, %d of them, got %v", probabilities, len(good), got)
	}
	classes := int(got[1])
	for row, i := range good {
		if rows[i], err = labels.Top(probs[row*classes:(row+1)*classes], top, m.labels); err != nil {
			return fmt.Errorf("output %q: %w", probabilities, err)
		}
	}
	return nil
}

func (m *Model) pictureBytes() int { return m.pipeline.Height * m.pipeline.Width * 3 * 4 }

// prepare makes the tensors of the pictures, one behind the other, in memory that TensorFlow can take as it is. It returns the
// indices of the good pictures, in the order of their tensors, and sets the others' faults.
func (m *Model) prepare(ctx context.Context, images [][]byte, faults []error) (batch session.Buffer, good []int, err error) {
	size := m.pictureBytes()
	batch, err = session.NewBuffer(int64(len(images)) * int64(size))
	if err != nil {
		return batch, nil, fmt.Errorf("%w", err)
	}
	place := func(i int) []float32 { return batch.Float32s()[i*size/4 : (i+1)*size/4] }
	next, workers := make(chan int), sync.WaitGroup{}
	for range min(len(images), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := range next {
				_, faults[i] = m.pipeline.Append(place(i)[:0], images[i])
			}
		})
	}
	for i := range images {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	if err := ctx.Err(); err != nil {
		batch.Free()
		return session.Buffer{}, nil, err
	}
	for i := range images {
		if faults[i] == nil {
			if len(good) < i {
				copy(place(len(good)), place(i))
			}
			good = append(good, i)
		}
	}
	return batch, slices.Clip(good), nil
}
