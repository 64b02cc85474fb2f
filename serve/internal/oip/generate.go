// Package oip is the Open Inference Protocol's gRPC service and messages, generated from
// inference.proto.
package oip

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative inference.proto
