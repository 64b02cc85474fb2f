// Package oip is the gRPC service and the messages of the Open Inference Protocol, generated from
// inference.proto and model_config.proto. Triton's extensions in them are a part of its own files,
// under the license that lies beside them.
package oip

//go:generate -command generate protoc --go_out=. --go_opt=paths=source_relative
//go:generate generate --go-grpc_out=. --go-grpc_opt=paths=source_relative inference.proto model_config.proto
