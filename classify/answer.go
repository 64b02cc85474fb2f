package classify

import (
	"cmp"
	"fmt"
	"slices"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/tensor"
)

// Answer is what one output says of one image. The output's kind says which fields are set.
type Answer struct {
	Output string // its name
	Kind   string // as in the manifest: [contract.Probabilities] and so on

	// Predictions of probabilities, and of logits, whose activation has been applied, are the top
	// classes, best first. Those of a binary output are two: the class that the threshold decides
	// for, then the other. Those of a multilabel output are the classes over their thresholds, the
	// most probable first; there may be none.
	Predictions []labels.Prediction

	// Values of regression, embedding and tensor are the image's row of the output, in its own type
	// and without the batch dimension. Labels name them, where there are as many.
	Values tensor.Tensor
	Labels labels.Labels

	Map *Map // of a map
}

// NaNError says that an output has no meaning for an image: one of its values is NaN.
type NaNError struct {
	Output string
	Index  int // in the image's row of the output, row-major
}

func (e *NaNError) Error() string {
	return fmt.Sprintf("output %q: value %d is NaN", e.Output, e.Index)
}

// AnswerOf says what an image's row of an output, without the batch dimension, means. l are the
// output's labels, nil where it has none. top bounds the classes of probabilities. A NaN is a
// [*NaNError]; a row that is not what the kind has is an [*OutputError].
func AnswerOf(o contract.Output, l labels.Labels, row tensor.Tensor, top int) (Answer, error) {
	a, err := answer(o, l, row, top)
	if err != nil {
		return Answer{}, err
	}
	a.Output, a.Kind = o.Name, o.Kind
	return a, nil
}

func answer(o contract.Output, l labels.Labels, row tensor.Tensor, top int) (a Answer, err error) {
	switch o.ActivatedKind(row.Shape) {
	case contract.Map:
		a.Map, err = classMap(o, l, row)
	case contract.Probabilities, contract.Binary, contract.Multilabel:
		a.Predictions, err = predictions(o, l, row, top)
	default:
		if len(row.Shape) == 1 && int64(len(l)) == row.Shape[0] {
			a.Labels = l
		}
		a.Values = row
		if row.DType != tensor.String && row.DType != tensor.Bool {
			_, err = withoutNaN(o, row)
		}
	}
	return a, err
}

// predictions returns the classes that a row of probabilities, or of logits, is for.
func predictions(
	o contract.Output, l labels.Labels, row tensor.Tensor, top int,
) ([]labels.Prediction, error) {
	values, err := activated(o, row)
	if err != nil {
		return nil, err
	}
	thresholds := o.Thresholds
	if o.Kind == contract.Logits {
		thresholds = []float64{0.5}
	}
	var found []labels.Prediction
	switch o.ActivatedKind(row.Shape) {
	case contract.Binary:
		found, err = binary(values, thresholds, l)
	case contract.Multilabel:
		found, err = multilabel(values, thresholds, l)
	default:
		if l != nil && len(l) != len(values) {
			l = nil
		}
		found, err = labels.Top(values, top, l)
	}
	if err != nil {
		return nil, &OutputError{o.Name, err}
	}
	return found, nil
}

// activated returns a row of classes after the activation of logits.
func activated(o contract.Output, row tensor.Tensor) ([]float32, error) {
	if len(row.Shape) != 1 || row.Shape[0] < 1 {
		return nil, &OutputError{o.Name, errRows(row.Shape)}
	}
	values, err := withoutNaN(o, row)
	switch {
	case err != nil:
		return nil, err
	case o.Kind == contract.Logits && o.Activation == "softmax":
		return softmax(values), nil
	case o.Kind == contract.Logits:
		return sigmoid(values), nil
	}
	return values, nil
}

// ProbabilitiesOf returns the probability of each class that an image's row of an output says:
// after the activation of logits, and of both classes of a binary output. Errors are those of
// [AnswerOf].
func ProbabilitiesOf(o contract.Output, row tensor.Tensor) ([]float32, error) {
	if !o.HasClasses() {
		return nil, &OutputError{o.Name,
			fmt.Errorf("expected probabilities of classes, got %s", o.Kind)}
	}
	values, err := activated(o, row)
	if err == nil && o.ActivatedKind(row.Shape) == contract.Binary && len(values) == 1 {
		values = []float32{1 - values[0], values[0]}
	}
	return values, err
}

// withoutNaN returns a row's values as float32. A NaN is an error.
func withoutNaN(o contract.Output, row tensor.Tensor) ([]float32, error) {
	values, err := row.ConvertFloat32()
	if err != nil {
		return nil, &OutputError{o.Name, err}
	}
	if i := slices.IndexFunc(values, func(x float32) bool { return x != x }); i >= 0 {
		return nil, &NaNError{o.Name, i}
	}
	return values, nil
}

func errRows(shape tensor.Shape) error {
	return fmt.Errorf("expected one row of classes an image, got shape %v of an image", shape)
}

// binary returns the class that a sigmoid and its threshold decide for, and then the other one.
// Keras's BinaryAccuracy has class 1 above the threshold, and class 0 at it and below.
func binary(values []float32, thresholds []float64, l labels.Labels) ([]labels.Prediction, error) {
	if len(values) != 1 || len(thresholds) != 1 {
		return nil, fmt.Errorf("expected one value of a binary output, got %d", len(values))
	}
	if l != nil && len(l) != 2 {
		return nil, fmt.Errorf("expected two labels of a binary output, got %d", len(l))
	}
	p := values[0]
	both := []labels.Prediction{{Index: 0, Probability: 1 - p}, {Index: 1, Probability: p}}
	for i := range both {
		if l != nil {
			both[i].ID, both[i].Name = l[i].ID, l[i].Name
		}
	}
	if float64(p) > thresholds[0] {
		slices.Reverse(both)
	}
	return both, nil
}

// multilabel returns the classes over their thresholds, the most probable first.
func multilabel(
	values []float32, thresholds []float64, l labels.Labels,
) ([]labels.Prediction, error) {
	if len(thresholds) != 1 && len(thresholds) != len(values) {
		return nil, fmt.Errorf("expected one threshold, or one for each of %d classes, got %d",
			len(values), len(thresholds))
	}
	if l != nil && len(l) != len(values) {
		return nil, fmt.Errorf("expected %d labels, got %d", len(values), len(l))
	}
	found := []labels.Prediction{}
	for i, p := range values {
		if float64(p) <= thresholds[i%len(thresholds)] {
			continue
		}
		prediction := labels.Prediction{Index: i, Probability: p}
		if l != nil {
			prediction.ID, prediction.Name = l[i].ID, l[i].Name
		}
		found = append(found, prediction)
	}
	slices.SortStableFunc(found, func(a, b labels.Prediction) int {
		return cmp.Compare(b.Probability, a.Probability)
	})
	return found, nil
}
