package labels_test

import (
	"fmt"
	"log"
	"strings"

	"kerasrun/labels"
)

func Example() {
	classes, err := labels.Read(strings.NewReader(
		`{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"], "2": ["n01494475", "ray"]}`))
	if err != nil {
		log.Fatal(err)
	}
	top, err := labels.Top([]float32{0.1, 0.7, 0.2}, 2, classes)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range top {
		fmt.Println(p.Index, p.ID, p.Name, p.Probability)
	}
	// Output:
	// 1 n01443537 goldfish 0.7
	// 2 n01494475 ray 0.2
}
