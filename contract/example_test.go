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
	in := m.Image()
	fmt.Println(m.Architecture, "takes", in.Name, in.DType, in.Shape)
	fmt.Println("answers with", m.Answer)
	p, err := in.Pipeline()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p)
	// Output:
	// resnext50 takes images float32 (-1, 224, 224, 3)
	// answers with probs
	// 224x224 float32 NHWC: pillow rgb, pillow nearest stretch, divide 255, subtract 0.485 0.456 0.406, divide 0.229 0.224 0.225
}
