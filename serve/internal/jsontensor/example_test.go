package jsontensor_test

import (
	"fmt"

	"kerasrun/serve/internal/jsontensor"
	"kerasrun/tensor"
)

func Example() {
	t, err := jsontensor.NewDecoder([]byte("[[1, 2.5], [NaN, 4]]")).Tensor(tensor.Float32)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := jsontensor.Append(nil, t, false)
	fmt.Println(t.Shape, string(text), err)
	// Output: (2, 2) [[1.0, 2.5], [NaN, 4.0]] <nil>
}
