package serve

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
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

// Each request of a stream has its own line in the log, and counts as an answer.
func TestStreamedRequestsAreLogged(t *testing.T) {
	log := &lockedBuffer{}
	s := startServer(t, &fakeModel{}, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	stream, err := oip.NewGRPCInferenceServiceClient(dial(t, s)).ModelStreamInfer(
		metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "of-the-stream"))
	if err != nil {
		t.Fatal(err)
	}
	unknown := halfRequest()
	unknown.ModelName, unknown.Id = "none", "8"
	for _, r := range []*oip.ModelInferRequest{halfRequest(), unknown} {
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	const line = `msg=request request_id=of-the-stream method=\S+/ModelStreamInfer `
	for _, want := range []string{line + `code=OK ms=\S+ remote=\S+ id=7 model=fake version=1\n`,
		line + `code=NotFound ms=\S+ remote=\S+ id=8 error=.*Latest\(none\)`} {
		if n := len(regexp.MustCompile(want).FindAllString(log.String(), -1)); n != 1 {
			t.Errorf("got %d lines %s, want one, in\n%s", n, want, log)
		}
	}
	scraped := request(s.Handler(), "GET", "/metrics", "").Body.String()
	for _, code := range []string{"OK", "NotFound"} {
		want := `kerasrun_answers_total{code="` + code + `",transport="grpc"} 1`
		if !strings.Contains(scraped, want) {
			t.Errorf("got no %s in the metrics", want)
		}
	}
}

// lockedBuffer takes a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
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
