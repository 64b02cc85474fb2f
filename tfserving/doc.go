// Package tfserving is a client of TensorFlow Serving's gRPC services, PredictionService and
// ModelService, without TensorFlow: what they need of its messages, and no more. It talks to
// `kerasrun serve` and to TensorFlow Serving alike.
//
// It is generated from serving.proto and tensorflow.proto, which are a part of TensorFlow Serving's
// and TensorFlow's own, under the Apache License 2.0 (LICENSE in this module). The protocol buffers
// package is tensorflow.serving: a program that links another Go package generated from TensorFlow
// Serving's files ends at its start with a conflict of names.
package tfserving

//go:generate -command generate protoc -I.. --go_out=.. --go_opt=paths=source_relative
//go:generate generate --go-grpc_out=.. --go-grpc_opt=paths=source_relative tfserving/tensorflow.proto tfserving/serving.proto
