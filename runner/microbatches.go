package runner

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"kerasrun/tensor"
)

// rowsPerCPU is how many rows a micro-batch has for each CPU. Fewer lose to the threads' waking;
// more gain no time, and cost their activations' memory.
const rowsPerCPU = 2

// microBatchRows is how many rows a CPU computes at a time, at most.
func microBatchRows() int { return rowsPerCPU * cpus() }

// microBatches says how a batch of so many rows is computed: as how many micro-batches, and how
// many of them at a time.
type microBatches struct {
	rows, count int64
	concurrency int
}

// whole is a batch that is computed as it is.
var whole = microBatches{count: 1, concurrency: 1}

// microBatches divides a batch for the CPU. Of two micro-batches at a time one computes while the
// other goes from an operation to the next or waits for the last of its threads. Rows are divided
// only where they do not depend on each other, as the exporter makes sure of its models.
func (m *Model) microBatches(s *signature, in map[string]tensor.Tensor) microBatches {
	if m.devices[0] != "cpu" || m.directory.Manifest == nil {
		return whole
	}
	rows := int64(0)
	for name, t := range in {
		shape := s.Inputs[name].Shape // an adopted SavedModel's may not be known
		if len(shape) == 0 || shape[0] != -1 || rows != 0 && t.Shape[0] != rows {
			return whole
		}
		rows = t.Shape[0]
	}
	for _, out := range s.Outputs {
		if len(out.Shape) == 0 || out.Shape[0] != -1 {
			return whole
		}
	}
	size := int64(microBatchRows())
	count := (rows + size - 1) / size
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running[0] > 0 { // another run fills the gaps already
		return microBatches{rows, count, 1}
	}
	return microBatches{rows, min(rows, count+count%2), 2}
}

// runMicroBatches computes a signature's outputs of a batch in micro-batches.
func (m *Model) runMicroBatches(ctx context.Context, s *signature, in map[string]tensor.Tensor,
	b microBatches) (map[string]tensor.Tensor, error) {
	results := make([]map[string]tensor.Tensor, b.count)
	var group errgroup.Group
	group.SetLimit(b.concurrency)
	for i := range b.count {
		group.Go(func() error {
			rows, err := tensor.RowsOfAll(in, i*b.rows/b.count, (i+1)*b.rows/b.count)
			if err != nil {
				return fmt.Errorf("signature %s: %w", s.Key, err)
			}
			results[i], err = m.runTensors(ctx, s, rows)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	outputs := make(map[string]tensor.Tensor, len(s.Outputs))
	for name := range s.Outputs {
		rows := make([]tensor.Tensor, b.count)
		for i, result := range results {
			rows[i] = result[name]
		}
		var err error
		if outputs[name], err = tensor.Concat(rows); err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
	}
	return outputs, nil
}
