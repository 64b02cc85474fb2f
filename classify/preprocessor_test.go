package classify_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kerasrun/classify"
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

func newPreprocessor(t *testing.T, l classify.Limits) *classify.Preprocessor {
	t.Helper()
	d, err := classify.NewDecoders(l)
	if err != nil {
		t.Fatal(err)
	}
	p, err := classify.NewPreprocessor(newFake().SavedModel().Manifest, d, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecode(t *testing.T) {
	p := newPreprocessor(t, classify.Limits{})
	pixels, err := p.Decode(t.Context(), [][]byte{colored(1, 2, 3), colored(4, 5, 6)})
	want := slices.Concat(slices.Repeat([]uint8{1, 2, 3}, 4), slices.Repeat([]uint8{4, 5, 6}, 4))
	if err != nil || !slices.Equal(pixels.Shape, tensor.Shape{2, 2, 2, 3}) ||
		!slices.Equal(pixels.Data.([]uint8), want) {
		t.Errorf("got %v, %v", pixels, err)
	}
	var bad *classify.ImageError
	_, err = p.Decode(t.Context(), [][]byte{colored(1, 2, 3), nil})
	if !errors.As(err, &bad) || bad.Index != 1 {
		t.Errorf("got %v", err)
	}
}

func TestLimits(t *testing.T) {
	image := colored(1, 2, 3) // 4 x 3
	decode := func(l classify.Limits) error {
		_, err := newPreprocessor(t, l).Decode(t.Context(), [][]byte{image})
		return err
	}
	size := int64(len(image))
	var long *classify.TooLongError
	err := decode(classify.Limits{ImageBytes: size - 1})
	if !errors.As(err, &long) || long.Bytes != size {
		t.Errorf("bytes: got %v", err)
	}
	var large *preprocess.TooLargeError
	for _, inFlight := range []int64{0, 5, 100} {
		err := decode(classify.Limits{ImagePixels: 11, PixelsInFlight: inFlight})
		if !errors.As(err, &large) {
			t.Errorf("pixels: got %v", err)
		}
	}
	var format *preprocess.FormatError
	_, err = newPreprocessor(t, classify.Limits{PixelsInFlight: 5}).Decode(t.Context(),
		[][]byte{nil})
	if !errors.As(err, &format) {
		t.Errorf("no image: got %v", err)
	}
	within := classify.Limits{ImageBytes: size, ImagePixels: 12, PixelsInFlight: 12, Decoders: 1}
	if err := decode(within); err != nil {
		t.Errorf("just within: got %v", err)
	}
}

// Decoded images are normalized for the run; what is a tensor already is run as it is.
func TestPreprocessorRun(t *testing.T) {
	m := newFake()
	s, err := m.Signature("serving_default")
	if err != nil {
		t.Fatal(err)
	}
	p := newPreprocessor(t, classify.Limits{})
	run := func(images tensor.Tensor) ([]float32, error) {
		in := map[string]tensor.Tensor{"images": images}
		out, err := p.Run(t.Context(), m, s, in)
		if err != nil {
			return nil, err
		}
		if in["images"].DType != images.DType {
			t.Error("the caller's inputs were changed")
		}
		return out["probs"].Float32s()
	}
	for range 3 { // memory is used again
		pixels, err := p.Decode(t.Context(), [][]byte{colored(3, 1, 0), colored(0, 0, 9)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := run(pixels); err != nil ||
			!slices.Equal(got, []float32{0.75, 0.25, 0, 0, 0, 1}) {
			t.Errorf("pixels: got %v, %v", got, err)
		}
	}
	tensors, err := tensor.New(tensor.Shape{1, 2, 2, 3}, slices.Repeat([]float32{1, 2, 1}, 4))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := run(tensors); err != nil || !slices.Equal(got, []float32{0.25, 0.5, 0.25}) {
		t.Errorf("tensor: got %v, %v", got, err)
	}
	odd, err := tensor.New(tensor.Shape{1, 2, 1, 3}, make([]uint8, 6))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(odd); err == nil {
		t.Error("an image of another size is run")
	}
}

// A runner that has left a run may read its input still: the memory is not used again.
func TestMemoryOfAFailedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		var late sync.WaitGroup
		m.run = func(ctx context.Context, pixels []float32) error {
			want := pixels[0]
			if want != 1 {
				return nil
			}
			late.Go(func() {
				time.Sleep(time.Minute)
				if pixels[0] != want {
					t.Errorf("got %v, want %v", pixels[0], want)
				}
			})
			return errFake
		}
		c := newClassifier(t, m, classify.Options{})
		if _, err := c.Classify(t.Context(), 1, colored(1, 1, 1)); !errors.Is(err, errFake) {
			t.Errorf("got %v", err)
		}
		for range 9 {
			if _, err := c.Classify(t.Context(), 1, colored(7, 7, 7)); err != nil {
				t.Error(err)
			}
		}
		late.Wait()
	})
}
