package classify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/internal/pythontest"
	"kerasrun/labels"
	"kerasrun/tensor"
)

func row[T tensor.Element](t *testing.T, values []T, shape ...int64) tensor.Tensor {
	t.Helper()
	out, err := tensor.New(tensor.Shape(shape), values)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnswerOf(t *testing.T) {
	two := labels.Labels{{ID: "c", Name: "cat"}, {ID: "d", Name: "dog"}}
	three := append(slices.Clone(two), labels.Class{ID: "e", Name: "emu"})
	cat := labels.Prediction{ID: "c", Name: "cat", Probability: 0.25}
	dog := labels.Prediction{Index: 1, ID: "d", Name: "dog", Probability: 0.75}
	for name, c := range map[string]struct {
		output contract.Output
		labels labels.Labels
		row    tensor.Tensor
		want   []labels.Prediction
	}{
		"probabilities": {contract.Output{Kind: contract.Probabilities}, two,
			row(t, []float32{0.25, 0.75}, 2), []labels.Prediction{dog, cat}},
		"softmax of equals": {contract.Output{Kind: contract.Logits, Activation: "softmax"}, nil,
			row(t, []float32{9, 9}, 2),
			[]labels.Prediction{{Index: 1, Probability: 0.5}, {Probability: 0.5}}},
		"binary": {contract.Output{Kind: contract.Binary, Thresholds: []float64{0.5}}, two,
			row(t, []float32{0.75}, 1), []labels.Prediction{dog, cat}},
		"binary below its threshold": {
			contract.Output{Kind: contract.Binary, Thresholds: []float64{0.8}}, two,
			row(t, []float32{0.75}, 1), []labels.Prediction{cat, dog}},
		"binary at its threshold": {
			contract.Output{Kind: contract.Binary, Thresholds: []float64{0.75}}, two,
			row(t, []float32{0.75}, 1), []labels.Prediction{cat, dog}},
		"binary of a logit": {contract.Output{Kind: contract.Logits, Activation: "sigmoid"}, nil,
			row(t, []float32{0}, 1),
			[]labels.Prediction{{Probability: 0.5}, {Index: 1, Probability: 0.5}}},
		"multilabel": {contract.Output{Kind: contract.Multilabel, Thresholds: []float64{0.2}}, three,
			row(t, []float32{0.25, 0.75, 0.1}, 3), []labels.Prediction{dog, cat}},
		"multilabel, a threshold each": {
			contract.Output{Kind: contract.Multilabel, Thresholds: []float64{0.3, 0.7, 0}}, three,
			row(t, []float32{0.25, 0.75, 0}, 3), []labels.Prediction{dog}},
		"multilabel of logits, none": {contract.Output{Kind: contract.Logits, Activation: "sigmoid"},
			nil, row(t, []float32{-1, -2}, 2), []labels.Prediction{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := classify.AnswerOf(c.output, c.labels, c.row, 5)
			if diff := cmp.Diff(c.want, got.Predictions); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if got.Kind != c.output.Kind {
				t.Errorf("got the kind %s, want %s", got.Kind, c.output.Kind)
			}
		})
	}
}

func TestAnswerOfValues(t *testing.T) {
	names := labels.Labels{{Name: "age"}, {Name: "height"}}
	values := row(t, []float64{31, 1.8}, 2)
	got, err := classify.AnswerOf(contract.Output{Name: "y", Kind: contract.Regression}, names,
		values, 1)
	if err != nil || got.Output != "y" || len(got.Labels) != 2 ||
		!slices.Equal(got.Values.Data.([]float64), []float64{31, 1.8}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnswerOfMap(t *testing.T) {
	o := contract.Output{Name: "mask", Kind: contract.Map}
	got, err := classify.AnswerOf(o, nil, row(t, []float32{1, 2, 3, 3, 5, 4}, 1, 3, 2), 1)
	if err != nil || got.Map.Height != 1 || got.Map.Width != 3 ||
		!slices.Equal(got.Map.Classes, []uint16{1, 0, 0}) {
		t.Errorf("argmax: got %+v, %v", got.Map, err)
	}
	if pixels := got.Map.Pixels(); !slices.Equal(pixels, []int{2, 1}) {
		t.Errorf("got %v pixels a class, want [2 1]", pixels)
	}
	got, err = classify.AnswerOf(o, nil, row(t, []float32{0.5, 0.6}, 2, 1, 1), 1)
	if err != nil || !slices.Equal(got.Map.Classes, []uint16{0, 1}) {
		t.Errorf("one value a pixel: got %+v, %v", got.Map, err)
	}
}

func TestAnswerOfErrors(t *testing.T) {
	nan := float32(math.NaN())
	var isNaN *classify.NaNError
	for kind, values := range map[string]tensor.Tensor{
		contract.Probabilities: row(t, []float32{0, nan}, 2),
		contract.Regression:    row(t, []float32{0, nan}, 2),
		contract.Map:           row(t, []float32{0, nan}, 1, 2, 1),
	} {
		_, err := classify.AnswerOf(contract.Output{Name: "y", Kind: kind}, nil, values, 1)
		if !errors.As(err, &isNaN) || isNaN.Index != 1 {
			t.Errorf("%s: got %v, want value 1 to be NaN", kind, err)
		}
	}
	one := labels.Labels{{ID: "a", Name: "a"}}
	for want, c := range map[string]struct {
		output contract.Output
		labels labels.Labels
		row    tensor.Tensor
	}{
		"expected one row of classes": {contract.Output{Kind: contract.Probabilities}, nil,
			row(t, make([]float32, 4), 2, 2)},
		"expected one value of a binary output, got 2": {
			contract.Output{Kind: contract.Binary, Thresholds: []float64{0.5}}, nil,
			row(t, make([]float32, 2), 2)},
		"expected two labels of a binary output, got 1": {
			contract.Output{Kind: contract.Binary, Thresholds: []float64{0.5}}, one,
			row(t, make([]float32, 1), 1)},
		"expected one threshold, or one for each of 3 classes, got 2": {
			contract.Output{Kind: contract.Multilabel, Thresholds: []float64{0.5, 0.5}}, nil,
			row(t, make([]float32, 3), 3)},
		"expected 2 labels, got 1": {
			contract.Output{Kind: contract.Multilabel, Thresholds: []float64{0.5}}, one,
			row(t, make([]float32, 2), 2)},
		"expected height x width x classes of a map": {contract.Output{Kind: contract.Map}, nil,
			row(t, make([]float32, 2), 2)},
	} {
		var output *classify.OutputError
		_, err := classify.AnswerOf(c.output, c.labels, c.row, 1)
		if !errors.As(err, &output) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestActivations compares the activations with Keras's.
func TestActivations(t *testing.T) {
	logits := []float32{-90, -3.5, -1e-3, 0, 1e-3, 0.7, 12, 88}
	text, err := json.Marshal(logits)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(pythontest.Python(t), "-c", `
import json, sys, keras, numpy
x = numpy.array([json.load(sys.stdin)], numpy.float32)
for f in keras.activations.softmax, keras.activations.sigmoid:
    print(json.dumps(numpy.asarray(f(x))[0].tolist()))`)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(out))
	for _, activation := range []string{"softmax", "sigmoid"} {
		var want []float32
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		got, err := classify.ProbabilitiesOf(
			contract.Output{Kind: contract.Logits, Activation: activation},
			row(t, logits, int64(len(logits))))
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if diff := math.Abs(float64(got[i]) - float64(want[i])); diff > 1.2e-7 {
				t.Errorf("%s of %v: got %v, want %v", activation, logits[i], got[i], want[i])
			}
		}
	}
}
