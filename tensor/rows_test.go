package tensor

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRowsOfEveryType(t *testing.T) {
	for _, data := range []any{
		[]float32{1, 2}, []float64{1, 2}, []int8{1, 2}, []int16{1, 2}, []int32{1, 2}, []int64{1, 2},
		[]uint8{1, 2}, []uint32{1, 2}, []uint64{1, 2}, []bool{true, false}, [][]byte{[]byte("a"),
			nil},
		[]uint16{1, 2},
	} {
		dtypes := map[string]DType{
			"[]float32": Float32, "[]float64": Float64, "[]int8": Int8, "[]int16": Int16,
			"[]int32": Int32, "[]int64": Int64, "[]uint8": Uint8, "[]uint32": Uint32,
			"[]uint64": Uint64, "[]bool": Bool, "[][]uint8": String, "[]uint16": Float16,
		}
		one := Tensor{DType: dtypes[fmt.Sprintf("%T", data)], Shape: Shape{1, 2}, Data: data}
		both, err := Concat([]Tensor{one, one, one})
		if err != nil {
			t.Errorf("%T: %v", data, err)
			continue
		}
		for i := range int64(3) {
			got, err := both.Rows(i, i+1)
			if err != nil {
				t.Errorf("%T: %v", data, err)
			} else if diff := cmp.Diff(one, got); diff != "" {
				t.Errorf("%T: row %d (-want +got):\n%s", data, i, diff)
			}
		}
	}
}

func TestRowsRefuses(t *testing.T) {
	three := Tensor{Float32, Shape{3, 2}, make([]float32, 6)}
	for _, c := range []struct {
		t        Tensor
		from, to int64
	}{{three, -1, 1}, {three, 2, 1}, {three, 0, 4}, {Tensor{Float32, Shape{}, []float32{1}}, 0,
		0}} {
		if got, err := c.t.Rows(c.from, c.to); err == nil {
			t.Errorf("rows %d to %d of %v: got %v, want an error", c.from, c.to, c.t.Shape, got)
		}
	}
	none, err := three.Rows(1, 1)
	if err != nil || none.Shape.String() != "(0, 2)" {
		t.Errorf("got %v, %v, want no rows", none, err)
	}
}

func TestConcatRefuses(t *testing.T) {
	one := Tensor{Float32, Shape{1, 2}, make([]float32, 2)}
	for _, other := range []Tensor{
		{Float64, Shape{1, 2}, make([]float64, 2)}, {Float32, Shape{1, 3}, make([]float32, 3)}, {
			Float32, Shape{2}, make([]float32, 2)}, {Float32, Shape{}, make([]float32, 1)},
	} {
		if got, err := Concat([]Tensor{one, other}); err == nil {
			t.Errorf("%v beside %v: got %v, want an error", other, one, got)
		}
	}
}
