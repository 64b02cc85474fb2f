package batch_test

import (
	"context"
	"fmt"
	"sync"

	"kerasrun/batch"
	"kerasrun/tensor"
)

// Eight callers, each with one row, share the runs of one model.
func Example() {
	double := func(_ context.Context,
		in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
		x, err := in["x"].Float32s()
		if err != nil {
			return nil, err
		}
		y := make([]float32, len(x))
		for i := range x {
			y[i] = 2 * x[i]
		}
		out, err := tensor.New(in["x"].Shape, y)
		return map[string]tensor.Tensor{"y": out}, err
	}
	b, err := batch.New(double, batch.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	answers := make([]any, 8)
	var callers sync.WaitGroup
	for i := range answers {
		callers.Go(func() {
			x, _ := tensor.New(tensor.Shape{1}, []float32{float32(i)})
			r, err := b.Run(context.Background(), map[string]tensor.Tensor{"x": x})
			if err != nil {
				answers[i] = err
				return
			}
			answers[i] = r.Outputs["y"].Data
		})
	}
	callers.Wait()
	fmt.Println(answers...)
	// Output: [0] [2] [4] [6] [8] [10] [12] [14]
}
