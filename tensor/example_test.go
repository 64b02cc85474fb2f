package tensor_test

import (
	"fmt"

	"kerasrun/tensor"
)

func Example() {
	t, err := tensor.New(tensor.Shape{2, 3}, []float32{1, 2, 3, 4, 5, 6})
	if err != nil {
		fmt.Println(err)
		return
	}
	raw, _ := t.Bytes()
	fmt.Println(t.DType, t.Shape, len(raw), "bytes")

	images := tensor.Shape{-1, 224, 224, 3}
	fmt.Println(images.Accepts(t.Shape))
	// Output:
	// float32 (2, 3) 24 bytes
	// tensor: shape: expected (-1, 224, 224, 3), got (2, 3)
}
