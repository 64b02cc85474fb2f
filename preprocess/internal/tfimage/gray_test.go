package tfimage

import (
	"bytes"
	"testing"
)

// All colours of uint8 that there are.
func TestGrayUint8EqualsTensorFlow(t *testing.T) {
	const side = 1 << 12
	rgb := make([]uint8, 0, 3*side*side)
	for i := range side * side {
		rgb = append(rgb, uint8(i), uint8(i>>8), uint8(i>>16))
	}
	want := startTensorFlow(t).ask(t, map[string]any{"op": "gray", "dtype": "uint8",
		"shape": []int{side, side, 3}}, rgb)
	if got := GrayUint8(nil, rgb); !bytes.Equal(got, want.bytes) {
		t.Error(sameBits(answer{bytes: got}.floats(), want.floats()))
	}
}
