package serve

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kerasrun/batch"
)

// metrics are kept under three sets of names: kerasrun's own and Triton's at /metrics, TensorFlow
// Serving's at its own address.
type metrics struct {
	own, serving *prometheus.Registry

	requests   *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	inFlight   prometheus.Gauge
	preprocess *prometheus.HistogramVec
	queue      *prometheus.HistogramVec
	inference  *prometheus.HistogramVec
	batchRows  *prometheus.HistogramVec
	warmup     *prometheus.HistogramVec
	classes    *prometheus.CounterVec
	answers    *prometheus.CounterVec
	cache      *prometheus.CounterVec
	confidence *prometheus.HistogramVec

	triton tritonMetrics
	tf     servingMetrics
}

// tritonMetrics are sums since the start, as Triton keeps them; the durations are in microseconds.
type tritonMetrics struct {
	success, failure, count, executions   *prometheus.CounterVec
	requestTime, queueTime, inferenceTime *prometheus.CounterVec
	hits, misses                          *prometheus.CounterVec
}

// servingMetrics are TensorFlow Serving's; latencies are in microseconds.
type servingMetrics struct {
	requests           *prometheus.CounterVec
	request, runtime   *prometheus.HistogramVec
	queuing, processed prometheus.Histogram
	padding            *prometheus.HistogramVec
	warmup             *prometheus.HistogramVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{own: prometheus.NewRegistry(), serving: prometheus.NewRegistry()}
	m.own.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &state{s})
	m.addOwn()
	m.addTriton()
	m.addServing()
	return m
}

// seconds are buckets from 0.1 ms to 100 s, of round numbers, so that what is asked of them can be
// told exactly.
var seconds = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
	0.5, 1, 2.5, 5, 10, 25, 50, 100}

func (m *metrics) addOwn() {
	model := []string{"model", "version"}
	histogram := func(name, help string, buckets []float64,
		labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help,
			Buckets: buckets}, labels)
		m.own.MustRegister(h)
		return h
	}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kerasrun_requests_total",
		Help: "Requests for a model, by protocol and by the code of the answer.",
	}, []string{"model", "version", "protocol", "code"})
	m.inFlight = prometheus.NewGauge(prometheus.GaugeOpts{Name: "kerasrun_requests_in_flight",
		Help: "Requests that are being answered."})
	m.classes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kerasrun_predicted_class_total",
		Help: "Rows of answers by the class that they say, of outputs with " +
			strconv.Itoa(maxCountedClasses) + " classes or fewer; NaN where they say none.",
	}, []string{"model", "version", "class", "name"})
	m.answers = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kerasrun_answers_total",
		Help: "Answers but those of probes, by the status over HTTP or the code over gRPC; " +
			"those too that no model was asked for.",
	}, []string{"transport", "code"})
	m.cache = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kerasrun_cache_total",
		Help: "Requests of which the response cache had an answer (hit), or none (miss)."},
		[]string{"model", "version", "result"})
	m.own.MustRegister(m.requests, m.inFlight, m.classes, m.answers, m.cache)
	m.confidence = histogram("kerasrun_confidence",
		"Probability of the class that a row of an answer says.",
		[]float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1}, model...)
	m.latency = histogram("kerasrun_request_duration_seconds",
		"From a request's arrival to its answer.", seconds, "model", "version", "protocol")
	m.preprocess = histogram("kerasrun_preprocess_duration_seconds",
		"Decoding the images of a request.", seconds, model...)
	m.queue = histogram("kerasrun_queue_duration_seconds",
		"From a request's arrival in the queue to the start of its run.", seconds, model...)
	m.inference = histogram("kerasrun_inference_duration_seconds", "One run of a batch.", seconds,
		model...)
	m.batchRows = histogram("kerasrun_batch_size", "Rows of a run, without padding.",
		prometheus.ExponentialBuckets(1, 2, 11), model...)
	m.warmup = histogram("kerasrun_warmup_duration_seconds", "Warming up a version.", seconds,
		model...)
}

