package serve

import (
	"context"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/metadata"

	"kerasrun/serve/internal/oip"
)

// spanNames is an OpenTelemetry provider that remembers each span's name and the trace that it
// belongs to.
type spanNames struct {
	embedded.TracerProvider
	mu    sync.Mutex
	names []string
}

func (s *spanNames) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return &spanTracer{spans: s}
}

type spanTracer struct {
	embedded.Tracer
	spans *spanNames
}

func (t *spanTracer) Start(ctx context.Context, name string,
	_ ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.spans.mu.Lock()
	defer t.spans.mu.Unlock()
	t.spans.names = append(t.spans.names, name+" of "+
		trace.SpanContextFromContext(ctx).TraceID().String())
	return ctx, noop.Span{}
}

// A program that sets OpenTelemetry's provider gets spans of each request, in the trace that the
// client began, and none of probes.
func TestTraces(t *testing.T) {
	spans := &spanNames{}
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(spans)
	defer otel.SetTracerProvider(before)
	s := startServer(t, &fakeModel{}, nil)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	request(s.Handler(), "POST", "/v1/models/fake:predict", oneHalf, "traceparent", "00-"+id+
		"-00f067aa0ba902b7-01")
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+id+
		"-00f067aa0ba902b7-01")
	client := oip.NewGRPCInferenceServiceClient(dial(t, s))
	if _, err := client.ServerMetadata(ctx, &oip.ServerMetadataRequest{}); err != nil {
		t.Fatal(err)
	}
	request(s.Handler(), "GET", "/v2/health/live", "")
	if _, err := client.ServerLive(ctx, &oip.ServerLiveRequest{}); err != nil {
		t.Fatal(err)
	}
	want := "POST of " + id + ", run of " + id +
		", inference.GRPCInferenceService/ServerMetadata of " + id
	if got := strings.Join(spans.names, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
