package savedmodel_test

import (
	"context"
	"fmt"
	"log"

	"kerasrun/savedmodel"
)

func Example() {
	m, err := savedmodel.Open(context.Background(), "testdata/dense")
	if err != nil {
		log.Fatal(err)
	}
	s, err := m.Signature([]string{"serve"}, "serving_default")
	if err != nil {
		log.Fatal(err)
	}
	x := s.Inputs["x"]
	fmt.Println("input", x.Name(), x.DType, x.Shape)
	for _, v := range m.Variables[1:3] {
		fmt.Println("variable", v.Name, v.DType, v.Shape, v.Bytes, "bytes")
	}
	fmt.Println(m.Validate(context.Background()))
	// Output:
	// input serving_default_x:0 float32 (-1, 4)
	// variable bias/.ATTRIBUTES/VARIABLE_VALUE float32 (3,) 12 bytes
	// variable kernel/.ATTRIBUTES/VARIABLE_VALUE float32 (4, 3) 48 bytes
	// <nil>
}

func ExampleModel_Scan() {
	m, err := savedmodel.Open(context.Background(), "testdata/bad_in_loop")
	if err != nil {
		log.Fatal(err)
	}
	findings, err := m.Scan(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range findings {
		fmt.Printf("%s: %s [%s]\n", f.Severity, f.Message, f.Check)
	}
	findings, err = m.Scan(context.Background(), savedmodel.AllowOps("ReadFile"))
	fmt.Println(savedmodel.Join(findings), err)
	// Output:
	// warning: expected a manifest, got none: inputs and hashes of files are unknown [manifest]
	// error: ReadFile reads files; run by a signature [ops]
	// <nil> <nil>
}
