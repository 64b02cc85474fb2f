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
	"kerasrun/tfserving"
)

// servingClassify answers :classify as gRPC's Classify answers the same examples. The JSON of
// requests and answers is that of TensorFlow Serving's json_tensor.cc.
func (s *Server) servingClassify(w http.ResponseWriter, r *http.Request, v *version,
	body []byte, held *account) (timing, error) {
	key, input, err := v.readExamples(body, held, "classify")
	if err != nil {
		return timing{}, err
	}
	result, took, err := s.classifyExamples(r.Context(), v, key, input, held)
	if err != nil {
		return took, err
	}
	text := []byte(`{"results": [`)
	for i, row := range result.Classifications {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = appendClasses(text, row.Classes)
	}
	took.header(w.Header())
	write(w, http.StatusOK, "application/json", append(text, "]}\n"...))
	return took, nil
}

// servingRegress answers :regress as gRPC's Regress answers the same examples.
func (s *Server) servingRegress(w http.ResponseWriter, r *http.Request, v *version,
	body []byte, held *account) (timing, error) {
	key, input, err := v.readExamples(body, held, "regress")
	if err != nil {
		return timing{}, err
	}
	result, took, err := s.regressExamples(r.Context(), v, key, input, held)
	if err != nil {
		return took, err
	}
	text := []byte(`{"results": [`)
	for i, regression := range result.Regressions {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = jsontensor.AppendFloat(text, float64(regression.Value), 32)
	}
	took.header(w.Header())
	write(w, http.StatusOK, "application/json", append(text, "]}\n"...))
	return took, nil
}

// allClasses returns every class of an image's row, the most probable first.
func allClasses(
	o contract.Output, names labels.Labels, row tensor.Tensor,
) ([]labels.Prediction, error) {
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
func appendClasses(dst []byte, row []*tfserving.Class) []byte {
	dst = append(dst, '[')
	for i, class := range row {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = jsontensor.AppendString(append(dst, '['), class.Label)
		dst = jsontensor.AppendFloat(append(dst, ", "...), float64(class.Score), 32)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

// readExamples reads {"signature_name": ..., "context": {...}, "examples": [{feature: value}, ...]}
// and returns the signature's key and the examples.
func (v *version) readExamples(body []byte, held *account, method string) (string,
	*tfserving.Input, error) {
	request, err := readServing(body, held, "examples", "context")
	if err != nil {
		return "", nil, err
	}
	key := request.signature
	if key == "" {
		key = v.model.SavedModel().DefaultSignature()
	}
	list := request.values["examples"]
	if list == nil {
		return "", nil, errorf(codes.InvalidArgument,
			"When method is %s, key 'examples' is expected and was not found", method)
	}
	var context *tfserving.Example
	if d := request.values["context"]; d != nil {
		if context, err = readExample(d, held); err != nil {
			return "", nil, invalid(fmt.Errorf("context: %w", err))
		}
	}
	var examples []*tfserving.Example
	err = list.Array(func(i int) error {
		example, err := readExample(list, held)
		if err != nil {
			return fmt.Errorf("example %d: %w", i, err)
		}
		examples = append(examples, example)
		return nil
	})
	if err == nil && len(examples) == 0 {
		err = fmt.Errorf("'examples' value is an empty array")
	}
	if err != nil {
		return "", nil, invalid(err)
	}
	if context == nil {
		return key, &tfserving.Input{Kind: &tfserving.Input_ExampleList{
			ExampleList: &tfserving.ExampleList{Examples: examples}}}, nil
	}
	return key, &tfserving.Input{Kind: &tfserving.Input_ExampleListWithContext{
		ExampleListWithContext: &tfserving.ExampleListWithContext{
			Context: context, Examples: examples}}}, nil
}

// exampleCost is about what an example, a feature and a value take in memory besides their bytes.
const exampleCost = 64

// readExample reads {feature: value or [values]}: numbers with a decimal point or an exponent are
// floats, others and booleans 64-bit integers, strings and {"b64": ...} bytes.
func readExample(d *jsontensor.Decoder, held *account) (*tfserving.Example, error) {
	features := map[string]*tfserving.Feature{}
	err := held.take(exampleCost)
	if err != nil {
		return nil, err
	}
	err = d.Object(func(name string) error {
		feature := &tfserving.Feature{}
		features[name] = feature
		add := func() error {
			if err := held.take(exampleCost); err != nil {
				return err
			}
			if err := addValue(feature, d); err != nil {
				return fmt.Errorf("feature %.100q: %w", name, err)
			}
			return nil
		}
		if d.Kind() != jsontensor.Array {
			return add()
		}
		return d.Array(func(int) error { return add() })
	})
	return &tfserving.Example{Features: &tfserving.Features{Feature: features}}, err
}

// addValue reads one value of a feature, all of which are of one kind.
func addValue(f *tfserving.Feature, d *jsontensor.Decoder) error {
	switch kind := d.Kind(); kind {
	case jsontensor.String, jsontensor.Object:
		value, err := d.Bytes()
		if err != nil {
			return err
		}
		if f.Kind == nil {
			f.Kind = &tfserving.Feature_BytesList{BytesList: &tfserving.BytesList{}}
		}
		list := f.GetBytesList()
		if list == nil {
			return mixedKinds(f)
		}
		list.Value = append(list.Value, value)
		return nil
	case jsontensor.Number:
		if d.DecimalNext() {
			return addFloat(f, d)
		}
		value, err := d.Int()
		if err != nil {
			return err
		}
		return addInt(f, value)
	case jsontensor.Bool:
		value, err := d.Bool()
		if err != nil {
			return err
		}
		if value {
			return addInt(f, 1)
		}
		return addInt(f, 0)
	default:
		return fmt.Errorf("element with unexpected JSON type: %s", kind)
	}
}

func addFloat(f *tfserving.Feature, d *jsontensor.Decoder) error {
	value, err := d.Float32()
	if err != nil {
		return err
	}
	if f.Kind == nil {
		f.Kind = &tfserving.Feature_FloatList{FloatList: &tfserving.FloatList{}}
	}
	list := f.GetFloatList()
	if list == nil {
		return mixedKinds(f)
	}
	list.Value = append(list.Value, value)
	return nil
}

func addInt(f *tfserving.Feature, value int64) error {
	if f.Kind == nil {
		f.Kind = &tfserving.Feature_Int64List{Int64List: &tfserving.Int64List{}}
	}
	list := f.GetInt64List()
	if list == nil {
		return mixedKinds(f)
	}
	list.Value = append(list.Value, value)
	return nil
}

func mixedKinds(f *tfserving.Feature) error {
	kind := "bytes"
	switch f.Kind.(type) {
	case *tfserving.Feature_FloatList:
		kind = "float"
	case *tfserving.Feature_Int64List:
		kind = "int64"
	}
	return fmt.Errorf("unexpected element type, expecting type: %s", kind)
}
