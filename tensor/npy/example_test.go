package npy_test

import (
	"bytes"
	"fmt"
	"log"

	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

func Example() {
	t, err := tensor.New(tensor.Shape{2, 2}, []float32{1, 2, 3, 4})
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer // or an *os.File
	if err := npy.Write(&file, t); err != nil {
		log.Fatal(err)
	}
	fmt.Println(file.Len(), "bytes")
	again, err := npy.Read(&file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.DType, again.Shape, again.Data)
	// Output:
	// 144 bytes
	// float32 (2, 2) [1 2 3 4]
}
