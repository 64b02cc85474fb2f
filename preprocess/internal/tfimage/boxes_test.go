package tfimage

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// crop returns the part of an image that lies in a box.
func crop(src []float32, from Size, b Box, channels int) []float32 {
	out := make([]float32, 0, b.Height*b.Width*channels)
	for y := b.Top; y < b.Top+b.Height; y++ {
		at := (y*from.Width + b.Left) * channels
		out = append(out, src[at:at+b.Width*channels]...)
	}
	return out
}

// pad returns an image in the middle of a larger one.
func pad(src []float32, size Size, b Box, channels int, fill float32) []float32 {
	out := make([]float32, size.Height*size.Width*channels)
	for i := range out {
		out[i] = fill
	}
	for y := range b.Height {
		at := ((b.Top+y)*size.Width + b.Left) * channels
		copy(out[at:at+b.Width*channels], src[y*b.Width*channels:])
	}
	return out
}

func TestBoxesEqualKeras(t *testing.T) {
	resize := func(src []float32, from, to Size) []float32 {
		out, err := Resize(nil, src, from, to, 1, Bilinear, false)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const fill = 7.5
	for _, c := range []struct {
		name, op, fit string
		compute       func(src []float32, from, to Size) []float32
	}{
		{"crop_to_aspect_ratio", "keras_resize", "crop", func(s []float32, from, to Size) []float32 {
			b := CropBox(from, to)
			return resize(crop(s, from, b, 1), Size{b.Height, b.Width}, to)
		}},
		{"smart_resize", "smart_resize", "", func(s []float32, from, to Size) []float32 {
			b := CropBox(from, to)
			return resize(crop(s, from, b, 1), Size{b.Height, b.Width}, to)
		}},
		{"pad_to_aspect_ratio", "keras_resize", "pad", func(s []float32, from, to Size) []float32 {
			b, size := PadBox(from, to)
			return resize(pad(s, size, b, 1, fill), size, to)
		}},
		{"resize_with_pad", "resize_with_pad", "", func(s []float32, from, to Size) []float32 {
			b := ResizeWithPadBox(from, to)
			if b.Height < 1 || b.Width < 1 {
				return nil
			}
			return pad(resize(s, from, Size{b.Height, b.Width}), to, b, 1, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			values := 0
			for range *casesFlag {
				from, to := Size{side(rng), side(rng)}, Size{side(rng), side(rng)}
				src := image[float32](rng, from.Height*from.Width)
				body, _ := raw(src)
				want := startTensorFlow(t).ask(t, map[string]any{
					"op": c.op, "fit": c.fit, "fill": fill, "dtype": "float32",
					"shape": []int{from.Height, from.Width, 1},
					"size":  []int{to.Height, to.Width},
				}, body)
				got := c.compute(src, from, to)
				if want.reason != "" && got == nil {
					continue
				}
				if d := sameBits(got, want.floats()); d != "" || want.reason != "" {
					t.Errorf("%v to %v: %s%s", from, to, d, want.reason)
				}
				values += len(got)
			}
			t.Logf("%d images, %d values compared", *casesFlag, values)
		})
	}
}

func ExampleCropBox() {
	fmt.Println(CropBox(Size{340, 500}, Size{200, 200}))
	// Output: {0 80 340 340}
}
