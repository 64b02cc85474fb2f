package serve

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// headerWarning is the header, or gRPC's metadata, of each answer of a model that should not be
// believed. The protocols' own messages have no place for it but the Open Inference Protocol's
// parameters.
const headerWarning = "X-Kerasrun-Warning"

const syntheticWarning = "The model has synthetic weights, not trained ones: " +
	"its classes mean nothing."

// warning says why a version's answers should not be believed; "" where they may be.
func (v *version) warning() string {
	if manifest := v.model.SavedModel().Manifest; manifest != nil && manifest.Weights.Synthetic() {
		return syntheticWarning
	}
	return ""
}

type headerKey struct{}

// withHeader lets warn reach the header of an answer over HTTP.
func withHeader(ctx context.Context, h http.Header) context.Context {
	return context.WithValue(ctx, headerKey{}, h)
}

// warn writes v's warning, if it has one, into the header of the answer.
func warn(ctx context.Context, v *version) {
	warning := v.warning()
	if warning == "" {
		return
	}
	if h, ok := ctx.Value(headerKey{}).(http.Header); ok {
		h.Set(headerWarning, warning)
		return
	}
	// It fails where there is no call: in a program that answers by itself.
	_ = grpc.SetHeader(ctx, metadata.Pairs(strings.ToLower(headerWarning), warning))
}
