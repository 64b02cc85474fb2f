package classify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

func TestClassify(t *testing.T) {
	c := newClassifier(t, newFake(), classify.Options{BatchSize: 4, Concurrency: 2})
	rows, err := c.Classify(t.Context(), 2, colored(0, 100, 50))
	want := [][]labels.Prediction{{
		{Index: 1, ID: "n1", Name: "green", Probability: 2. / 3},
		{Index: 2, ID: "n2", Name: "blue", Probability: 1. / 3},
	}}
	if diff := cmp.Diff(want, rows); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if rows, err := c.Classify(t.Context(), 9, colored(3, 2, 1)); err != nil || len(rows[0]) != 3 {
		t.Errorf("more classes than there are: got %v, %v, want three", rows, err)
	}
	if rows, err := c.Classify(t.Context(), 5); len(rows) != 0 || err != nil {
		t.Errorf("no image: got %v, %v", rows, err)
	}
	if _, err := c.Classify(t.Context(), 0, colored(1, 2, 3)); err == nil ||
		!strings.Contains(err.Error(), "expected at least 1, got 0") {
		t.Errorf("top 0: got %v", err)
	}
}

// An image that cannot be answered takes nothing from the others, wherever it stands.
func TestClassifyBadImages(t *testing.T) {
	m := newFake()
	c := newClassifier(t, m, classify.Options{BatchSize: 4, Concurrency: 2})
	bad := map[int]bool{0: true, 3: true, 4: true, 5: true, 6: true, 7: true, 13: true}
	black := 9 // whose probabilities are NaN
	var images [][]byte
	for i := range 14 {
		switch {
		case bad[i]:
			images = append(images, []byte("no image"))
		case i == black:
			images = append(images, colored(0, 0, 0))
		default:
			images = append(images, colored(uint8(100*(i%3/2)), uint8(100*(i%3%2)), uint8(1+i)))
		}
	}
	rows, err := c.Classify(t.Context(), 3, images...)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != len(bad)+1 {
		t.Fatalf("got %v, want %d errors", err, len(bad)+1)
	}
	for _, err := range joined.Unwrap() {
		var one *classify.ImageError
		var format *preprocess.FormatError
		if !errors.As(err, &one) || !bad[one.Index] && one.Index != black {
			t.Fatalf("got %#v", err)
		}
		if errors.As(err, &format) != bad[one.Index] {
			t.Errorf("image %d: got %v", one.Index, err)
		}
	}
	for i, row := range rows {
		alone, err := c.Classify(t.Context(), 3, images[i])
		if diff := cmp.Diff(alone[0], row); diff != "" || (err != nil) != (bad[i] || i == black) {
			t.Errorf("image %d: %v (-want +got):\n%s", i, err, diff)
		}
	}
	if m.most.Load() > 2 {
		t.Errorf("got %d runs at a time, want at most 2", m.most.Load())
	}
}

// One classifier answers many goroutines, each its own images.
func TestClassifyConcurrently(t *testing.T) {
	c := newClassifier(t, newFake(), classify.Options{BatchSize: 3, Concurrency: 2})
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			want, images := []float32(nil), [][]byte(nil)
			for i := range 10 {
				red := uint8(1 + 10*caller + i)
				want = append(want, float32(red)/float32(int(red)+200))
				images = append(images, colored(red, 200, 0))
			}
			for range 5 {
				rows, err := c.Classify(t.Context(), 3, images...)
				if err != nil {
					t.Error(err)
					return
				}
				for i, row := range rows {
					if got := row[1].Probability; got-want[i] > 1e-6 || want[i]-got > 1e-6 {
						t.Errorf("caller %d, image %d: got %v, want %v", caller, i, got, want[i])
					}
				}
			}
		})
	}
	callers.Wait()
}

func TestClassifyEndedContext(t *testing.T) {
	c := newClassifier(t, newFake(), classify.Options{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	rows, err := c.Classify(ended, 1, colored(1, 2, 3))
	if rows != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", rows, err)
	}
}

// What the model answers is held against its signature.
func TestOutputErrors(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(tensor.Tensor) tensor.Tensor
	}{
		{"a shape of unknown rank", func(tensor.Tensor) tensor.Tensor { return tensor.Tensor{} }},
		{"expected (1, 3), got (2, 3)", func(tensor.Tensor) tensor.Tensor {
			return tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{2, 3},
				Data: make([]float32, 6)}
		}},
		{"expected (1, 3), got (1, 4)", func(tensor.Tensor) tensor.Tensor {
			return tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{1, 4},
				Data: make([]float32, 4)}
		}},
		{"expected (1, 3), got (3,)",
			func(out tensor.Tensor) tensor.Tensor {
				out.Shape = tensor.Shape{3}
				return out
			}},
		{"expected (1, 3), got (1, 0)",
			func(out tensor.Tensor) tensor.Tensor {
				return tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{1, 0},
					Data: []float32{}}
			}},
	} {
		m := newFake()
		m.change = test.change
		c := newClassifier(t, m, classify.Options{})
		rows, err := c.Classify(t.Context(), 1, colored(1, 2, 3))
		var output *classify.OutputError
		if rows != nil || !errors.As(err, &output) || output.Output != "probs" {
			t.Errorf("%s: got %v, %v", test.want, rows, err)
		}
		if !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestNewErrors(t *testing.T) {
	for _, test := range []struct {
		want    string
		options classify.Options
		change  func(*fakeModel)
	}{
		{`there is no signature "other"`, classify.Options{Signature: "other"}, nil},
		{`expected an output "logits", got ["probs"]`,
			classify.Options{Outputs: []string{"logits"}}, nil},
		{`expected the input "pixels" alone, got ["images"]`, classify.Options{},
			func(m *fakeModel) { m.input.Name = "pixels" }},
		{classify.ErrNoImages.Error(), classify.Options{},
			func(m *fakeModel) {
				m.input = contract.Input{Name: "images", Kind: contract.KindTensor,
					DType: "float32", Shape: tensor.Shape{-1, 4}}
			}},
		{`"x"`, classify.Options{}, func(m *fakeModel) { m.input.Resize.Method = "x" }},
		{"expected 0 or more, got -1, 0, 0s", classify.Options{BatchSize: -1}, nil},
		{"expected 0 or more, got 0, -2, 0s", classify.Options{Concurrency: -2}, nil},
	} {
		m := newFake()
		if test.change != nil {
			test.change(m)
		}
		_, err := classify.New(m, test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	if _, err := classify.NewDecoders(classify.Limits{Decoders: -1,
		PixelsInFlight: -2}); err == nil ||
		!strings.Contains(err.Error(), "decoders: expected 0 or more, got -1") ||
		!strings.Contains(err.Error(), "pixels in flight: expected 0 or more, got -2") {
		t.Errorf("limits: got %v", err)
	}
}
