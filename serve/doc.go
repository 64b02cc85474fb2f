// Package serve answers requests for models over HTTP and gRPC, as TensorFlow Serving and Triton do, so that their clients and
// dashboards work, and as a person would like: POST /classify takes a picture, and / is a page to drop one on.
//
//	POST /classify                                           a picture in, labelled predictions out
//	GET  /v1/models/NAME, POST /v1/models/NAME:predict ...   TensorFlow Serving's REST API
//	GET  /v2/models/NAME, POST /v2/models/NAME/infer ...     the Open Inference Protocol (KServe, Triton), with its binary tensors
//	GET  /v2/health/live, /v2/health/ready                   for probes
//	GET  /metrics, /monitoring/prometheus/metrics            Prometheus, under kerasrun's, Triton's and TensorFlow Serving's names
//	inference.GRPCInferenceService, grpc.health.v1.Health    the same protocol over gRPC
//
// A [Server] holds models in versions, each of which is loaded, warmed and only then swapped in; requests are joined into batches;
// everything that a client controls has a limit. It runs whatever is a [Model]: the package uses no TensorFlow.
package serve
