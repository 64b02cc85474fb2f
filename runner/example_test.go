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

// A model that is no classifier of probabilities answers too: the answer's kind says which fields
// it has.
func ExampleModel_Answer() {
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
	answers, err := model.Answer(context.Background(), 3, photo)
	if err != nil {
		fmt.Println(err)
		return
	}
	switch a := answers[0]; {
	case a.Map != nil: // the class of each pixel
		fmt.Println(a.Map.Height, a.Map.Width, a.Map.Pixels())
	case a.Values.Data != nil: // of a regression or an embedding
		fmt.Println(a.Values.Shape, a.Values.Data)
	default: // probabilities, logits, binary or multilabel
		fmt.Println(a.Output, a.Kind, len(a.Predictions))
	}
	// Output: probs probabilities 3
}
