// Package serve answers requests for models over HTTP and gRPC. It speaks TensorFlow Serving's REST
// API and the Open Inference Protocol, so that their clients and dashboards work. For people there
// are POST /classify, which takes an image, and /, a page to drop one on.
//
//	POST /classify                                         an image in, labelled predictions out
//	GET  /v1/models/NAME, POST /v1/models/NAME:predict ... TensorFlow Serving's REST API
//	GET  /v2/models/NAME, POST /v2/models/NAME/infer ...   Open Inference Protocol over HTTP
//	GET  /v2/models/NAME/config, /v2/models/stats ...      Triton's extensions, to look at a server
//	GET  /v2/health/live, /v2/health/ready                 for probes
//	GET  /metrics, /monitoring/prometheus/metrics          Prometheus
//	inference.GRPCInferenceService, grpc.health.v1.Health  Open Inference Protocol over gRPC
//
// The metrics have kerasrun's names, and those of Triton and TensorFlow Serving.
//
// A [Server] holds models in versions. A new version is loaded and warmed before it takes requests.
// Requests are joined into batches. Everything that a client controls has a limit. The server runs
// any [Model]: the package uses no TensorFlow.
package serve
