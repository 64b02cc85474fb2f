package serve

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"kerasrun/serve/internal/oip"
)

// Streams go on as long as their clients do, so that a server which ends has to end them: at once,
// and with what was asked until then answered.
func TestShutdownEndsStreams(t *testing.T) {
	s := startServer(t, &fakeModel{}, nil)
	var l Listeners
	var err error
	for _, listener := range []*net.Listener{&l.HTTP, &l.GRPC} {
		if *listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	l.DrainTimeout = time.Minute
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	connection, err := grpc.NewClient(l.GRPC.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	watch, err := grpc_health_v1.NewHealthClient(connection).Watch(t.Context(),
		&grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	stream, err := oip.NewGRPCInferenceServiceClient(connection).ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(halfRequest()); err != nil {
		t.Fatal(err)
	}
	if answer, err := stream.Recv(); err != nil || answer.ErrorMessage != "" {
		t.Fatal(answer, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream: got %v, want Unavailable", err)
	}
	for err == nil { // that it is not serving comes first
		_, err = watch.Recv()
	}
	if err == io.EOF {
		t.Errorf("who watches: got %v, want an error", err)
	}
}

func halfRequest() *oip.ModelInferRequest {
	return &oip.ModelInferRequest{ModelName: "fake", Id: "7",
		Parameters: map[string]*oip.InferParameter{"signature_name": {
			ParameterChoice: &oip.InferParameter_StringParam{StringParam: "half_plus_two"}}},
		Inputs: []*grpcInput{{Name: "x", Datatype: "FP32", Shape: []int64{1},
			Contents: &oip.InferTensorContents{Fp32Contents: []float32{1}}}}}
}

// A panic ends the one request of a stream.
func TestStreamedPanic(t *testing.T) {
	s := startServer(t, panicking{&fakeModel{}}, nil)
	stream, err := oip.NewGRPCInferenceServiceClient(dial(t, s)).ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for x, want := range map[float64]string{13: "internal error", 1: ""} {
		if err := stream.Send(&oip.ModelInferRequest{ModelName: "fake", Id: "7",
			Parameters: map[string]*oip.InferParameter{"signature_name": {
				ParameterChoice: &oip.InferParameter_StringParam{StringParam: "sum"}}},
			Inputs: []*grpcInput{{Name: "x", Datatype: "FP64", Shape: []int64{1},
				Contents: &oip.InferTensorContents{Fp64Contents: []float64{x}}}},
		}); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil || answer.ErrorMessage != want || answer.InferResponse.Id != "7" {
			t.Errorf("%v: got %v, %v, want the request's id and the error %q", x, answer, err, want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("got %v, want %v", err, io.EOF)
	}
}

func TestHealthOfUnknownService(t *testing.T) {
	client := grpc_health_v1.NewHealthClient(dial(t, startServer(t, &fakeModel{}, nil)))
	for service, want := range map[string]codes.Code{"": codes.OK,
		"inference.GRPCInferenceService": codes.OK, "inference.Other": codes.NotFound} {
		_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if got := status.Code(err); got != want {
			t.Errorf("%q: got %v, want %v", service, got, want)
		}
	}
}
