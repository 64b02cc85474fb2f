// Package servingpb reads what kerasrun takes of TensorFlow Serving's own files, generated from
// serving.proto.
package servingpb

//go:generate protoc -I../../.. --go_out=../../.. --go_opt=paths=source_relative serve/internal/servingpb/serving.proto
