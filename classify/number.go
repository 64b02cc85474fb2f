package classify

import (
	"strconv"

	"kerasrun/tensor"
)

// Number is a value of an output in decimal, with as many digits as tell it from every other of its
// type. Its JSON is a number; of an infinite one it is a string, "Infinity" or "-Infinity".
type Number string

// MarshalJSON implements [json.Marshaler].
func (n Number) MarshalJSON() ([]byte, error) {
	switch n {
	case "+Inf":
		return []byte(`"Infinity"`), nil
	case "-Inf":
		return []byte(`"-Infinity"`), nil
	}
	return []byte(n), nil
}

// Numbers returns the values of a tensor of numbers or truth values, row-major. It has no NaN, or
// its answer would be a [*NaNError].
func Numbers(t tensor.Tensor) ([]Number, error) {
	switch values := t.Data.(type) {
	case []float64:
		return numbers(values, func(x float64) string { return decimal(x, 64) }), nil
	case []int32:
		return numbers(values, func(x int32) string { return strconv.Itoa(int(x)) }), nil
	case []int64:
		return numbers(values, func(x int64) string { return strconv.FormatInt(x, 10) }), nil
	case []uint32:
		return numbers(values, func(x uint32) string { return strconv.Itoa(int(x)) }), nil
	case []uint64:
		return numbers(values, func(x uint64) string { return strconv.FormatUint(x, 10) }), nil
	case []bool:
		return numbers(values, strconv.FormatBool), nil
	}
	values, err := t.ConvertFloat32() // which the other types' values are too
	if err != nil {
		return nil, err
	}
	return numbers(values, func(x float32) string { return decimal(float64(x), 32) }), nil
}

func numbers[T any](values []T, text func(T) string) []Number {
	texts := make([]Number, len(values))
	for i, x := range values {
		texts[i] = Number(text(x))
	}
	return texts
}

func decimal(x float64, bits int) string { return strconv.FormatFloat(x, 'g', -1, bits) }
