package score_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kerasrun/labels"
	"kerasrun/score"
	"kerasrun/tensor"
)

// A model that finds a file's first byte, run over two files.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "score")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name+".jpg"), []byte(name), 0o666); err != nil {
			fmt.Println(err)
			return
		}
	}
	source, err := score.Open([]string{dir}, score.InputOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	model := score.Model{
		ID:     "first byte",
		Shape:  tensor.Shape{1, 1, 3},
		Labels: labels.Labels{{ID: "l0", Name: "an a"}, {ID: "l1", Name: "a b"}},
		Preprocess: func(dst []float32, image []byte) ([]float32, error) {
			return append(dst, float32(image[0]-'a'), 0, 0), nil
		},
		Run: func(_ context.Context, batch tensor.Tensor) (tensor.Tensor, error) {
			pixels, err := batch.Float32s()
			if err != nil {
				return tensor.Tensor{}, err
			}
			var probs []float32
			for image := range slices.Chunk(pixels, 3) {
				probs = append(probs, 1-image[0], image[0])
			}
			return tensor.New(tensor.Shape{batch.Shape[0], 2}, probs)
		},
	}
	output := filepath.Join(dir, "scores.csv")
	summary, err := score.Run(context.Background(), score.Config{
		Model: model, Source: source, Output: output, Batch: 32, Concurrency: 1, Workers: 2,
		OnError: score.RecordErrors,
		Columns: score.Columns{Top: 1, Labels: score.LabelName, Vector: score.Top},
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
	// a.jpg an a
	// b.jpg a b
}
