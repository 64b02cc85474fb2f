package serve

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Traces go to OpenTelemetry's global provider, which drops them until the program sets one.
func tracer() trace.Tracer { return otel.Tracer("kerasrun/serve") }

// traceRequest continues the trace that a request's headers name, in a span of its own. Its name
// gets the route when that is known.
func traceRequest(r *http.Request) (*http.Request, trace.Span) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	name, method := spanMethod(r)
	ctx, span := tracer().Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(method, semconv.URLPath(r.URL.Path), semconv.URLScheme(scheme),
			semconv.NetworkProtocolVersion(strings.TrimPrefix(r.Proto, "HTTP/"))))
	return r.WithContext(ctx), span
}

// spanMethod is a request's method in its span's name, and as an attribute: one that is known, for
// clients can make up others.
func spanMethod(r *http.Request) (string, attribute.KeyValue) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions:
		return r.Method, semconv.HTTPRequestMethodKey.String(r.Method)
	}
	return "HTTP", semconv.HTTPRequestMethodOther
}

// routed tells a request's span which route it took.
func routed(pattern string, next http.Handler) http.Handler {
	route := strings.ReplaceAll(pattern, "{$}", "")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		span := trace.SpanFromContext(r.Context())
		method, _ := spanMethod(r)
		span.SetName(method + " " + route)
		span.SetAttributes(semconv.HTTPRoute(route))
		next.ServeHTTP(w, r)
	})
}

// endRequest ends a request's span with the status of the answer. Faults of the server's own are
// errors, those of clients are not.
func endRequest(span trace.Span, status int) {
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		span.SetStatus(otelcodes.Error, "")
	}
	span.End()
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
		trace.WithAttributes(semconv.RPCSystemGRPC, semconv.RPCService(service),
			semconv.RPCMethod(name)))
}

// endCall ends the span of a call with its code. Errors of a server are those that the semantic
// conventions name.
func endCall(span trace.Span, err error) {
	code := status.Code(err)
	span.SetAttributes(semconv.RPCGRPCStatusCodeKey.Int(int(code)))
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal,
		codes.Unavailable, codes.DataLoss:
		span.SetStatus(otelcodes.Error, status.Convert(err).Message())
	}
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
