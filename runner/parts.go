package runner

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"kerasrun/tensor"
)

// rowsPerCPU is how many rows a part has for each CPU. Fewer lose to the threads' waking; more gain no time, and cost their activations' memory.
const rowsPerCPU = 2

// partRows is how many rows a CPU computes in one piece, at most.
func partRows() int { return rowsPerCPU * cpus() }

// parts says how a CPU computes a batch: as how many parts, and how many of them at a time. With two at a time one computes while the other
// goes from an operation to the next or waits for the last of its threads. One part is the batch whole. Rows are parted only where they do not
// depend on each other, as the exporter makes sure of its models.
func (m *Model) parts(s *signature, in map[string]tensor.Tensor) (rows, parts int64, atATime int) {
	if m.devices[0] != "cpu" || m.directory.Manifest == nil {
		return 0, 1, 1
	}
	for name, t := range in {
		if s.Inputs[name].Shape[0] != -1 || rows != 0 && t.Shape[0] != rows {
			return 0, 1, 1
		}
		rows = t.Shape[0]
	}
	for _, out := range s.Outputs {
		if len(out.Shape) == 0 || out.Shape[0] != -1 {
			return 0, 1, 1
		}
	}
	size := int64(partRows())
	parts = (rows + size - 1) / size
	m.mu.Lock()
	defer m.mu.Unlock()
	// Another run fills the gaps already. And two first runs would optimise the graph twice, in memory of several times its size each.
	if m.running[0] > 0 || !s.calls[0].ran.Load() {
		return rows, parts, 1
	}
	return rows, min(rows, parts+parts%2), 2
}

// runParts computes a signature's outputs of a batch's rows in parts.
func (m *Model) runParts(ctx context.Context, s *signature, in map[string]tensor.Tensor, rows, parts int64, atATime int) (map[string]tensor.Tensor, error) {
	answers := make([]map[string]tensor.Tensor, parts)
	var group errgroup.Group
	group.SetLimit(atATime)
	for i := range parts {
		group.Go(func() error {
			part, err := tensor.RowsOfAll(in, i*rows/parts, (i+1)*rows/parts)
			if err != nil {
				return fmt.Errorf("runner: signature %s: %w", s.Key, err)
			}
			answers[i], err = m.runTensors(ctx, s, part)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	whole := make(map[string]tensor.Tensor, len(s.Outputs))
	for name := range s.Outputs {
		outputs := make([]tensor.Tensor, parts)
		for i, answer := range answers {
			outputs[i] = answer[name]
		}
		var err error
		if whole[name], err = tensor.Concat(outputs); err != nil {
			return nil, fmt.Errorf("runner: output %q: %w", name, err)
		}
	}
	return whole, nil
}
