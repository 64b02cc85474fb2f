// Package servingpb reads what kerasrun takes of TensorFlow Serving's own files, generated from
// serving.proto.
package servingpb

//go:generate protoc --go_out=. --go_opt=paths=source_relative serving.proto
