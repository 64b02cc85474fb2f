package tensor

import (
	"fmt"
	"math"
)

// ConvertFloat32 returns the elements of a valid tensor of numbers as float32, row-major: its own
// memory where it is Float32. Numbers of more than 24 bits are rounded to the nearest float32.
func (t Tensor) ConvertFloat32() ([]float32, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	switch data := t.Data.(type) {
	case []float32:
		return data, nil
	case []float64:
		return convert(data), nil
	case []int8:
		return convert(data), nil
	case []int16:
		return convert(data), nil
	case []int32:
		return convert(data), nil
	case []int64:
		return convert(data), nil
	case []uint8:
		return convert(data), nil
	case []uint32:
		return convert(data), nil
	case []uint64:
		return convert(data), nil
	case []uint16:
		switch t.DType {
		case Float16:
			return convertBits(data, fromFloat16), nil
		case Bfloat16:
			return convertBits(data, fromBfloat16), nil
		}
		return convert(data), nil
	}
	return nil, fmt.Errorf("tensor: expected numbers, got %v", t.DType)
}

func convert[T float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](
	from []T,
) []float32 {
	to := make([]float32, len(from))
	for i, x := range from {
		to[i] = float32(x)
	}
	return to
}

func convertBits(from []uint16, value func(uint16) float32) []float32 {
	to := make([]float32, len(from))
	for i, bits := range from {
		to[i] = value(bits)
	}
	return to
}

// fromFloat16 is the value of an IEEE 754 binary16 number.
func fromFloat16(bits uint16) float32 {
	sign := uint32(bits&0x8000) << 16
	exponent, fraction := uint32(bits>>10&0x1f), uint32(bits&0x3ff)
	switch exponent {
	case 0: // zero, and multiples of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)/(1<<24)))
	case 0x1f: // infinity, NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// fromBfloat16 is the value of a float32 whose lower 16 bits are zero.
func fromBfloat16(bits uint16) float32 { return math.Float32frombits(uint32(bits) << 16) }
