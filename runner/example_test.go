package runner_test

import (
	"context"
	"fmt"
	"os"

	"kerasrun/runner"
)

func ExampleOpen() {
	model, err := runner.Open("../models/resnext50")
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
	for _, p := range rows[0] {
		fmt.Printf("%s %s %.3f\n", p.ID, p.Name, p.Probability)
	}
}
