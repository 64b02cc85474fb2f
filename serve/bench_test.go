package serve

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"kerasrun/contract"
	"kerasrun/savedmodel"
	"kerasrun/serve/internal/oip"
	"kerasrun/tensor"
)

// instant has ResNeXt50's input and output, and computes nothing.
type instant struct{ fakeModel }

const resnextSide, resnextClasses = 224, 1000

func (*instant) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{
		MetaGraphs: []savedmodel.MetaGraph{
			{Tags: []string{"serve"}, Signatures: []savedmodel.Signature{{
				Key: "serving_default",
				Inputs: map[string]savedmodel.TensorInfo{
					"images": info("images", tensor.Float32, -1,
						resnextSide, resnextSide, 3)},
				Outputs: map[string]savedmodel.TensorInfo{"probs": info("probs", tensor.Float32, -1,
					resnextClasses)},
			}}}},
		Manifest: &contract.Manifest{
			Inputs: []contract.Input{contract.Input1{
				Name: "images", DType: "float32", Height: resnextSide, Width: resnextSide, Channels: 3,
				Layout:     "NHWC",
				ColorOrder: "BGR", Mode: "caffe", Resample: "nearest", Fit: "stretch",
			}.Input()},
			Outputs: map[string][]contract.Output{contract.DefaultSignature: {
				{Name: "probs", Kind: contract.Probabilities}}},
			Answer: "probs",
		},
	}
}

func (*instant) RunSignature(_ context.Context, _ string,
	in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	rows := in["images"].Shape[0]
	probs, err := tensor.New(tensor.Shape{rows, resnextClasses},
		make([]float32, rows*resnextClasses))
	return map[string]tensor.Tensor{"probs": probs}, err
}

// BenchmarkServe measures what each protocol adds to a run: one request after the other over a
// connection, client included, for one image or its tensor, to a model that takes no time.
func BenchmarkServe(b *testing.B) {
	s := startServer(b, &instant{}, nil)
	address, _ := listen(b, s)
	photo, err := os.ReadFile("../testdata/photos/china.jpg")
	if err != nil {
		b.Fatal(err)
	}
	raw := make([]byte, resnextSide*resnextSide*3*4)
	header := fmt.Sprintf(`{"inputs": [{"name": "images", "datatype": "FP32", "shape": [1, %d, `+
		`%d, 3], "parameters": {"binary_data_size": %d}}], `+
		`"outputs": [{"name": "probs", "parameters": {"binary_data": true}}]}`, resnextSide,
		resnextSide, len(raw))
	list := func(element string, n int) string {
		return "[" + strings.Repeat(element+", ", n-1) +
			element + "]"
	}
	for _, c := range []struct{ name, path, body, length string }{
		{"oip", "/v2/models/fake/infer", header + string(raw), fmt.Sprint(len(header))},
		{"tensorflow", "/v1/models/fake:predict", `{"instances": [` +
			list(list("[-103.939, -116.779, -123.68]", resnextSide), resnextSide) + `]}`, ""},
		{"classify", "/classify", string(photo), ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+
					address+c.path, strings.NewReader(c.body))
				if err != nil {
					b.Fatal(err)
				}
				if c.length != "" {
					request.Header.Set(headerLength, c.length)
				}
				answer, err := http.DefaultClient.Do(request)
				if err != nil {
					b.Fatal(err)
				}
				text, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if err != nil || answer.StatusCode != http.StatusOK {
					b.Fatalf("%d %.300s %v", answer.StatusCode, text, err)
				}
			}
		})
	}
	b.Run("grpc", func(b *testing.B) {
		client := oip.NewGRPCInferenceServiceClient(dial(b, s))
		request := &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{
			grpcImages(nil, 1, resnextSide, resnextSide, 3)}, RawInputContents: [][]byte{raw}}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.ModelInfer(b.Context(), request); err != nil {
				b.Fatal(err)
			}
		}
	})
}
