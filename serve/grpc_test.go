package serve

import (
	"bytes"
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/serve/internal/oip"
	"kerasrun/tensor"
)

func dial(t testing.TB, s *Server) *grpc.ClientConn {
	t.Helper()
	_, address := listen(t, s)
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

type grpcInput = oip.ModelInferRequest_InferInputTensor

func grpcImages(contents *oip.InferTensorContents, shape ...int64) *grpcInput {
	return &grpcInput{Name: "images", Datatype: "FP32", Shape: shape, Contents: contents}
}

// Triton's client is tested elsewhere; these are what it would not send.
func TestGRPCErrors(t *testing.T) {
	client := oip.NewGRPCInferenceServiceClient(
		dial(t, startServer(t, &fakeModel{}, func(c *Config) { c.Limits.Body = 1 << 20 })))
	twelve := &oip.InferTensorContents{Fp32Contents: make([]float32, 12)}
	good := grpcImages(twelve, 1, 2, 2, 3)
	string2 := func(key, value string) map[string]*oip.InferParameter {
		return map[string]*oip.InferParameter{
			key: {ParameterChoice: &oip.InferParameter_StringParam{StringParam: value}}}
	}
	for _, c := range []struct {
		name    string
		request *oip.ModelInferRequest
		code    codes.Code
		want    string
	}{
		{"no model", &oip.ModelInferRequest{}, codes.NotFound, "Servable not found"},
		{"version", &oip.ModelInferRequest{ModelName: "fake", ModelVersion: "x"},
			codes.InvalidArgument, "to numeric"},
		{"no inputs", &oip.ModelInferRequest{ModelName: "fake"}, codes.InvalidArgument,
			"expected inputs"},
		{"twice", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{good, good}},
			codes.InvalidArgument, "comes twice"},
		{"raw missing", &oip.ModelInferRequest{ModelName: "fake",
			Inputs:           []*grpcInput{grpcImages(nil, 1, 2, 2, 3)},
			RawInputContents: [][]byte{nil, nil}}, codes.InvalidArgument,
			"expected one for each of 1 inputs"},
		{"both", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{good},
			RawInputContents: [][]byte{{}}}, codes.InvalidArgument, "got both"},
		{"neither", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{
			grpcImages(nil, 1, 2, 2, 3)}}, codes.InvalidArgument, "expected 48 bytes, got 0"},
		{"overflow", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{
			grpcImages(twelve, 1<<40, 1<<40)}}, codes.InvalidArgument, "more elements"},
		{"negative", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{
			grpcImages(twelve, -1, 2, 2, 3)}}, codes.InvalidArgument, "negative"},
		{"no rows", &oip.ModelInferRequest{ModelName: "fake",
			Inputs: []*grpcInput{grpcImages(&oip.InferTensorContents{}, 0, 2, 2, 3)}},
			codes.InvalidArgument, "one or more rows"},
		{"scalar", &oip.ModelInferRequest{ModelName: "fake",
			Inputs: []*grpcInput{grpcImages(&oip.InferTensorContents{Fp32Contents: []float32{1}})}},
			codes.InvalidArgument, "got ()"},
		{"datatype", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{
			{Name: "images", Datatype: "FP8"}}}, codes.InvalidArgument, "FP8"},
		{"half", &oip.ModelInferRequest{ModelName: "fake",
			Inputs: []*grpcInput{{Name: "images", Datatype: "FP16", Shape: []int64{1},
				Contents: twelve}}}, codes.InvalidArgument, "raw_input_contents only"},
		{"range", &oip.ModelInferRequest{ModelName: "fake",
			Inputs: []*grpcInput{{Name: "images", Datatype: "INT8", Shape: []int64{1},
				Contents: &oip.InferTensorContents{IntContents: []int32{128}}}}},
			codes.InvalidArgument,
			"out of the range of int8"},
		{"shared memory", &oip.ModelInferRequest{ModelName: "fake",
			Inputs: []*grpcInput{
				{Name: "images", Datatype: "FP32", Parameters: string2("shared_memory_region",
					"r")}}}, codes.Unimplemented, "shared memory"},
		{"signature", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{good},
			Parameters: string2("signature_name", "none")}, codes.InvalidArgument,
			"not found in signature def"},
		{"output", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{good},
			Outputs: []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "z"}}},
			codes.InvalidArgument, "unexpected inference output"},
		{"classes", &oip.ModelInferRequest{ModelName: "fake", Inputs: []*grpcInput{good},
			Outputs: []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "probs",
				Parameters: map[string]*oip.InferParameter{
					"classification": {ParameterChoice: &oip.InferParameter_Int64Param{
						Int64Param: math.MaxInt64}}}}}}, codes.InvalidArgument,
			"number of classes"},
		{"over the limit", &oip.ModelInferRequest{ModelName: "fake", RawInputContents: [][]byte{
			make([]byte, 1<<20)}}, codes.ResourceExhausted, "larger than max"},
		{"model fails", &oip.ModelInferRequest{ModelName: "fake",
			Parameters: string2("signature_name", "half_plus_two"), Inputs: []*grpcInput{{
				Name: "x", Datatype: "FP32", Shape: []int64{1}, Contents: &oip.InferTensorContents{
					Fp32Contents: []float32{666}}}}}, codes.Internal, "the fake failed"},
	} {
		_, err := client.ModelInfer(t.Context(), c.request)
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.code, c.want)
		}
	}
	if _, err := client.ModelInfer(t.Context(), &oip.ModelInferRequest{ModelName: "fake",
		Inputs: []*grpcInput{good}}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestGRPCTypedContents(t *testing.T) {
	for _, c := range []struct {
		datatype string
		contents *oip.InferTensorContents
		want     tensor.DType
	}{
		{"FP32", &oip.InferTensorContents{Fp32Contents: []float32{1}}, tensor.Float32},
		{"FP64", &oip.InferTensorContents{Fp64Contents: []float64{1}}, tensor.Float64},
		{"INT8", &oip.InferTensorContents{IntContents: []int32{-128}}, tensor.Int8},
		{"INT16", &oip.InferTensorContents{IntContents: []int32{-32768}}, tensor.Int16},
		{"INT32", &oip.InferTensorContents{IntContents: []int32{1}}, tensor.Int32},
		{"INT64", &oip.InferTensorContents{Int64Contents: []int64{1}}, tensor.Int64},
		{"UINT8", &oip.InferTensorContents{UintContents: []uint32{255}}, tensor.Uint8},
		{"UINT16", &oip.InferTensorContents{UintContents: []uint32{65535}}, tensor.Uint16},
		{"UINT32", &oip.InferTensorContents{UintContents: []uint32{1}}, tensor.Uint32},
		{"UINT64", &oip.InferTensorContents{Uint64Contents: []uint64{1}}, tensor.Uint64},
		{"BOOL", &oip.InferTensorContents{BoolContents: []bool{true}}, tensor.Bool},
		{"BYTES", &oip.InferTensorContents{BytesContents: [][]byte{nil}}, tensor.String},
	} {
		got, err := readGRPCInput(&grpcInput{Datatype: c.datatype, Shape: []int64{1},
			Contents: c.contents}, nil, nil)
		if err != nil || got.DType != c.want {
			t.Errorf("%s: got %v, %v", c.datatype, got, err)
		}
	}
}

func TestGRPCToken(t *testing.T) {
	connection := dial(t, startServer(t, &fakeModel{}, func(c *Config) { c.Token = "secret" }))
	client := oip.NewGRPCInferenceServiceClient(connection)
	if _, err := client.ServerLive(t.Context(), &oip.ServerLiveRequest{}); status.Code(
		err) != codes.Unauthenticated {
		t.Errorf("without the token: got %v, want Unauthenticated", err)
	}
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret",
		"x-request-id", "my-7")
	if _, err := client.ServerLive(ctx, &oip.ServerLiveRequest{},
		grpc.Header(&header)); err != nil {
		t.Errorf("with the token: %v", err)
	}
	if got := header.Get("x-request-id"); len(got) != 1 || got[0] != "my-7" {
		t.Errorf("got %q, want the request's id", got)
	}
	health, err := grpc_health_v1.NewHealthClient(connection).Check(t.Context(),
		&grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health, which probes ask for without a token: %v, %v", health, err)
	}
}

