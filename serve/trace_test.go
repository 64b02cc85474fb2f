package serve

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	otelcodes "go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/metadata"

	"kerasrun/serve/internal/oip"
)

// A program that sets OpenTelemetry's provider gets spans of each request, in the trace that the
// client began, and none of probes. The names are those of OpenTelemetry's semantic conventions.
func TestTraces(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)))
	defer otel.SetTracerProvider(before)
	s := startServer(t, panicking{&fakeModel{}}, nil)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	const parent = "00-" + id + "-00f067aa0ba902b7-01"
	client := oip.NewGRPCInferenceServiceClient(dial(t, s))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", parent)
	web := func(method, path, body string) {
		request(s.Handler(), method, path, body, "traceparent", parent)
	}
	for _, c := range []struct {
		what  func() error
		name  string
		error bool
		want  string // attributes; "" where there is no span
	}{
		{func() error { web("POST", "/v1/models/fake:predict", oneHalf); return nil },
			"POST /v1/models/", false, "http.request.method=POST, http.response.status_code=200, " +
				"http.route=/v1/models/, network.protocol.version=1.1, " +
				"url.path=/v1/models/fake:predict, url.scheme=http"},
		{func() error { web("GET", "/v2/models/none", ""); return nil },
			"GET /v2/models/{model}", false, "http.request.method=GET, " +
				"http.response.status_code=404, http.route=/v2/models/{model}, " +
				"network.protocol.version=1.1, url.path=/v2/models/none, url.scheme=http"},
		{func() error {
			web("POST", "/v1/models/fake:predict", `{"signature_name": "sum", "inputs": [13]}`)
			return nil
		}, "POST /v1/models/", true, "error.type=500, http.request.method=POST, " +
			"http.response.status_code=500, http.route=/v1/models/, " +
			"network.protocol.version=1.1, url.path=/v1/models/fake:predict, url.scheme=http"},
		{func() error { web("BREW", "/pot", ""); return nil }, "HTTP", false,
			"http.request.method=_OTHER, http.response.status_code=404, " +
				"network.protocol.version=1.1, url.path=/pot, url.scheme=http"},
		{func() error { web("GET", "/v2/health/live", ""); return nil }, "", false, ""},
		{func() error {
			_, err := client.ServerMetadata(ctx, &oip.ServerMetadataRequest{})
			return err
		}, "inference.GRPCInferenceService/ServerMetadata", false, "rpc.grpc.status_code=0, " +
			"rpc.method=ServerMetadata, rpc.service=inference.GRPCInferenceService, " +
			"rpc.system=grpc"},
		{func() error {
			if _, err := client.ModelConfig(ctx, &oip.ModelConfigRequest{Name: "none"}); err == nil {
				return fmt.Errorf("a model that is not there has a configuration")
			}
			return nil
		}, "inference.GRPCInferenceService/ModelConfig", false, "rpc.grpc.status_code=5, " +
			"rpc.method=ModelConfig, rpc.service=inference.GRPCInferenceService, rpc.system=grpc"},
		{func() error {
			if _, err := client.SystemSharedMemoryStatus(ctx,
				&oip.SystemSharedMemoryStatusRequest{}); err == nil {
				return fmt.Errorf("shared memory is there")
			}
			return nil
		}, "inference.GRPCInferenceService/SystemSharedMemoryStatus", true,
			"rpc.grpc.status_code=12, rpc.method=SystemSharedMemoryStatus, " +
				"rpc.service=inference.GRPCInferenceService, rpc.system=grpc"},
		{func() error {
			_, err := client.ServerLive(ctx, &oip.ServerLiveRequest{})
			return err
		}, "", false, ""},
	} {
		spans.Reset()
		if err := c.what(); err != nil {
			t.Fatal(err)
		}
		var of []sdk.ReadOnlySpan
		waitFor(t, func() bool { // a client of gRPC has its answer before the span has ended
			of = slices.DeleteFunc(spans.Ended(), func(span sdk.ReadOnlySpan) bool {
				return span.Name() == "run"
			})
			return len(of) > 0 || c.want == ""
		})
		if c.want == "" {
			if len(of) > 0 {
				t.Errorf("a probe: got the span %s, want none", of[0].Name())
			}
			continue
		}
		var attributes []string
		for _, a := range of[0].Attributes() {
			attributes = append(attributes, string(a.Key)+"="+a.Value.String())
		}
		slices.Sort(attributes)
		if got := strings.Join(attributes, ", "); len(of) != 1 || of[0].Name() != c.name ||
			got != c.want || of[0].SpanContext().TraceID().String() != id {
			t.Errorf("got %s of %v, %s, want %s of %s, %s", of[0].Name(),
				of[0].SpanContext().TraceID(), got, c.name, id, c.want)
		}
		if got := of[0].Status().Code == otelcodes.Error; got != c.error {
			t.Errorf("%s: got an error: %v, want %v", c.name, got, c.error)
		}
	}
}