func (m *metrics) addTriton() {
	counter := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help},
			[]string{"model", "version"})
		m.own.MustRegister(c)
		return c
	}
	m.triton = tritonMetrics{
		success: counter("nv_inference_request_success",
			"Number of successful inference requests, all batch sizes"),
		failure: counter("nv_inference_request_failure",
			"Number of failed inference requests, all batch sizes"),
		count: counter("nv_inference_count",
			"Number of inferences performed (does not include cached requests)"),
		executions: counter("nv_inference_exec_count",
			"Number of model executions performed (does not include cached requests)"),
		requestTime: counter("nv_inference_request_duration_us",
			"Cumulative inference request duration in microseconds"),
		queueTime: counter("nv_inference_queue_duration_us",
			"Cumulative inference queuing duration in microseconds"),
		hits:   counter("nv_cache_num_hits_per_model", "Number of cache hits per model"),
		misses: counter("nv_cache_num_misses_per_model", "Number of cache misses per model"),
		inferenceTime: counter("nv_inference_compute_infer_duration_us",
			"Cumulative compute inference duration in microseconds"),
	}
}

func (m *metrics) addServing() {
	// TensorFlow Serving's buckets.
	micros, sizes := prometheus.ExponentialBuckets(10, 1.8, 33), prometheus.ExponentialBuckets(1, 2,
		14)
	name := func(name string) string { return ":tensorflow:serving:" + name }
	vec := func(opts prometheus.HistogramOpts, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(opts, labels)
		m.serving.MustRegister(h)
		return h
	}
	m.tf = servingMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("request_count"), Help: "The total number of requests."}, []string{
			"model_name", "status"}),
		request: vec(prometheus.HistogramOpts{Name: name("request_latency"), Buckets: micros,
			Help: "Distribution of wall time (in microseconds) for Tensorflow Serving request."},
			"model_name", "API", "entrypoint"),
		runtime: vec(prometheus.HistogramOpts{Name: name("runtime_latency"), Buckets: micros,
			Help: "Distribution of wall time (in microseconds) for Tensorflow runtime."},
			"model_name", "API", "runtime"),
		queuing: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("batching_session:queuing_latency"), Buckets: micros,
			Help: "Distribution of wall time spent (in microseconds) in queuing"}),
		processed: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("batching_session:processed_batch_size"), Buckets: sizes,
			Help: "Tracks the batch size distribution on processing."}),
		padding: vec(prometheus.HistogramOpts{Name: name("batching_session:padding_size"),
			Buckets: sizes,
			Help:    "Tracks the padding size distribution on batches."}, "execution_batch_size"),
		warmup: vec(prometheus.HistogramOpts{Name: name("model_warmup_latency"), Buckets: micros,
			Help: "Distribution of wall time (in microseconds) for warming up the model."},
			"model_path", "status"),
	}
	m.serving.MustRegister(m.tf.requests, m.tf.queuing, m.tf.processed)
}

// protocol is how a request came; the names are TensorFlow Serving's API and entry point where it
// has one.
type protocol struct{ name, api, entrypoint string }

var (
	protocolPredict      = protocol{"tensorflow_serving", "predict", "REST"}
	protocolTFClassify   = protocol{"tensorflow_serving", "classify", "REST"}
	protocolTFRegress    = protocol{"tensorflow_serving", "regress", "REST"}
	protocolOIP          = protocol{"kserve_http", "infer", "REST"}
	protocolGRPC         = protocol{"kserve_grpc", "infer", "GRPC"}
	protocolPredictGRPC  = protocol{"tensorflow_serving_grpc", "predict", "GRPC"}
	protocolClassifyGRPC = protocol{"tensorflow_serving_grpc", "classify", "GRPC"}
	protocolRegressGRPC  = protocol{"tensorflow_serving_grpc", "regress", "GRPC"}
	protocolMultiGRPC    = protocol{"tensorflow_serving_grpc", "multi_inference", "GRPC"}
	protocolClassify     = protocol{"classify", "classify", "REST"}
	protocolAnswer       = protocol{"go", "answer", "GO"}
)

