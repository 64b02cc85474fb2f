package tfimage

import (
	"bytes"
	"math/rand/v2"
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

func TestGrayFloat32EqualsTensorFlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		h, w := side(rng), side(rng)
		if i < 100 {
			h, w = 1+i%4/2, 1+i%2
		}
		rgb := image[float32](rng, 3*h*w)
		body, _ := raw(rgb)
		want := startTensorFlow(t).ask(t, map[string]any{"op": "gray", "dtype": "float32",
			"shape": []int{h, w, 3}}, body)
		if d := sameBits(GrayFloat32(nil, rgb), want.floats()); d != "" {
			t.Errorf("%d x %d: %s", h, w, d)
		}
	}
}
