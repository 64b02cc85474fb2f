package serve

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"

	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// datatypes are the Open Inference Protocol's names of the types.
var datatypes = map[tensor.DType]string{
	tensor.Bool: "BOOL", tensor.String: "BYTES",
	tensor.Uint8: "UINT8", tensor.Uint16: "UINT16", tensor.Uint32: "UINT32",
	tensor.Uint64: "UINT64",
	tensor.Int8:   "INT8", tensor.Int16: "INT16", tensor.Int32: "INT32", tensor.Int64: "INT64",
	tensor.Float16: "FP16", tensor.Bfloat16: "BF16", tensor.Float32: "FP32", tensor.Float64: "FP64",
}

func parseDatatype(name string) (tensor.DType, error) {
	for dtype, datatype := range datatypes {
		if name == datatype {
			return dtype, nil
		}
	}
	return 0, errorf(codes.InvalidArgument, "no datatype is called %.40q", name)
}

// oipRequest is an inference request, by whichever transport it came.
type oipRequest struct {
	id        string
	signature string // the parameter signature_name
	inputs    map[string]tensor.Tensor
	outputs   []oipOutput // none: all
	schedule  schedule
	binary    bool // an answer with all outputs has them after the JSON rather than in it
}

// oipOutput is an output that was asked for.
type oipOutput struct {
	name           string
	classification int  // this many classes as text in the place of the tensor; 0 is the tensor
	binary         bool // after the JSON rather than in it
}

// oipTensor is an output of an answer.
type oipTensor struct {
	oipOutput
	tensor.Tensor
}

// inferOIP answers a request with its outputs in the order that was asked for.
func (s *Server) inferOIP(
	ctx context.Context, v *version, request oipRequest,
) ([]oipTensor, timing, error) {
	sig, err := v.signature(request.signature)
	if err != nil {
		return nil, timing{}, err
	}
	if len(request.outputs) == 0 {
		for _, name := range sig.outputs {
			request.outputs = append(request.outputs, oipOutput{name: name, binary: request.binary})
		}
	}
	asked := map[string]bool{}
	for _, o := range request.outputs {
		if _, ok := sig.Outputs[o.name]; !ok {
			return nil, timing{}, errorf(codes.InvalidArgument,
				"unexpected inference output %.100q for model %q, which has %v", o.name, v.name,
				sig.outputs)
		}
		if asked[o.name] {
			return nil, timing{}, errorf(codes.InvalidArgument, "output %q is asked for twice",
				o.name)
		}
		asked[o.name] = true
	}
	ctx, cancel := request.schedule.apply(ctx)
	defer cancel()
	out, took, err := s.run(ctx, v, sig, request.inputs)
	if err != nil {
		return nil, took, err
	}
	answer := make([]oipTensor, len(request.outputs))
	for i, o := range request.outputs {
		answer[i] = oipTensor{o, out[o.name]}
		if o.classification > 0 {
			if answer[i].Tensor, err = classification(out[o.name],
				v.labels[outputKey{sig.Key, o.name}], o.classification); err != nil {
				return nil, took, fmt.Errorf("output %q: %w", o.name, err)
			}
		}
	}
	return answer, took, nil
}

// classification is the extension of that name: "value:index:label" of the top classes, as BYTES of
// a row a batch row. names are nil where the classes have none.
func classification(t tensor.Tensor, names labels.Labels, top int) (tensor.Tensor, error) {
	if t.DType != tensor.Float32 || len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 {
		return t, errorf(codes.InvalidArgument,
			"classification wants FP32 with one row of classes, not %s %v", datatypes[t.DType],
			t.Shape)
	}
	values, err := t.Float32s()
	if err != nil {
		return t, err
	}
	rows, classes := t.Shape[0], int(t.Shape[1])
	if len(names) != classes {
		names = nil
	}
	var text [][]byte
	for row := range slices.Chunk(values, classes) {
		best, err := labels.Top(row, top, names)
		if err != nil {
			return t, err
		}
		for _, p := range best {
			text = append(text, classificationText(p))
		}
	}
	return tensor.New(tensor.Shape{rows, int64(len(text)) / rows}, text)
}

func classificationText(p labels.Prediction) []byte {
	text := fmt.Appendf(nil, "%f:%d", p.Probability, p.Index)
	if p.Name != "" {
		text = fmt.Appendf(text, ":%s", p.Name)
	}
	return text
}

// serverExtensions are the parts of the protocol that go beyond its core.
var serverExtensions = []string{"binary_tensor_data", "classification", "model_configuration",
	"model_repository", "statistics", "schedule_policy", "trace", "logging"}

// oipMetadata describes the tensors of one side of a signature, in the order of their names.
func oipMetadata(names []string, tensors map[string]savedmodel.TensorInfo) []tensorMetadata {
	out := make([]tensorMetadata, len(names))
	for i, name := range names {
		t := tensors[name]
		out[i] = tensorMetadata{name, datatypes[t.DType], slices.Clone(t.Shape)}
		if out[i].Shape == nil {
			out[i].Shape = []int64{} // of unknown rank, for which the protocol has no word
		}
	}
	return out
}

type tensorMetadata struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

type modelMetadata struct {
	Name     string           `json:"name"`
	Versions []string         `json:"versions"`
	Platform string           `json:"platform"`
	Inputs   []tensorMetadata `json:"inputs"`
	Outputs  []tensorMetadata `json:"outputs"`
}

const platform = "tensorflow_savedmodel"

// describe returns the metadata of a version's default signature.
func (s *Server) describe(c choice) (modelMetadata, error) {
	v, release, err := s.repository.acquire(c)
	if err != nil {
		return modelMetadata{}, err
	}
	defer release()
	sig, err := v.signature("")
	if err != nil {
		return modelMetadata{}, err
	}
	return modelMetadata{
		Name: v.name, Versions: s.repository.versions(v.name), Platform: platform,
		Inputs: oipMetadata(sig.inputs, sig.Inputs), Outputs: oipMetadata(sig.outputs, sig.Outputs),
	}, nil
}

// choose reads a version as the protocol has it: a string, empty for the server's choice.
func choose(model, version string) choice { return choice{model: model, number: version} }

// modelIsReady returns nil where a version can answer now.
func (s *Server) modelIsReady(c choice) error {
	if s.draining.Load() {
		return errorf(codes.Unavailable, "the server is shutting down")
	}
	v, release, err := s.repository.acquire(c)
	if err != nil {
		return err
	}
	defer release()
	return v.down()
}
