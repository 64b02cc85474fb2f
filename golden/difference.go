package golden

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"kerasrun/tensor"
)

// Differences of a stage, over every element of every case, in bounded memory: a full pack's
// tensors have more elements than one wants to sort for a quantile.
type differences struct {
	count int
	sum   float64
	max   float64 // NaN once there was one
	worst Worst
	// largest is the largest finite |value| of the reference.
	largest float64
	// by the upper 16 bits of the difference as a float32, so that a bucket is at most 1/128 wide,
	// relatively
	buckets []int64
	// of each case, in their order
	cases []caseDifference
}

// caseDifference is the largest difference of one case; NaN once there was one.
type caseDifference struct {
	name string
	max  float64
}

// note counts a case, which may come several times, after itself.
func (d *differences) note(name string, largest float64) {
	last := len(d.cases) - 1
	if last < 0 || d.cases[last].name != name {
		d.cases = append(d.cases, caseDifference{name, largest})
		return
	}
	d.cases[last].max = max(d.cases[last].max, largest) // NaN where either is
}

// Worst is the element in which a stage differs most.
type Worst struct {
	Case  string  `json:"case"`
	Index []int   `json:"index"` // in the case's array, without the batch dimension
	Got   float64 `json:"got"`
	Want  float64 `json:"want"`
}

// worstJSON is a Worst with numbers that JSON can hold.
type worstJSON struct {
	Case  string `json:"case"`
	Index []int  `json:"index"`
	Got   number `json:"got"`
	Want  number `json:"want"`
}

// MarshalJSON writes NaN and infinity, which JSON does not have, as the strings "NaN" and
// "Infinity" or "-Infinity".
func (w Worst) MarshalJSON() ([]byte, error) {
	return json.Marshal(worstJSON{w.Case, w.Index, number(w.Got), number(w.Want)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (w *Worst) UnmarshalJSON(text []byte) error {
	var in worstJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*w = Worst{in.Case, in.Index, float64(in.Got), float64(in.Want)}
	return nil
}

// addTensors counts the differences of one case between two tensors of numbers, each divided by
// unit. It is an error where they have other types or shapes.
func addTensors(d *differences, name string, got, want tensor.Tensor, unit float64) error {
	if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("expected %v %v, got %v %v", want.DType, want.Shape, got.DType, got.Shape)
	}
	switch data := want.Data.(type) {
	case []uint8:
		add(d, name, want.Shape, got.Data.([]uint8), data, unit)
	case []float32:
		add(d, name, want.Shape, got.Data.([]float32), data, unit)
	default:
		g, err := numbers(got)
		if err != nil {
			return err
		}
		w, err := numbers(want)
		if err != nil {
			return err
		}
		add(d, name, want.Shape, g, w, unit)
	}
	return nil
}

// numbers returns a tensor's elements, row-major. Those of 64-bit integers beyond 53 bits are
// rounded.
func numbers(t tensor.Tensor) ([]float64, error) {
	switch data := t.Data.(type) {
	case []float64:
		return data, nil
	case []int32:
		return widened(data), nil
	case []int64:
		return widened(data), nil
	case []uint32:
		return widened(data), nil
	case []uint64:
		return widened(data), nil
	case []bool:
		values := make([]float64, len(data))
		for i, is := range data {
			if is {
				values[i] = 1
			}
		}
		return values, nil
	}
	values, err := t.ConvertFloat32() // which is exact for what is left
	return widened(values), err
}

func widened[T float32 | int32 | int64 | uint32 | uint64](data []T) []float64 {
	values := make([]float64, len(data))
	for i, x := range data {
		values[i] = float64(x)
	}
	return values
}

// add counts the differences of one case between got and want, of equal length and row-major in the
// given shape, each divided by unit.
func add[T uint8 | float32 | float64](
	d *differences, name string, shape tensor.Shape, got, want []T, unit float64,
) {
	if d.buckets == nil {
		d.buckets = make([]int64, 1<<15)
	}
	var largest float64
	defer func() { d.note(name, largest) }()
	for i := range want {
		diff := 0.0
		if got[i] != want[i] {
			diff = math.Abs(float64(got[i])-float64(want[i])) / unit
		}
		largest = max(largest, diff)
		d.count++
		d.sum += diff
		if size := math.Abs(float64(want[i])); size > d.largest && !math.IsInf(size, 1) {
			d.largest = size
		}
		d.buckets[math.Float32bits(float32(math.Abs(diff)))>>16]++ // a NaN may have a sign
		// The first NaN stays the worst; it is not below anything, and nothing is above it.
		if !math.IsNaN(d.max) && !(diff <= d.max) || d.count == 1 {
			d.max = diff
			d.worst = Worst{Case: name, Index: unravel(i, shape), Got: float64(got[i]),
				Want: float64(want[i])}
		}
	}
}

func (d *differences) mean() float64 {
	if d.count == 0 {
		return math.NaN()
	}
	return d.sum / float64(d.count)
}

// quantile is the smallest difference that at least the share q of all elements do not exceed,
// rounded up by at most 1/128 of it.
func (d *differences) quantile(q float64) float64 {
	need := int64(math.Ceil(q * float64(d.count)))
	for i, n := range d.buckets {
		need -= n
		if n > 0 && need <= 0 {
			if i == 0 {
				return 0 // nothing that a float32 would not call zero
			}
			if upper := float64(math.Float32frombits(uint32(i)<<16 | 0xffff)); upper <= d.max {
				return upper
			}
			return d.max
		}
	}
	return math.NaN()
}

// unravel turns the position in a row-major array of the shape into one index a dimension.
func unravel(at int, shape tensor.Shape) []int {
	index := make([]int, len(shape))
	for i, size := range slices.Backward(shape) {
		index[i] = at % int(size)
		at /= int(size)
	}
	return index
}

// number is a float64 that JSON can carry: what JSON has no number for is written as "NaN",
// "Infinity" or "-Infinity".
type number float64

// MarshalJSON writes a number, with as many digits as tell it from others, or a string where JSON
// has none.
func (n number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	}
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *number) UnmarshalJSON(text []byte) error {
	f, err := strconv.ParseFloat(string(bytes.Trim(text, `"`)), 64)
	if err != nil {
		return fmt.Errorf("expected a number, got %s", text)
	}
	*n = number(f)
	return nil
}
