package golden_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"

	"kerasrun/golden"
)

func Example() {
	dir, err := os.MkdirTemp("", "pack")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// kerasrun-golden my.keras --pipeline load_img --mode tf --images photos --out DIR
	if err := makePack(dir, nil); err != nil {
		log.Fatal(err)
	}

	pack, err := golden.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	// of runner.Open("models/mine")
	report, err := golden.Verify(context.Background(), model{}, pack)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range report.Stages {
		fmt.Println(s.Name, s.Run, s.Cases, s.OK)
	}
	// Output:
	// decode  3 true
	// resize  3 true
	// tensor  3 true
	// pipeline  3 true
	// logits alone 3 true
	// logits batched 3 true
	// logits padded 3 true
	// logits across 3 true
	// probs alone 3 true
	// probs batched 3 true
	// probs padded 3 true
	// probs across 3 true
}

// In a service's own tests: the model opened as the service opens it, against the pack that its
// exporter wrote.
func ExampleTest() {
	testModel := func(t *testing.T) {
		golden.Test(t, model{}, "models/mine/assets.extra/goldens") // of runner.Open("models/mine")
	}
	_ = testModel
}
