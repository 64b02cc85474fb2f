package serve

import (
	"context"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
	"kerasrun/tfserving"
)

// exampleModel has signatures for classify and regress beside those of the fake: of each example,
// the labels "long" and "short" with its bytes as scores, and the bytes themselves.
type exampleModel struct{ *fakeModel }

func (m exampleModel) SavedModel() *savedmodel.Model {
	model := m.fakeModel.SavedModel()
	examples := map[string]savedmodel.TensorInfo{"inputs": info("inputs", tensor.String, -1)}
	model.MetaGraphs[0].Signatures = append(slices.Clone(fakeSignatures),
		savedmodel.Signature{Key: "classify", Method: methodClassify, Inputs: examples,
			Outputs: map[string]savedmodel.TensorInfo{
				"classes": info("classes", tensor.String, -1, 2),
				"scores":  info("scores", tensor.Float32, -1, 2)}},
		savedmodel.Signature{Key: "regress", Method: methodRegress, Inputs: examples,
			Outputs: map[string]savedmodel.TensorInfo{
				"outputs": info("outputs", tensor.Float32, -1, 1)}})
	return model
}

func (m exampleModel) RunSignature(ctx context.Context, key string, in map[string]tensor.Tensor) (
	out map[string]tensor.Tensor, err error) {
	if key != "classify" && key != "regress" {
		return m.fakeModel.RunSignature(ctx, key, in)
	}
	var classes [][]byte
	var scores, sizes []float32
	for _, text := range in["inputs"].Data.([][]byte) {
		var example tfserving.Example
		if err := proto.Unmarshal(text, &example); err != nil {
			return nil, err
		}
		size := float32(0)
		for _, feature := range example.Features.Feature {
			for _, v := range feature.GetFloatList().GetValue() {
				size += v
			}
		}
		classes = append(classes, []byte("long"), []byte("short"))
		scores = append(scores, size, -size)
		sizes = append(sizes, size)
	}
	rows := int64(len(sizes))
	if key == "regress" {
		sum, err := tensor.New(tensor.Shape{rows, 1}, sizes)
		return map[string]tensor.Tensor{"outputs": sum}, err
	}
	out = map[string]tensor.Tensor{}
	if out["classes"], err = tensor.New(tensor.Shape{rows, 2}, classes); err != nil {
		return nil, err
	}
	out["scores"], err = tensor.New(tensor.Shape{rows, 2}, scores)
	return out, err
}

func floatsExample(name string, values ...float32) *tfserving.Example {
	return &tfserving.Example{Features: &tfserving.Features{Feature: map[string]*tfserving.Feature{
		name: {Kind: &tfserving.Feature_FloatList{FloatList: &tfserving.FloatList{Value: values}}}}}}
}

func bytesExample(name string, values ...[]byte) *tfserving.Example {
	return &tfserving.Example{Features: &tfserving.Features{Feature: map[string]*tfserving.Feature{
		name: {Kind: &tfserving.Feature_BytesList{BytesList: &tfserving.BytesList{Value: values}}}}}}
}

func examplesInput(examples ...*tfserving.Example) *tfserving.Input {
	return &tfserving.Input{Kind: &tfserving.Input_ExampleList{
		ExampleList: &tfserving.ExampleList{Examples: examples}}}
}

func spec(signature string) *tfserving.ModelSpec {
	return &tfserving.ModelSpec{Name: "fake", SignatureName: signature}
}

func specVersion(number int64) *tfserving.ModelSpec {
	return &tfserving.ModelSpec{Name: "fake", SignatureName: "half_plus_two",
		VersionChoice: &tfserving.ModelSpec_Version{Version: wrapperspb.Int64(number)}}
}

func specLabel(label string) *tfserving.ModelSpec {
	return &tfserving.ModelSpec{Name: "fake", SignatureName: "half_plus_two",
		VersionChoice: &tfserving.ModelSpec_VersionLabel{VersionLabel: label}}
}

func floatTensor(values []float32, shape ...int64) *tfserving.TensorProto {
	return &tfserving.TensorProto{Dtype: tfserving.DataType_DT_FLOAT,
		TensorShape: shapeProto(append(tensor.Shape{}, shape...)), FloatVal: values}
}

