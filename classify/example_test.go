package classify_test

import (
	"context"
	"fmt"
	"slices"

	"kerasrun/classify"
)

// The fake stands for a *runner.Model: anything that runs tensors and says what it takes.
func Example() {
	c, err := classify.New(newFake(), classify.Options{BatchSize: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	red, teal := colored(200, 0, 0), colored(0, 150, 50)
	rows, err := c.Classify(context.Background(), 1, red, teal)
	fmt.Println(rows[0][0].Name, rows[1][0].Name, err)
	// Output:
	// red green <nil>
}

// A stream may be without end. What is wrong with one image is that image's result.
func ExampleClassifier_Stream() {
	c, err := classify.New(newFake(), classify.Options{BatchSize: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	images := slices.Values([]classify.Image{
		classify.Bytes(colored(200, 0, 0)),
		classify.File("missing.jpg"),
		classify.Bytes(colored(0, 150, 50)),
	})
	for result, err := range c.Stream(context.Background(), 1, images) {
		switch {
		case err != nil: // nothing comes after it
			fmt.Println(err)
		case result.Err != nil:
			fmt.Println(result.Err)
		default:
			fmt.Printf("%s %.2f\n", result.Predictions[0].Name, result.Predictions[0].Probability)
		}
	}
	// Output:
	// red 1.00
	// open missing.jpg: no such file or directory
	// green 0.75
}