// Some of the faults that a model has are its own.
func TestGRPCPanicEndsOneCall(t *testing.T) {
	client := oip.NewGRPCInferenceServiceClient(dial(t, startServer(t, panicking{&fakeModel{}},
		nil)))
	ask := func(x float64) error {
		_, err := client.ModelInfer(context.Background(), &oip.ModelInferRequest{
			ModelName: "fake",
			Parameters: map[string]*oip.InferParameter{
				"signature_name": {ParameterChoice: &oip.InferParameter_StringParam{
					StringParam: "sum"}}},
			Inputs: []*grpcInput{{Name: "x", Datatype: "FP64", Shape: []int64{1},
				Contents: &oip.InferTensorContents{Fp64Contents: []float64{x}}}},
		})
		return err
	}
	if err := ask(13); status.Code(err) != codes.Internal ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want Internal without the panic's words", err)
	}
	if err := ask(1); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What a message would take is reserved before it is decoded: two bytes of it can be a message of a
// hundred in memory.
func TestGRPCReservesBeforeItDecodes(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Limits.InFlight = 16 << 20 })
	g := &grpcService{server: s}
	input := func(contents []byte) []byte {
		raw := protowire.AppendTag(nil, 5, protowire.BytesType)
		raw = protowire.AppendBytes(raw, contents)
		return protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), raw)
	}
	for name, raw := range map[string][]byte{
		"outputs":    bytes.Repeat([]byte{6<<3 | 2, 0}, 1<<20),
		"inputs":     bytes.Repeat([]byte{5<<3 | 2, 0}, 1<<20),
		"parameters": bytes.Repeat([]byte{4<<3 | 2, 0}, 1<<20),
		"contents":   input(bytes.Repeat([]byte{8<<3 | 2, 0}, 1<<20)),
		"numbers": input(protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType),
			make([]byte, 4<<20))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := g.decodeAndInfer(t.Context(), raw)
		runtime.ReadMemStats(&after)
		if known := (*Error)(nil); !errors.As(err, &known) || known.Code != codes.Unavailable {
			t.Errorf("%s: got %v, want Unavailable", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%s: refusing it took %d bytes", name, took)
		}
	}
	if _, err := g.decodeAndInfer(t.Context(), []byte{0xff}); status.Code(asError(err).GRPCStatus().
		Err()) != codes.InvalidArgument {
		t.Errorf("a message that is none: got %v, want InvalidArgument", err)
	}
}