func stringTensor(values ...[]byte) *tfserving.TensorProto {
	return &tfserving.TensorProto{Dtype: tfserving.DataType_DT_STRING,
		TensorShape: shapeProto(tensor.Shape{int64(len(values))}), StringVal: values}
}

type tensorProtos = map[string]*tfserving.TensorProto

func TestServingGRPCPredict(t *testing.T) {
	client := tfserving.NewPredictionServiceClient(dial(t, startServer(t, &fakeModel{}, nil)))
	half := tensorProtos{"x": floatTensor([]float32{1, 2, 5}, 3)}
	for _, c := range []struct {
		name    string
		request *tfserving.PredictRequest
		want    tensorProtos
	}{
		{"newest", &tfserving.PredictRequest{ModelSpec: spec("half_plus_two"), Inputs: half},
			tensorProtos{"y": floatTensor([]float32{2.5, 3, 4.5}, 3)}},
		{"version", &tfserving.PredictRequest{ModelSpec: specVersion(1), Inputs: half},
			tensorProtos{"y": floatTensor([]float32{2.5, 3, 4.5}, 3)}},
		{"version 0", &tfserving.PredictRequest{ModelSpec: specVersion(0), Inputs: half},
			tensorProtos{"y": floatTensor([]float32{2.5, 3, 4.5}, 3)}},
		{"label", &tfserving.PredictRequest{ModelSpec: specLabel("stable"), Inputs: half},
			tensorProtos{"y": floatTensor([]float32{2.5, 3, 4.5}, 3)}},
		{"repeated value", &tfserving.PredictRequest{ModelSpec: spec("half_plus_two"),
			Inputs: tensorProtos{"x": floatTensor([]float32{1}, 2)}},
			tensorProtos{"y": floatTensor([]float32{2.5, 2.5}, 2)}},
		{"tensor", &tfserving.PredictRequest{ModelSpec: spec(""),
			Inputs: tensorProtos{"images": floatTensor([]float32{1}, 1, 2, 2, 3)}},
			tensorProtos{"logits": floatTensor([]float32{4, 4, 4}, 1, 3),
				"probs": floatTensor([]float32{4. / 12, 4. / 12, 4. / 12}, 1, 3)}},
		{"images", &tfserving.PredictRequest{ModelSpec: spec(""), OutputFilter: []string{"probs"},
			Inputs: tensorProtos{"images": stringTensor(pngImage(t, 255, 0, 0),
				pngImage(t, 0, 0, 9))}},
			tensorProtos{"probs": floatTensor([]float32{1, 0, 0, 0, 0, 1}, 2, 3)}},
	} {
		answer, err := client.Predict(t.Context(), c.request)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := &tfserving.PredictResponse{Outputs: c.want, ModelSpec: specVersion(1)}
		want.ModelSpec.SignatureName = signatureKey(c.request.ModelSpec)
		if !proto.Equal(answer, want) {
			t.Errorf("%s: got %v, want %v", c.name, answer, want)
		}
	}
}

