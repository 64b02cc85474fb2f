package classify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// fakeModel classifies images of 2 x 2 by the share that red, green and blue have of their light.
type fakeModel struct {
	input   contract.Input
	outputs map[string]savedmodel.TensorInfo

	// run, if not nil, is called with the pixels of each run, and may end it.
	run func(ctx context.Context, pixels []float32) error
	// change, if not nil, makes another output of the right one.
	change func(probs tensor.Tensor) tensor.Tensor

	running, most atomic.Int64
	mu            sync.Mutex
	batches       []int // images of each run
}

func newFake() *fakeModel {
	return &fakeModel{
		input: contract.Input1{
			Name: "images", DType: "float32", Height: 2, Width: 2, Channels: 3,
			Layout: "NHWC", ColorOrder: "RGB", Mode: "none", Resample: "nearest", Fit: "stretch",
		}.Input(),
		outputs: map[string]savedmodel.TensorInfo{
			"probs": {DType: tensor.Float32, Shape: tensor.Shape{-1, 3}},
		},
	}
}

func (m *fakeModel) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{Manifest: &contract.Manifest{
		Inputs: []contract.Input{m.input},
		Outputs: map[string][]contract.Output{contract.DefaultSignature: {
			{Name: "probs", Kind: contract.Probabilities}}},
		Answer: "probs",
	}}
}

func (m *fakeModel) Signature(key string) (savedmodel.Signature, error) {
	if key != contract.DefaultSignature {
		return savedmodel.Signature{}, fmt.Errorf("there is no signature %q", key)
	}
	dtype, err := tensor.ParseDType(m.input.DType)
	return savedmodel.Signature{
		Key:     key,
		Inputs:  map[string]savedmodel.TensorInfo{"images": {DType: dtype, Shape: m.input.Shape}},
		Outputs: m.outputs,
	}, err
}

func (m *fakeModel) Labels() labels.Labels {
	return labels.Labels{{ID: "n0", Name: "red"}, {ID: "n1", Name: "green"},
		{ID: "n2", Name: "blue"}}
}

func (m *fakeModel) RunSignature(
	ctx context.Context, _ string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	now := m.running.Add(1)
	defer m.running.Add(-1)
	for most := m.most.Load(); now > most &&
		!m.most.CompareAndSwap(most, now); most = m.most.Load() {
	}
	pixels, err := in["images"].Float32s()
	if err != nil {
		return nil, err
	}
	rows := in["images"].Shape[0]
	m.mu.Lock()
	m.batches = append(m.batches, int(rows))
	m.mu.Unlock()
	if m.run != nil {
		if err := m.run(ctx, pixels); err != nil {
			return nil, err
		}
	}
	var probs []float32
	for row := range slices.Chunk(pixels, 2*2*3) {
		var light [3]float32
		for i, v := range row {
			light[i%3] += v
		}
		sum := light[0] + light[1] + light[2]
		probs = append(probs, light[0]/sum, light[1]/sum, light[2]/sum) // NaN where it is black
	}
	out, err := tensor.New(tensor.Shape{rows, 3}, probs)
	if m.change != nil {
		out = m.change(out)
	}
	return map[string]tensor.Tensor{"probs": out}, err
}

func (m *fakeModel) sizes() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.batches)
}

// colored returns a PNG of one color, 4 x 3.
func colored(r, g, b uint8) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, 4, 3))
	for i := range 12 {
		img.Set(i%4, i/4, color.NRGBA{r, g, b, 255})
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func newClassifier(t testing.TB, m classify.Model, o classify.Options) *classify.Classifier {
	t.Helper()
	c, err := classify.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var errFake = errors.New("the fake failed")

// slowly has each run take a while, the first the longest.
func slowly(m *fakeModel, while time.Duration) {
	var runs atomic.Int64
	m.run = func(ctx context.Context, _ []float32) error {
		select {
		case <-time.After(while / time.Duration(runs.Add(1))):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
