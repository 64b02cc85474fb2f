// Kerasrun is ours in the comparison: a Go program on package runner, alive as long as its peers
// are.
//
//	kerasrun IMAGES.f32 BATCH DIR PRECISION
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"

	"gopeers/turns"

	"kerasrun/runner"
	_ "kerasrun/runner/preinit"
	"kerasrun/tensor"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kerasrun:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("expected four arguments, got %q", args)
	}
	images, err := turns.Images(args[0])
	if err != nil {
		return err
	}
	batch, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return turns.Serve(batch, func() (turns.Predict, error) {
		return open(args[2], args[3], images, batch)
	})
}

func open(dir, precision string, images []float32, batch int) (turns.Predict, error) {
	model, err := runner.Open(context.Background(), dir,
		runner.WithPrecision(runner.Precision(precision)))
	if err != nil {
		return nil, err
	}
	in := model.SavedModel().Manifest.Image()
	shape := slices.Clone(in.Shape)
	shape[0] = int64(batch)
	x, err := tensor.New(shape, images)
	if err != nil {
		return nil, err
	}
	return func() ([]float32, error) {
		out, err := model.Run(context.Background(), map[string]tensor.Tensor{in.Name: x})
		if err != nil {
			return nil, err
		}
		return out["probs"].Float32s()
	}, nil
}
