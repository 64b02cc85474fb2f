package serve

import (
	"strings"
	"testing"
)

func TestMetrics(t *testing.T) {
	s := startServer(t, &fakeModel{}, nil)
	for range 3 {
		request(s.Handler(), "POST", "/v1/models/fake:predict",
			`{"signature_name": "half_plus_two", "instances": [1, 2]}`)
	}
	request(s.Handler(), "POST", "/v1/models/fake:predict", `{"instances": [1]}`)
	request(s.Handler(), "POST", "/classify", string(pngImage(t, 1, 2, 3)))
	request(s.Handler(), "POST", "/v1/models/none:predict", `{}`)
	for path, wants := range map[string][]string{
		"/metrics": {
			`kerasrun_requests_total{code="OK",model="fake",protocol="tensorflow_serving",` +
				`version="1"} 3`,
			`kerasrun_requests_total{code="InvalidArgument",model="fake",` +
				`protocol="tensorflow_serving",version="1"} 1`,
			`kerasrun_requests_total{code="OK",model="fake",protocol="classify",version="1"} 1`,
			`kerasrun_request_duration_seconds_count{model="fake",protocol="tensorflow_serving",` +
				`version="1"} 4`,
			`kerasrun_requests_in_flight 0`,
			`kerasrun_requests_pending{model="fake",version="1"} 0`,
			`kerasrun_preprocess_duration_seconds_count{model="fake",version="1"} 1`,
			`kerasrun_queue_duration_seconds_count{model="fake",version="1"} 4`,
			`kerasrun_inference_duration_seconds_count{model="fake",version="1"} 4`,
			`kerasrun_batch_size_sum{model="fake",version="1"} 7`,
			`kerasrun_warmup_duration_seconds_count{model="fake",version="1"} 1`,
			`nv_inference_request_success{model="fake",version="1"} 4`,
			`nv_inference_request_failure{model="fake",version="1"} 1`,
			`nv_inference_count{model="fake",version="1"} 7`,
			`nv_inference_exec_count{model="fake",version="1"} 4`,
			`nv_inference_pending_request_count{model="fake",version="1"} 0`,
			`nv_inference_request_duration_us{model="fake",version="1"} `,
			`nv_inference_queue_duration_us{model="fake",version="1"} `,
			`nv_inference_compute_infer_duration_us{model="fake",version="1"} `,
			`process_resident_memory_bytes `,
		},
		"/monitoring/prometheus/metrics": {
			`:tensorflow:serving:request_count{model_name="fake",status="OK"} 4`,
			`:tensorflow:serving:request_count{model_name="fake",status="INVALID_ARGUMENT"} 1`,
			`:tensorflow:serving:request_latency_count{API="predict",entrypoint="REST",` +
				`model_name="fake"} 3`,
			`:tensorflow:serving:request_latency_bucket{API="predict",entrypoint="REST",` +
				`model_name="fake",le="18"} `,
			`:tensorflow:serving:runtime_latency_count{API="predict",model_name="fake",` +
				`runtime="TF1"} 3`,
			`:tensorflow:serving:batching_session:queuing_latency_count 4`,
			`:tensorflow:serving:batching_session:processed_batch_size_sum 7`,
			`:tensorflow:serving:batching_session:padding_size_count{execution_batch_size="2"} 3`,
			`:tensorflow:serving:model_warmup_latency_count{model_path="`,
		},
	} {
		w := request(s.Handler(), "GET", path, "")
		for _, want := range wants {
			if !strings.Contains(w.Body.String(), "\n"+want) {
				t.Errorf("%s: want %s", path, want)
			}
		}
	}
	if w := request(s.Handler(), "GET", "/metrics", ""); strings.Contains(w.Body.String(),
		`model="none"`) {
		t.Error("clients can make up metrics")
	}
	s.Close()
	if w := request(s.Handler(), "GET", "/metrics", ""); strings.Contains(w.Body.String(),
		`version="1"`) {
		t.Error("the metrics of a version outlive it")
	}
}
