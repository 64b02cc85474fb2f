package serve

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Traces go to OpenTelemetry's global provider, which drops them until the program sets one.
func tracer() trace.Tracer { return otel.Tracer("kerasrun/serve") }

// traceRequest continues the trace that a request's headers name, in a span of its own.
func traceRequest(r *http.Request) (*http.Request, trace.Span) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := tracer().Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("http.request.method", r.Method), attribute.String("url.path",
				r.URL.Path)))
	return r.WithContext(ctx), span
}

// traceCall continues the trace that a call's metadata name, in a span of its own.
func traceCall(ctx context.Context, method string) (context.Context, trace.Span) {
	headers := propagation.HeaderCarrier{}
	for _, name := range (propagation.TraceContext{}).Fields() {
		for _, value := range metadata.ValueFromIncomingContext(ctx, name) {
			headers.Set(name, value)
		}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, headers)
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return tracer().Start(ctx, service+"/"+name, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("rpc.system", "grpc"), attribute.String("rpc.service",
				service), attribute.String("rpc.method", name)))
}

// endCall ends the span of a call.
func endCall(span trace.Span, err error) {
	span.SetAttributes(attribute.Int("rpc.grpc.status_code", int(status.Code(err))))
	span.End()
}

// startSpan begins a span of a request to a version.
func startSpan(ctx context.Context, name string, v *version, sig *signature) (context.Context,
	trace.Span) {
	return tracer().Start(ctx, name, trace.WithAttributes(
		attribute.String("kerasrun.model", v.name), attribute.Int64("kerasrun.version",
			v.number), attribute.String("kerasrun.signature", sig.Key)))
}

// endSpan writes down where the time went.
func endSpan(span trace.Span, took timing, err error) {
	span.SetAttributes(
		attribute.Int64("kerasrun.preprocess_us", took.Preprocess.Microseconds()),
		attribute.Int64("kerasrun.queue_us", took.Queue.Microseconds()),
		attribute.Int64("kerasrun.inference_us", took.Inference.Microseconds()),
		attribute.Int("kerasrun.batch", took.Batch))
	if err != nil {
		span.RecordError(err)
		span.SetStatus(otelcodes.Error, err.Error())
	}
}