// answered counts one request to a version.
func (m *metrics) answered(v *version, p protocol, took time.Duration, parts timing, err error) {
	number, code := strconv.FormatInt(v.number, 10), codes.OK
	if err != nil {
		code = asError(err).Code
	}
	m.requests.WithLabelValues(v.name, number, p.name, code.String()).Inc()
	m.latency.WithLabelValues(v.name, number, p.name).Observe(took.Seconds())
	m.tf.requests.WithLabelValues(v.name, servingCode(code)).Inc()
	if err != nil {
		m.triton.failure.WithLabelValues(v.name, number).Inc()
		return
	}
	m.tf.request.WithLabelValues(v.name, p.api, p.entrypoint).Observe(micros(took))
	m.tf.runtime.WithLabelValues(v.name, p.api, "TF1").Observe(micros(parts.Inference))
	m.triton.success.WithLabelValues(v.name, number).Inc()
	m.triton.requestTime.WithLabelValues(v.name, number).Add(micros(took))
	m.triton.queueTime.WithLabelValues(v.name, number).Add(micros(parts.Queue))
	m.triton.inferenceTime.WithLabelValues(v.name, number).Add(micros(parts.Inference))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// servingCode spells a code as TensorFlow does.
func servingCode(c codes.Code) string {
	names := [...]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
		"ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
		"INTERNAL", "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED",
	}
	return names[c]
}

// answeredGRPC counts an answer to a call, or to a request of a stream.
func (m *metrics) answeredGRPC(err error) {
	m.answers.WithLabelValues("grpc", status.Code(err).String()).Inc()
}

// cached counts a request that looked into the cache: a hit or a miss.
func (m *metrics) cached(v *version, result string) {
	number := strconv.FormatInt(v.number, 10)
	m.cache.WithLabelValues(v.name, number, result).Inc()
	counts := map[string]*prometheus.CounterVec{"hit": m.triton.hits, "miss": m.triton.misses}
	counts[result].WithLabelValues(v.name, number).Inc()
}

// preprocessed counts the decoding of one request's images.
func (m *metrics) preprocessed(v *version, took time.Duration) {
	m.preprocess.WithLabelValues(v.name, strconv.FormatInt(v.number, 10)).Observe(took.Seconds())
}

// observer counts the runs of a version.
func (m *metrics) observer(name string, number int64) func(batch.Observation) {
	labels := prometheus.Labels{"model": name, "version": strconv.FormatInt(number, 10)}
	queue, inference, rows := m.queue.With(labels), m.inference.With(labels),
		m.batchRows.With(labels)
	count, executions := m.triton.count.With(labels), m.triton.executions.With(labels)
	return func(o batch.Observation) {
		for _, wait := range o.Queued {
			queue.Observe(wait.Seconds())
			m.tf.queuing.Observe(micros(wait))
		}
		inference.Observe(o.Compute.Seconds())
		rows.Observe(float64(o.Rows))
		m.tf.processed.Observe(float64(o.Rows + o.Padding))
		m.tf.padding.WithLabelValues(strconv.Itoa(o.Rows + o.Padding)).Observe(float64(o.Padding))
		if o.Err == nil {
			count.Add(float64(o.Rows))
			executions.Inc()
		}
	}
}

// warmed counts the warming up of a version from path.
func (m *metrics) warmed(v *version, path string, took time.Duration, err error) {
	code := codes.OK
	if err != nil {
		code = asError(err).Code
	}
	m.warmup.WithLabelValues(v.name, strconv.FormatInt(v.number, 10)).Observe(took.Seconds())
	m.tf.warmup.WithLabelValues(path, servingCode(code)).Observe(micros(took))
}

// unloaded forgets a version, whose numbers would otherwise stay for ever.
func (m *metrics) unloaded(v *version) {
	labels := prometheus.Labels{"model": v.name, "version": strconv.FormatInt(v.number, 10)}
	for _, vec := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
		m.cache, m.triton.hits, m.triton.misses, m.classes, m.confidence,
		m.requests, m.latency, m.preprocess, m.queue, m.inference, m.batchRows, m.warmup,
		m.triton.success, m.triton.failure, m.triton.count, m.triton.executions,
		m.triton.requestTime, m.triton.queueTime, m.triton.inferenceTime,
	} {
		vec.DeletePartialMatch(labels)
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.own, promhttp.HandlerOpts{})
}

func (m *metrics) servingHandler() http.Handler {
	return promhttp.HandlerFor(m.serving, promhttp.HandlerOpts{})
}
