package golden

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// batchSize is how many cases are read, and go into one batch, at a time.
const batchSize = 32

// batchBytes is after how many bytes of inputs and outputs no more cases are read: a pack may have
// a gigabyte of zeros in few bytes for each.
const batchBytes = 1 << 30

// How an output was computed; across is the largest difference between the other three.
const (
	alone   = "alone"
	batched = "batched"
	padded  = "padded"
	across  = "across"
)

// padding marks a row that holds no case.
const padding = -1

// layouts returns the runs that compute n cases in one of the three ways: for each run the case, or
// padding, in each row. A model of a fixed batch takes so many rows; fixed is 0 where it takes any.
func layouts(how string, n, fixed int) (runs [][]int) {
	switch how {
	case alone:
		for i := range n {
			runs = append(runs, slices.Repeat([]int{i}, max(fixed, 1)))
		}
		return runs
	case batched:
		var rows []int
		for i := range n {
			rows = append(rows, i)
		}
		for fixed > 0 && len(rows)%fixed != 0 {
			rows = append(rows, len(rows)%n)
		}
		return chunks(rows, fixed)
	default:
		var rows []int
		for i := n - 1; i >= 0; i-- { // the last case first, padding before and after each
			rows = append(rows, padding, i)
		}
		rows = append(rows, padding)
		for fixed > 0 && len(rows)%fixed != 0 {
			rows = append(rows, padding)
		}
		return slices.DeleteFunc(chunks(rows, fixed), func(run []int) bool {
			return !slices.ContainsFunc(run, func(c int) bool { return c != padding })
		})
	}
}

// chunks cuts rows into runs of a fixed size; 0 is one run.
func chunks(rows []int, fixed int) [][]int {
	if fixed == 0 {
		return [][]int{rows}
	}
	return slices.Collect(slices.Chunk(rows, fixed))
}

// groups puts the cases together whose tensors have the same shapes, in their order.
func groups(batch []*references, inputs []string) (found [][]*references) {
	at := map[string]int{}
	for _, r := range batch {
		var key strings.Builder
		for _, name := range inputs {
			fmt.Fprintln(&key, r.inputs[name].Shape)
		}
		i, ok := at[key.String()]
		if !ok {
			i = len(found)
			at[key.String()] = i
			found = append(found, nil)
		}
		found[i] = append(found[i], r)
	}
	return found
}

// answers are the outputs of cases, in the order of Pack.Outputs and without the batch dimension.
// One that could not be computed has no Data.
type answers [][]tensor.Tensor

// run computes a group's outputs alone, batched or padded. What could not be computed has failed
// its stage. The error is that of an ended context.
func (v *verification) run(ctx context.Context, how string, group []*references) (answers, error) {
	found := make(answers, len(group))
	for _, rows := range layouts(how, len(group), v.pack.batch()) {
		if err := v.compute(ctx, how, group, rows, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// compute runs the model once, with a case or padding in each row, into found.
func (v *verification) compute(
	ctx context.Context, how string, group []*references, rows []int, found answers,
) error {
	in := map[string]tensor.Tensor{}
	var err error
	for _, input := range v.pack.Inputs {
		if in[input.Name], err = stack(group, input.Name, rows); err != nil {
			break
		}
	}
	var out map[string]tensor.Tensor
	if err == nil {
		out, err = v.model.RunSignature(ctx, v.pack.Signature, in)
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	for row, c := range rows {
		if c == padding || found[c] != nil {
			continue
		}
		r := group[c]
		found[c] = make([]tensor.Tensor, len(v.pack.Outputs))
		for o, name := range v.pack.Outputs {
			s := v.stage(name, how)
			s.Cases++
			wrong := err
			if err == nil {
				found[c][o], wrong = outputRow(out, name, row, len(rows), r.outputs[o])
			}
			if wrong != nil {
				s.fail(r.name, wrong)
			}
		}
	}
	return nil
}

// stack makes a batch of an input's tensors. Padding is zeros; for strings, which are images, it is
// the group's first.
func stack(group []*references, name string, rows []int) (tensor.Tensor, error) {
	one := func(t tensor.Tensor) tensor.Tensor {
		t.Shape = slices.Concat(tensor.Shape{1}, t.Shape)
		return t
	}
	first := group[0].inputs[name]
	empty := one(first)
	if first.DType != tensor.String {
		raw, err := first.Bytes()
		if err != nil {
			return tensor.Tensor{}, err
		}
		empty, err = tensor.FromBytes(first.DType, empty.Shape, make([]byte, len(raw)))
		if err != nil {
			return tensor.Tensor{}, err
		}
	}
	tensors := make([]tensor.Tensor, len(rows))
	for row, c := range rows {
		tensors[row] = empty
		if c != padding {
			tensors[row] = one(group[c].inputs[name])
		}
	}
	return tensor.Concat(tensors)
}

// outputRow takes one row of the output called name, which must be size rows like want.
func outputRow(out map[string]tensor.Tensor, name string, row, size int,
	want tensor.Tensor) (tensor.Tensor, error) {
	t, ok := out[name]
	if !ok {
		return tensor.Tensor{}, fmt.Errorf("expected an output %q, got none", name)
	}
	shape := slices.Concat(tensor.Shape{int64(size)}, want.Shape)
	if t.DType != want.DType || !slices.Equal(shape, t.Shape) {
		return tensor.Tensor{}, fmt.Errorf("expected an output of %v %v, got %v %v", want.DType,
			shape, t.DType, t.Shape)
	}
	t, err := t.Rows(int64(row), int64(row)+1)
	if err != nil {
		return tensor.Tensor{}, err
	}
	t.Shape = t.Shape[1:]
	return t, nil
}