// The codes and words are TensorFlow Serving's, but for shapes, types and images.
func TestServingGRPCErrors(t *testing.T) {
	connection := dial(t, startServer(t, exampleModel{&fakeModel{}}, nil))
	client := tfserving.NewPredictionServiceClient(connection)
	models := tfserving.NewModelServiceClient(connection)
	predict := func(spec *tfserving.ModelSpec, in tensorProtos, filter ...string) error {
		_, err := client.Predict(t.Context(), &tfserving.PredictRequest{ModelSpec: spec, Inputs: in,
			OutputFilter: filter})
		return err
	}
	classify := func(signature string, examples ...*tfserving.Example) error {
		_, err := client.Classify(t.Context(), &tfserving.ClassificationRequest{
			ModelSpec: spec(signature), Input: examplesInput(examples...)})
		return err
	}
	multi := func(tasks ...*tfserving.InferenceTask) error {
		_, err := client.MultiInference(t.Context(), &tfserving.MultiInferenceRequest{Tasks: tasks,
			Input: examplesInput(floatsExample("a", 1))})
		return err
	}
	metadata := func(spec *tfserving.ModelSpec, fields ...string) error {
		_, err := client.GetModelMetadata(t.Context(), &tfserving.GetModelMetadataRequest{
			ModelSpec: spec, MetadataField: fields})
		return err
	}
	state := func(spec *tfserving.ModelSpec) error {
		_, err := models.GetModelStatus(t.Context(), &tfserving.GetModelStatusRequest{
			ModelSpec: spec})
		return err
	}
	half := tensorProtos{"x": floatTensor([]float32{1}, 1)}
	_, reload := models.HandleReloadConfigRequest(t.Context(), &tfserving.ReloadConfigRequest{})
	_, regress := client.Regress(t.Context(), &tfserving.RegressionRequest{ModelSpec: spec("")})
	for _, c := range []struct {
		name string
		err  error
		code codes.Code
		want string
	}{
		{"no spec", predict(nil, half), codes.InvalidArgument, "Missing ModelSpec"},
		{"model", predict(&tfserving.ModelSpec{Name: "none"}, half), codes.NotFound,
			"Servable not found for request: Latest(none)"},
		{"version", predict(specVersion(7), half), codes.NotFound,
			"Servable not found for request: Specific(fake, 7)"},
		{"negative version", predict(specVersion(-1), half), codes.NotFound,
			"Servable not found for request: Specific(fake, -1)"},
		{"label", predict(specLabel("none"), half), codes.InvalidArgument,
			"Unrecognized servable version label: none"},
		{"signature", predict(spec("none"), half), codes.FailedPrecondition,
			`Serving signature key "none" not found.`},
		{"no inputs", predict(spec("half_plus_two"), nil), codes.InvalidArgument,
			"input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. " +
				"Missing but required: {x}."},
		{"other input", predict(spec("half_plus_two"), tensorProtos{"z": half["x"]}),
			codes.InvalidArgument, "input tensor alias not found in signature: z. Inputs expected " +
				"to be in the set {x}."},
		{"parsing", predict(spec("half_plus_two"), tensorProtos{"x": floatTensor([]float32{1, 2},
			1)}), codes.InvalidArgument, "tensor parsing error: x"},
		{"shape", predict(spec(""), tensorProtos{"images": floatTensor(nil, 1, 2, 3, 3)}),
			codes.InvalidArgument, "expected (-1, 2, 2, 3), got (1, 2, 3, 3)"},
		{"type", predict(spec("sum"), half), codes.InvalidArgument, "expected float64, got float32"},
		{"no image", predict(spec(""), tensorProtos{"images": stringTensor([]byte("x"))}),
			codes.InvalidArgument, ""},
		{"output", predict(spec("half_plus_two"), half, "z"), codes.InvalidArgument,
			"output tensor alias not found in signature: z Outputs expected to be in the set {y}."},
		{"output twice", predict(spec("half_plus_two"), half, "y", "y"), codes.InvalidArgument,
			"duplicate output tensor alias: y"},
		{"memory", predict(spec("half_plus_two"), tensorProtos{"x": floatTensor([]float32{1},
			1<<40)}), codes.Unavailable, "too much memory"},
		{"the model fails", predict(spec("half_plus_two"), tensorProtos{"x": floatTensor(
			[]float32{666}, 1)}), codes.Internal, "the fake failed"},
		{"no metadata", metadata(spec("")), codes.InvalidArgument, "at least one metadata_field"},
		{"other metadata", metadata(spec(""), "all"), codes.InvalidArgument,
			"Metadata field all is not supported"},
		{"metadata of a model", metadata(&tfserving.ModelSpec{Name: "none"}, "signature_def"),
			codes.NotFound, "Servable not found for request: Latest(none)"},
		{"state without a spec", state(nil), codes.InvalidArgument, "Missing ModelSpec"},
		{"state of a model", state(&tfserving.ModelSpec{Name: "none"}), codes.NotFound,
			"Could not find any versions of model none"},
		{"state of a version", state(specVersion(7)), codes.NotFound,
			"Could not find version 7 of model fake"},
		{"reload", reload, codes.Unimplemented, "--model-config-file"},
		{"regress", regress, codes.InvalidArgument, "regress is for, got probabilities"},
		{"classify nothing", classify(""), codes.InvalidArgument, "Input is empty."},
		{"classify no signature", classify("none", floatsExample("a")), codes.InvalidArgument,
			"No signature was found with the name: none"},
		{"another feature", classify("", bytesExample("x", nil)), codes.InvalidArgument,
			`expected the feature "images"`},
		{"two images", classify("", bytesExample("images", nil, nil)), codes.InvalidArgument,
			"2 values"},
		{"numbers", classify("", floatsExample("images", 1)), codes.InvalidArgument, "0 values"},
		{"no tasks", multi(), codes.InvalidArgument, "expected tasks, got none"},
		{"same signature", multi(
			&tfserving.InferenceTask{ModelSpec: spec("classify"), MethodName: methodClassify},
			&tfserving.InferenceTask{ModelSpec: spec("classify"), MethodName: methodClassify}),
			codes.InvalidArgument, "Duplicate evaluation of signature: classify"},
		{"other method", multi(&tfserving.InferenceTask{ModelSpec: spec("classify"),
			MethodName: "predict"}), codes.Unimplemented, "Unsupported signature method_name"},
		{"other model", multi(
			&tfserving.InferenceTask{ModelSpec: spec("classify"), MethodName: methodClassify},
			&tfserving.InferenceTask{ModelSpec: &tfserving.ModelSpec{Name: "b"},
				MethodName: methodClassify}), codes.InvalidArgument, "the same model name"},
	} {
		if status.Code(c.err) != c.code || !strings.Contains(status.Convert(c.err).Message(), c.want) {
			t.Errorf("%s: got %v, want %v with %q", c.name, c.err, c.code, c.want)
		}
	}
	if err := predict(spec("half_plus_two"), half); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestServingGRPCExamples(t *testing.T) {
	client := tfserving.NewPredictionServiceClient(dial(t, startServer(t,
		exampleModel{&fakeModel{}}, nil)))
	shared := &tfserving.Input{Kind: &tfserving.Input_ExampleListWithContext{
		ExampleListWithContext: &tfserving.ExampleListWithContext{
			Context:  floatsExample("b", 10),
			Examples: []*tfserving.Example{floatsExample("a", 1), floatsExample("b", 2)}}}}
	regressed, err := client.Regress(t.Context(), &tfserving.RegressionRequest{
		ModelSpec: spec("regress"), Input: shared})
	if err != nil {
		t.Fatal(err)
	}
	want := &tfserving.RegressionResult{Regressions: []*tfserving.Regression{{Value: 11},
		{Value: 2}}}
	if !proto.Equal(regressed.Result, want) || regressed.ModelSpec.GetVersion().GetValue() != 1 {
		t.Errorf("regress: got %v, want %v", regressed, want)
	}
	classes := &tfserving.ClassificationResult{Classifications: []*tfserving.Classifications{
		{Classes: []*tfserving.Class{{Label: "long", Score: 3}, {Label: "short", Score: -3}}}}}
	classified, err := client.Classify(t.Context(), &tfserving.ClassificationRequest{
		ModelSpec: spec("classify"), Input: examplesInput(floatsExample("a", 1, 2))})
	if err != nil || !proto.Equal(classified.Result, classes) {
		t.Errorf("classify: got %v, %v, want %v", classified, err, classes)
	}
	all, err := client.MultiInference(t.Context(), &tfserving.MultiInferenceRequest{
		Tasks: []*tfserving.InferenceTask{
			{ModelSpec: spec("classify"), MethodName: methodClassify},
			{ModelSpec: spec("regress"), MethodName: methodRegress}},
		Input: examplesInput(floatsExample("a", 1, 2))})
	if err != nil || !proto.Equal(all.Results[0].GetClassificationResult(), classes) ||
		all.Results[1].GetRegressionResult().GetRegressions()[0].GetValue() != 3 {
		t.Errorf("both: got %v, %v", all, err)
	}
	images, err := client.Classify(t.Context(), &tfserving.ClassificationRequest{
		ModelSpec: spec(""), Input: examplesInput(bytesExample("images", pngImage(t, 0, 255, 0)))})
	if err != nil {
		t.Fatal(err)
	}
	if best := images.Result.Classifications[0].Classes; len(best) != 3 ||
		best[0].Label != "green" || best[0].Score != 1 {
		t.Errorf("an image: got %v, want green and the other two", best)
	}
}

// No number of a message is added to or multiplied unchecked.
func TestServingGRPCHostileNumbers(t *testing.T) {
	client := tfserving.NewPredictionServiceClient(dial(t, startServer(t, &fakeModel{}, nil)))
	for _, n := range hostileNumbers {
		for name, p := range map[string]*tfserving.TensorProto{
			"no values": floatTensor(nil, n, 2, 2, 3),
			"one value": floatTensor([]float32{1}, n, 2, 2, 3),
			"last":      floatTensor([]float32{1}, 1, 2, 2, n),
			"strings": {Dtype: tfserving.DataType_DT_STRING, StringVal: [][]byte{{}},
				TensorShape: shapeProto(tensor.Shape{n})},
			"content": {Dtype: tfserving.DataType_DT_FLOAT, TensorContent: make([]byte, 48),
				TensorShape: shapeProto(tensor.Shape{n, 2, 2, 3})},
			"lengths": {Dtype: tfserving.DataType_DT_STRING, TensorContent: make([]byte, 48),
				TensorShape: shapeProto(tensor.Shape{n})},
			"type": {Dtype: tfserving.DataType(int32(n)), TensorContent: make([]byte, 48),
				TensorShape: shapeProto(tensor.Shape{1, 2, 2, 4})},
		} {
			_, err := client.Predict(t.Context(), &tfserving.PredictRequest{ModelSpec: spec(""),
				Inputs: tensorProtos{"images": p}})
			if c := status.Code(err); c != codes.InvalidArgument && c != codes.Unavailable {
				t.Errorf("%s of %d: got %v, want InvalidArgument or Unavailable", name, n, err)
			}
		}
		if n == 1 {
			continue
		}
		_, err := client.Predict(t.Context(), &tfserving.PredictRequest{ModelSpec: specVersion(n)})
		if status.Code(err) != codes.NotFound {
			t.Errorf("version %d: got %v, want NotFound", n, err)
		}
	}
	if _, err := client.Predict(t.Context(), &tfserving.PredictRequest{
		ModelSpec: spec("half_plus_two"),
		Inputs: tensorProtos{"x": floatTensor([]float32{float32(math.Inf(1))},
			1)}}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestGRPCCompression(t *testing.T) {
	client := tfserving.NewPredictionServiceClient(dial(t, startServer(t, &fakeModel{}, nil)))
	for _, name := range []string{gzip.Name, "deflate"} {
		answer, err := client.Predict(t.Context(), &tfserving.PredictRequest{
			ModelSpec: spec("half_plus_two"),
			Inputs:    tensorProtos{"x": floatTensor(make([]float32, 1000), 1000)},
		}, grpc.UseCompressor(name))
		if err != nil || len(answer.Outputs["y"].FloatVal) != 1000 {
			t.Errorf("%s: got %.200v, %v", name, answer, err)
		}
	}
}

func TestGRPCHealthAndReflection(t *testing.T) {
	connection := dial(t, startServer(t, &fakeModel{}, nil))
	health := grpc_health_v1.NewHealthClient(connection)
	for service, want := range map[string]codes.Code{"": codes.OK,
		"tensorflow.serving.PredictionService": codes.OK, "tensorflow.serving.ModelService": codes.OK,
		"inference.GRPCInferenceService": codes.OK, "none": codes.NotFound} {
		if _, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{
			Service: service}); status.Code(err) != want {
			t.Errorf("%q: got %v, want %v", service, err, want)
		}
	}
	stream, err := reflectionpb.NewServerReflectionClient(connection).ServerReflectionInfo(
		t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []*reflectionpb.ServerReflectionRequest{
		{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}},
		{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: "tensorflow.serving.PredictionService"}},
	} {
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil || answer.GetErrorResponse() != nil ||
			!strings.Contains(answer.String(), "tensorflow.serving.PredictionService") &&
				answer.GetFileDescriptorResponse() == nil {
			t.Errorf("%v: got %v, %v", request, answer, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
}
