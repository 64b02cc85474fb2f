package serve

import (
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// state are the metrics of what is now, collected when they are asked for.
type state struct{ server *Server }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descBuild = describe("kerasrun_build_info", "1, of the program that serves.", "version",
		"go_version", "runtime")
	descReady = describe("kerasrun_ready",
		"1 where every model has a version that is ready and the server is not stopping, else 0.")
	descModel = describe("kerasrun_model_info", "1, of each version that is served.", "model",
		"version", "architecture", "graph", "precision", "weights", "id")
	descPending = describe("kerasrun_requests_pending", "Requests that wait in the queue.", "model",
		"version")
	descPendingTriton = describe("nv_inference_pending_request_count",
		"Instantaneous number of pending requests awaiting execution per-model.", "model",
		"version")
	descCacheBytes = describe("kerasrun_cache_bytes", "Bytes of answers that are kept.")
	descCacheSize  = describe("kerasrun_cache_entries", "Answers that are kept.")
	descWorker     = describe("kerasrun_worker_up",
		"Whether the process that runs the version is there (with --isolate).", "model", "version")
	descRestarts = describe("kerasrun_worker_restarts_total",
		"How often the process that runs the version has died and was started again.", "model",
		"version")
	descRefused = describe("kerasrun_versions_refused",
		"Versions in a model's directory that were refused when they were loaded.", "model")
)

func (s *state) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{descBuild, descReady, descModel, descPending,
		descPendingTriton, descCacheBytes, descCacheSize, descWorker, descRestarts, descRefused} {
		out <- desc
	}
}

// boolean is a metric's value.
func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (s *state) Collect(out chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(descBuild, 1, s.server.config.Version, runtime.Version(), s.server.config.Runtime)
	gauge(descReady, boolean(s.server.Ready() == nil))
	if s.server.cache != nil {
		bytes, entries := s.server.cache.held()
		gauge(descCacheBytes, float64(bytes))
		gauge(descCacheSize, float64(entries))
	}
	r := s.server.repository
	for _, name := range r.names {
		statuses, _ := r.statuses(choice{model: name}) // none: nothing was refused
		refused := 0.0
		for _, status := range statuses {
			if status.State == StateEnd && status.Err != nil {
				refused++
			}
		}
		gauge(descRefused, refused, name)
	}
	r.each(func(v *version) {
		number, pending := strconv.FormatInt(v.number, 10), float64(v.pending())
		gauge(descPending, pending, v.name, number)
		gauge(descPendingTriton, pending, v.name, number)
		info := [5]string{} // empty where the model has no manifest
		if m := v.model.SavedModel().Manifest; m != nil {
			info = [5]string{m.Architecture, m.Graph, m.Precision, m.Weights.Source, m.ID()}
		}
		gauge(descModel, 1, append([]string{v.name, number}, info[:]...)...)
		if m, ok := v.model.(Restarting); ok {
			gauge(descWorker, boolean(m.Down() == nil), v.name, number)
			out <- prometheus.MustNewConstMetric(descRestarts, prometheus.CounterValue,
				float64(m.Restarts()), v.name, number)
		}
	})
}
