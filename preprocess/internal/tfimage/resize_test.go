package tfimage

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"kerasrun/preprocess/internal/simd"
)

var casesFlag = flag.Int("cases", 100, "how many images to resize by each method")

// methods are the names that tf.image.resize has for them.
var methods = map[Method]string{
	Bilinear: "bilinear", Nearest: "nearest", Bicubic: "bicubic", Area: "area",
	Lanczos3: "lanczos3", Lanczos5: "lanczos5", Gaussian: "gaussian",
	MitchellCubic: "mitchellcubic",
}

// side draws a side: small ones are odd ones out more often.
func side(rng *rand.Rand) int {
	switch rng.IntN(8) {
	case 0:
		return 1 + rng.IntN(4)
	case 1, 2, 3:
		return 1 + rng.IntN(40)
	case 4, 5, 6:
		return 1 + rng.IntN(160)
	}
	return 1 + rng.IntN(600)
}

// image draws samples: noise, or steps between the extremes.
func image[T pixels](rng *rand.Rand, n int) []T {
	samples := make([]T, n)
	steps := rng.IntN(3) == 0
	var v T
	_, float := any(v).(float32)
	for i := range samples {
		switch {
		case steps:
			samples[i] = T(rng.IntN(2) * 255)
		case float:
			samples[i] = T(rng.Float32()*300 - 20)
		default:
			samples[i] = T(rng.IntN(256))
		}
	}
	return samples
}

// resizeCase compares one drawn image. It returns the number of values.
func resizeCase[T pixels](t *testing.T, rng *rand.Rand, m Method, antialias bool) int {
	from, to := Size{side(rng), side(rng)}, Size{side(rng), side(rng)}
	if rng.IntN(10) == 0 {
		to = from
	}
	channels := []int{1, 3, 3, 4}[rng.IntN(4)]
	src := image[T](rng, from.Height*from.Width*channels)
	op := []string{"resize", "traced_resize"}[rng.IntN(2)]
	got, err := Resize(nil, src, from, to, channels, m, antialias)
	if err != nil {
		t.Fatal(err)
	}
	body, dtype := raw(src)
	want := startTensorFlow(t).ask(t, map[string]any{
		"op": op, "dtype": dtype, "shape": []int{from.Height, from.Width, channels},
		"size": []int{to.Height, to.Width}, "method": methods[m], "antialias": antialias,
	}, body)
	if want.reason != "" {
		t.Fatal(want.reason)
	}
	if d := sameBits(got, want.floats()); d != "" {
		t.Errorf("%s of %s, %d channels, %v to %v: %s", op, dtype, channels, from, to, d)
	}
	return len(got)
}

// The Go versions of what is in assembly equal TensorFlow, too.
func TestWithoutAVX2EqualsTensorFlow(t *testing.T) {
	defer func(use bool) { simd.AVX2 = use }(simd.AVX2)
	simd.AVX2 = false
	rng := rand.New(rand.NewPCG(9, 1))
	for m := range methods {
		for range *casesFlag / 4 {
			resizeCase[uint8](t, rng, m, rng.IntN(2) == 0)
			resizeCase[float32](t, rng, m, rng.IntN(2) == 0)
		}
	}
}

func TestResizeEqualsTensorFlow(t *testing.T) {
	for m, name := range methods {
		for _, antialias := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", name, antialias), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(m), 1))
				values := 0
				for range *casesFlag {
					values += resizeCase[uint8](t, rng, m, antialias)
					values += resizeCase[float32](t, rng, m, antialias)
				}
				t.Logf("%d images, %d values compared", 2**casesFlag, values)
			})
		}
	}
}
