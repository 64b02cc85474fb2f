package serve

import (
	"runtime"
	"strings"
	"testing"
)

func TestMetrics(t *testing.T) {
	s := startServer(t, &fakeModel{}, func(c *Config) { c.Runtime = "fake 1" })
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
			`kerasrun_build_info{go_version="` + runtime.Version() + `",runtime="fake 1",` +
				`version="test"} 1`,
			`kerasrun_model_info{architecture="",graph="",id="",model="fake",precision="",` +
				`version="1",weights=""} 1`,
			`kerasrun_ready 1`,
			`kerasrun_answers_total{code="400",transport="http"} 1`,
			`kerasrun_answers_total{code="404",transport="http"} 1`,
			`kerasrun_versions_refused{model="fake"} 0`,
			`kerasrun_predicted_class_total{class="2",model="fake",name="blue",version="1"} 1`,
			`kerasrun_confidence_count{model="fake",version="1"} 1`,
			`kerasrun_confidence_bucket{model="fake",version="1",le="0.4"} 0`,
			`kerasrun_confidence_bucket{model="fake",version="1",le="0.5"} 1`,
			`kerasrun_queue_duration_seconds_bucket{model="fake",version="1",le="0.25"} 4`,
			`kerasrun_batch_size_bucket{model="fake",version="1",le="1"} 1`,
			`kerasrun_batch_size_bucket{model="fake",version="1",le="2"} 4`,
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
	if w := request(s.Handler(), "GET", "/metrics", ""); !strings.Contains(w.Body.String(),
		"\nkerasrun_ready 0\n") {
		t.Error("a server that is closed is ready")
	}
	if w := request(s.Handler(), "GET", "/metrics", ""); strings.Contains(w.Body.String(),
		`version="1"`) {
		t.Error("the metrics of a version outlive it")
	}
}
