package serve

import (
	"errors"
	"strconv"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/tensor"
)

// maxCountedClasses bounds the time series of a version.
const maxCountedClasses = 1024

// watched is the output whose classes and confidence are counted, so that a drift of what is sent
// shows: the one that answers images, where its classes exclude each other. nil where there is
// none.
func (v *version) watched(sig *signature) *contract.Output {
	manifest := v.model.SavedModel().Manifest
	if manifest == nil || sig.Key != v.model.SavedModel().DefaultSignature() {
		return nil
	}
	output, info := manifest.Output(sig.Key, manifest.Answer), sig.Outputs[manifest.Answer]
	if output == nil || len(info.Shape) != 2 {
		return nil
	}
	switch kind := output.ActivatedKind(tensor.Shape(info.Shape[1:])); {
	case kind == contract.Binary, kind == contract.Probabilities && info.Shape[1] > 0:
		return output
	}
	return nil
}

// predicted counts the most probable class of each row of an answer, and how probable it is.
func (m *metrics) predicted(
	v *version, o *contract.Output, names labels.Labels, t tensor.Tensor,
) error {
	number := strconv.FormatInt(v.number, 10)
	for i := range t.Shape[0] {
		row, err := t.Rows(i, i+1)
		if err != nil {
			return err
		}
		row.Shape = row.Shape[1:]
		answer, err := classify.AnswerOf(*o, names, row, 1)
		var isNaN *classify.NaNError
		if errors.As(err, &isNaN) {
			m.classes.WithLabelValues(v.name, number, "NaN", "").Inc()
			continue
		}
		if err != nil || len(answer.Predictions) == 0 {
			return err
		}
		best := answer.Predictions[0]
		m.confidence.WithLabelValues(v.name, number).Observe(float64(best.Probability))
		if row.Shape[0] > maxCountedClasses {
			continue
		}
		m.classes.WithLabelValues(v.name, number, strconv.Itoa(best.Index), best.Name).Inc()
	}
	return nil
}
