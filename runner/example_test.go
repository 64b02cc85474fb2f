package runner_test

import (
	"context"
	"fmt"
	"os"

	"kerasrun/runner"
)

func ExampleOpen() {
	model, err := runner.Open(context.Background(), "../models/resnext50")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()
	photo, err := os.ReadFile("../testdata/photos/cat.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	rows, err := model.Classify(context.Background(), 5, photo)
	if err != nil {
		fmt.Println(err)
		return
	}
	best := rows[0][0] // with its ID, Name and Probability
	fmt.Println(len(rows[0]), "predictions of", len(model.Labels()), "classes;",
		best.Name == model.Labels()[best.Index].Name)
	// Output: 5 predictions of 1000 classes; true
}
