package runner

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"kerasrun/tensor"
)

// halves returns how many rows a CPU computes as two halves at a time, 0 where it is better or safer not to. While one half goes from an
// operation to the next or waits for the last of its threads, the other computes. The exporter refuses models whose rows depend on each other.
func (m *Model) halves(s *signature, in map[string]tensor.Tensor) (rows int64) {
	// Two first runs would optimise the graph twice, in memory of several times its size each.
	if m.devices[0] != "cpu" || m.directory.Manifest == nil || !s.calls[0].ran.Load() {
		return 0
	}
	for name, t := range in {
		if s.Inputs[name].Shape[0] != -1 || rows != 0 && t.Shape[0] != rows {
			return 0
		}
		rows = t.Shape[0]
	}
	for _, out := range s.Outputs {
		if len(out.Shape) == 0 || out.Shape[0] != -1 {
			return 0
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if rows < 2 || m.running[0] > 0 { // another run fills the gaps already
		return 0
	}
	return rows
}

// runHalved computes a signature's outputs of the first and of the second half of the rows at the same time.
func (m *Model) runHalved(ctx context.Context, s *signature, in map[string]tensor.Tensor, rows int64) (map[string]tensor.Tensor, error) {
	var answers [2]map[string]tensor.Tensor
	var group errgroup.Group
	for i, bounds := range [][2]int64{{0, rows / 2}, {rows / 2, rows}} {
		group.Go(func() error {
			half, err := tensor.RowsOfAll(in, bounds[0], bounds[1])
			if err != nil {
				return fmt.Errorf("runner: signature %s: %w", s.Key, err)
			}
			answers[i], err = m.runTensors(ctx, s, half)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	whole := make(map[string]tensor.Tensor, len(s.Outputs))
	for name := range s.Outputs {
		var err error
		if whole[name], err = tensor.Concat([]tensor.Tensor{answers[0][name], answers[1][name]}); err != nil {
			return nil, fmt.Errorf("runner: output %q: %w", name, err)
		}
	}
	return whole, nil
}
