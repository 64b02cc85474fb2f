package serve

import (
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/serve/internal/jsontensor"
	"kerasrun/tensor"
)

// servingClassify answers :classify for a model that takes images: an example has one feature, the
// model's input, which holds the bytes of an image. Each answer has every class, the most probable
// first.
func (s *Server) servingClassify(w http.ResponseWriter, r *http.Request, v *version,
	body []byte, held *account) (timing, error) {
	request, err := readServing(body, held, "examples", "context")
	if err != nil {
		return timing{}, err
	}
	sig, err := v.signature(request.signature)
	if err != nil {
		return timing{}, err
	}
	images, err := v.readExamples(request.values["context"], request.values["examples"])
	if err != nil {
		return timing{}, invalid(err)
	}
	output, rows, took, err := s.imageRows(r.Context(), v, sig, images)
	if err != nil {
		return took, err
	}
	text := []byte(`{"results": [`)
	for i, row := range rows {
		if i > 0 {
			text = append(text, ", "...)
		}
		names := v.labels[outputKey{sig.Key, output.Name}]
		classes, err := allClasses(output, names, row)
		if err != nil {
			return took, fmt.Errorf("example %d: %w", i, err)
		}
		text = appendClasses(text, classes)
	}
	took.header(w.Header())
	write(w, http.StatusOK, "application/json", append(text, "]}\n"...))
	return took, nil
}

// allClasses returns every class of an image's row, the most probable first.
func allClasses(
	o contract.Output, names labels.Labels, row tensor.Tensor,
) ([]labels.Prediction, error) {
	if !o.HasClasses() {
		return nil, errorf(codes.FailedPrecondition, "output %q: expected classes, which classify is "+
			"for, got %s: use predict", o.Name, o.Kind)
	}
	values, err := classify.ProbabilitiesOf(o, row)
	if err != nil {
		return nil, err
	}
	if len(names) != len(values) {
		names = nil
	}
	return labels.Top(values, len(values), names)
}

// appendClasses writes [[label, score], ...].
func appendClasses(dst []byte, row []labels.Prediction) []byte {
	dst = append(dst, '[')
	for i, p := range row {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = jsontensor.AppendString(append(dst, '['), p.Name)
		dst = jsontensor.AppendFloat(append(dst, ", "...), float64(p.Probability), 32)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

// readExamples reads the images of [{input: {"b64": ...}}, ...]. A feature may hold its one value
// in a list, as in tf.Example.
func (v *version) readExamples(context, examples *jsontensor.Decoder) (tensor.Tensor, error) {
	if v.images == nil {
		return tensor.Tensor{},
			fmt.Errorf("the model takes no images, and classify is for those that do")
	}
	if context != nil {
		if err := context.Object(func(name string) error {
			return fmt.Errorf(
				"context: the examples of a classifier of images share no feature, got %.100q",
				name)
		}); err != nil {
			return tensor.Tensor{}, err
		}
	}
	if examples == nil {
		return tensor.Tensor{},
			fmt.Errorf("when method is classify, key 'examples' is expected and was not found")
	}
	rows, err := jsontensor.NewRows(tensor.String)
	if err != nil {
		return tensor.Tensor{}, err
	}
	count := 0
	err = examples.Array(func(i int) error {
		count++
		features := 0
		err := examples.Object(func(name string) error {
			features++
			if name != v.imageInput {
				return fmt.Errorf("expected the feature %q, got %.100q", v.imageInput, name)
			}
			return rows.Add(examples)
		})
		if err == nil && features != 1 {
			err = fmt.Errorf("expected the feature %q, got none", v.imageInput)
		}
		if err != nil {
			return fmt.Errorf("example %d: %w", i, err)
		}
		return nil
	})
	if err != nil {
		return tensor.Tensor{}, err
	}
	if count == 0 {
		return tensor.Tensor{}, fmt.Errorf("'examples' value is an empty array")
	}
	images, err := rows.Tensor()
	if err == nil && len(images.Data.([][]byte)) != count {
		err = fmt.Errorf("expected one image an example, got shape %v", images.Shape)
	}
	return images, err
}
