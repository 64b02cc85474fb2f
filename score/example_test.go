package score_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/score"
	"kerasrun/tensor"
)

// redOrGreen stands for a *runner.Model: it tells red images of one pixel from green ones.
type redOrGreen struct{}

func (redOrGreen) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{Manifest: &contract.Manifest{
		Inputs: []contract.Input{contract.Input1{
			Name: "images", DType: "float32", Height: 1, Width: 1, Channels: 3, Layout: "NHWC",
			ColorOrder: "RGB", Mode: "none", Resample: "nearest", Fit: "stretch",
		}.Input()},
		Outputs: map[string][]contract.Output{contract.DefaultSignature: {
			{Name: "probs", Kind: contract.Probabilities}}},
		Answer: "probs",
	}}
}

func (redOrGreen) Signature(key string) (savedmodel.Signature, error) {
	return savedmodel.Signature{
		Key: key,
		Inputs: map[string]savedmodel.TensorInfo{
			"images": {DType: tensor.Float32, Shape: tensor.Shape{-1, 1, 1, 3}},
		},
		Outputs: map[string]savedmodel.TensorInfo{
			"probs": {DType: tensor.Float32, Shape: tensor.Shape{-1, 2}},
		},
	}, nil
}

func (redOrGreen) Labels() labels.Labels {
	return labels.Labels{{ID: "l0", Name: "red"}, {ID: "l1", Name: "green"}}
}

func (redOrGreen) RunSignature(
	_ context.Context, _ string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	pixels, err := in["images"].Float32s()
	if err != nil {
		return nil, err
	}
	var probs []float32
	for rgb := range slices.Chunk(pixels, 3) {
		probs = append(probs, rgb[0]/255, rgb[1]/255)
	}
	out, err := tensor.New(tensor.Shape{in["images"].Shape[0], 2}, probs)
	return map[string]tensor.Tensor{"probs": out}, err
}

// A run over two files. What is left out of the Config has useful zero values.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "score")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for name, pixel := range map[string]color.NRGBA{
		"apple.png": {R: 255, A: 255}, "leaf.png": {G: 255, A: 255},
	} {
		img := image.NewNRGBA(image.Rect(0, 0, 1, 1))
		img.Set(0, 0, pixel)
		var file bytes.Buffer
		if err := png.Encode(&file, img); err != nil {
			fmt.Println(err)
			return
		}
		if err := os.WriteFile(filepath.Join(dir, name), file.Bytes(), 0o666); err != nil {
			fmt.Println(err)
			return
		}
	}
	source, _, err := score.Open(context.Background(), []string{dir}, score.InputOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	output := filepath.Join(dir, "scores.csv")
	summary, err := score.Run(context.Background(), score.Config{
		Model:   score.Model{Model: redOrGreen{}, ID: "red or green"},
		Source:  source,
		Output:  output,
		Columns: score.Columns{Top: 1},
	})
	fmt.Println(summary.Answered, summary.Failed, err)
	_, records, err := score.ReadOutput(output)
	if err != nil {
		fmt.Println(err)
		return
	}
	for r := range records {
		fmt.Println(filepath.Base(r.Path), r.Labels[0])
	}
	// Output:
	// 2 0 <nil>
	// apple.png red
	// leaf.png green
}
