package contract_test

import (
	"fmt"
	"log"
	"os"

	"kerasrun/contract"
)

func Example() {
	data, err := os.ReadFile("testdata/kerasrun.json") // of a model: contract.ManifestPath
	if err != nil {
		log.Fatal(err)
	}
	m, err := contract.Parse(data)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Architecture, "takes", m.Input.Name, m.Input.DType, m.Input.Shape())
	fmt.Println("gives", m.Outputs[contract.DefaultSignature])
	p, err := m.Input.Pipeline()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("from images by", p.Filter, p.Fit, p.Mode)
	// Output:
	// resnext50 takes images float32 (-1, 224, 224, 3)
	// gives [logits probs]
	// from images by nearest stretch torch
}
