package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	"google.golang.org/protobuf/proto"

	"kerasrun/serve/internal/oip"
	"kerasrun/tensor"
	"kerasrun/tfserving"
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
		{"other contents too", &oip.ModelInferRequest{ModelName: "fake",
			Inputs: []*grpcInput{{Name: "images", Datatype: "FP32", Shape: []int64{1, 2, 2, 3},
				Contents: &oip.InferTensorContents{Fp32Contents: twelve.Fp32Contents,
					IntContents: []int32{1}}}}},
			codes.InvalidArgument, "got 13 in all contents"},
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
	decode := func(raw []byte, request proto.Message) error {
		held := &account{memory: s.memory}
		defer held.free()
		return decodeReserved(raw, request, held)
	}
	field := func(number protowire.Number, raw []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), raw)
	}
	input := func(contents []byte) []byte {
		return field(5, field(5, contents))
	}
	examples := func(raw []byte) []byte { return field(2, field(1, raw)) }
	many := func(number byte) []byte { return bytes.Repeat([]byte{number<<3 | 2, 0}, 1<<20) }
	infer, predict := &oip.ModelInferRequest{}, &tfserving.PredictRequest{}
	classify := &tfserving.ClassificationRequest{}
	for _, c := range []struct {
		name    string
		request proto.Message
		raw     []byte
	}{
		{"outputs", infer, many(6)},
		{"inputs", infer, many(5)},
		{"parameters", infer, many(4)},
		{"contents", infer, input(many(8))},
		{"numbers", infer, input(field(3, make([]byte, 4<<20)))},
		{"tensors", predict, many(2)},
		{"filters", predict, many(3)},
		{"strings", predict, field(2, field(2, many(8)))},
		{"dimensions", predict, field(2, field(2, field(2, many(2))))},
		{"integers", predict, field(2, field(2, field(7, make([]byte, 4<<20))))},
		{"unknown", predict, field(100, make([]byte, 8<<20))},
		{"examples", classify, examples(many(1))},
		{"features", classify, examples(field(1, field(1, many(1))))},
		{"metadata", &tfserving.GetModelMetadataRequest{}, many(2)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decode(c.raw, c.request)
		runtime.ReadMemStats(&after)
		if known := (*Error)(nil); !errors.As(err, &known) || known.Code != codes.Unavailable {
			t.Errorf("%s: got %v, want Unavailable", c.name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%s: refusing it took %d bytes", c.name, took)
		}
	}
	if err := decode([]byte{0xff}, infer); asError(err).Code != codes.InvalidArgument {
		t.Errorf("a message that is none: got %v, want InvalidArgument", err)
	}
}

// What is reserved is what decoding takes, or more.
func TestGRPCDecodedCost(t *testing.T) {
	field := func(number protowire.Number, raw []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), raw)
	}
	many := func(number byte) []byte { return bytes.Repeat([]byte{number<<3 | 2, 0}, 1<<14) }
	keyed := func(number protowire.Number, value []byte) (raw []byte) {
		for i := range 1 << 12 {
			raw = append(raw, field(number, append(field(1, fmt.Append(nil, i)), value...))...)
		}
		return raw
	}
	for _, c := range []struct {
		name    string
		request proto.Message
		raw     []byte
	}{
		{"nothing", &tfserving.PredictRequest{}, nil},
		{"tensors", &tfserving.PredictRequest{}, keyed(2, field(2, nil))},
		{"strings", &tfserving.PredictRequest{}, field(2, field(2, many(8)))},
		{"short strings", &tfserving.PredictRequest{}, field(2, field(2,
			bytes.Repeat([]byte{8<<3 | 2, 1, 'x'}, 1<<14)))},
		{"floats", &tfserving.PredictRequest{}, field(2, field(2, field(5, make([]byte, 1<<20))))},
		{"floats alone", &tfserving.PredictRequest{}, field(2, field(2,
			bytes.Repeat([]byte{5<<3 | 5, 0, 0, 0, 0}, 1<<14)))},
		{"integers", &tfserving.PredictRequest{}, field(2, field(2, field(7, make([]byte, 1<<20))))},
		{"integers alone", &tfserving.PredictRequest{}, field(2, field(2,
			bytes.Repeat([]byte{7 << 3, 1}, 1<<14)))},
		{"booleans", &tfserving.PredictRequest{}, field(2, field(2, field(11,
			make([]byte, 1<<20))))},
		{"dimensions", &tfserving.PredictRequest{}, field(2, field(2, field(2, many(2))))},
		{"unknown", &tfserving.PredictRequest{}, many(100)},
		{"unknown groups", &tfserving.PredictRequest{}, bytes.Repeat([]byte{15<<3 | 3, 15<<3 | 4},
			1<<14)},
		{"a group for a message", &tfserving.PredictRequest{}, bytes.Repeat([]byte{1<<3 | 3,
			1<<3 | 4}, 1<<14)},
		{"filters", &tfserving.PredictRequest{}, many(3)},
		{"examples", &tfserving.ClassificationRequest{}, field(2, field(1, many(1)))},
		{"features", &tfserving.ClassificationRequest{}, field(2, field(1, field(1, field(1,
			keyed(1, field(2, field(1, nil)))))))},
		{"metadata", &tfserving.GetModelMetadataRequest{}, many(2)},
		{"infer", &oip.ModelInferRequest{}, many(5)},
		{"infer's parameters", &oip.ModelInferRequest{}, keyed(4, field(2, nil))},
		{"infer's outputs", &oip.ModelInferRequest{}, many(6)},
	} {
		cost, err := decodedCost(c.raw, c.request.ProtoReflect().Descriptor())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := proto.Unmarshal(c.raw, c.request); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		took := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		if took > cost+1<<14 {
			t.Errorf("%s: got %d bytes, want at most the %d reserved", c.name, took, cost)
		}
		runtime.KeepAlive(c.request)
	}
}
