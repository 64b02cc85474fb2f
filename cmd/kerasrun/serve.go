package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"kerasrun/batch"
	"kerasrun/golden"
	"kerasrun/internal/cgroup"
	"kerasrun/internal/version"
	"kerasrun/object"
	"kerasrun/runner"
	"kerasrun/serve"
	"kerasrun/worker"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	model    modelFlags
	isolated isolation
	name     string
	file     string // of models
	verifies bool
	poll     float64 // seconds

	addr, grpcAddr     string
	hosts, origins     []string
	samples            string
	cert, key, token   string
	batching           batch.Parameters
	batchingFile       string
	batchTimeoutMicros int
	limits             serve.Limits
	memory             int64 // in bytes; 0 is the default
	pixelsGiven        bool  // --max-pixels
	drainDelay         time.Duration
	drainTimeout       time.Duration
	cache              int64 // bytes
	logFormat          *choice
	logLevel           *choice
	pprof              bool
}

func newServeCommand() *cobra.Command {
	f := serveFlags{batching: batch.Default(), limits: serve.DefaultLimits()}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve a model over HTTP and gRPC",
		Long: `Serve a model over HTTP and gRPC: images at /classify and on the page at /, TensorFlow
Serving's REST API at /v1, the Open Inference Protocol at /v2 and, with --grpc-addr, over gRPC.
Metrics are at /metrics and /monitoring/prometheus/metrics.

The model is a directory that kerasrun-export wrote, or one with the versions 1, 2, ... in it, of
which the highest is served. A new version is loaded, verified against its goldens on this device,
warmed up, and only then swapped in; no request is lost. A broken version is refused, and the old
one is served on. Either may be in an object store, where new versions are looked for too.

Traces go to OpenTelemetry's collector where the environment names one by
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT. OpenTelemetry's other variables
hold too.

On SIGTERM, an interrupt or SIGHUP (a closed terminal) readiness (/v2/health/ready) turns 503,
accepted requests are completed, and the exit status is 0. A second signal, but for SIGHUP, ends the
program at once.`,
		Example: `  kerasrun serve
  curl --data-binary @cat.jpg localhost:8501/classify
  kerasrun serve --addr :8501 --grpc-addr :8001 --token-file token
  kerasrun serve --addr :8501 --tls-cert cert.pem --tls-key key.pem`,
		Args: noArgs,
	}
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return cmd
}

func (f *serveFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.model.register(cmd)
	f.isolated.register(cmd)
	flags.StringVar(&f.name, "model-name", "",
		"what clients call the model (default the directory's name)")
	flags.StringVar(&f.file, "model-config-file", "",
		"TensorFlow Serving's `file` of several models, in place of --model")
	cmd.MarkFlagsMutuallyExclusive("model", "model-config-file")
	cmd.MarkFlagsMutuallyExclusive("model-name", "model-config-file")
	flags.BoolVar(&f.verifies, "verify", true,
		"verify each version against its goldens before it is served")
	flags.Float64Var(&f.poll, "file-system-poll-wait-seconds", 1,
		"how often to look for new versions, in seconds; 0 is never")
	must(cmd.MarkFlagFilename("model-config-file"))
	underHeading(cmd, "Model flags",
		"model-name", "model-config-file", "verify", "file-system-poll-wait-seconds")

	flags.StringVar(&f.addr, "addr", "127.0.0.1:8501", "`address` to serve HTTP on")
	flags.StringVar(&f.grpcAddr, "grpc-addr", "", "`address` to serve gRPC on (default none)")
	flags.StringSliceVar(&f.hosts, "host", nil, "`name` that HTTP requests may be for, beside "+
		"localhost and addresses; 421 for others (default any, and none where --addr is loopback)")
	flags.StringSliceVar(&f.origins, "cors-origin", nil, "`origin` of another site's pages that "+
		"may send requests, as https://app.example (default none)")
	flags.StringVar(&f.samples, "samples", "", "`directory` of images that the page offers to try, "+
		"up to 12; clients may see them (default none)")
	must(cmd.MarkFlagDirname("samples"))
	flags.StringVar(&f.cert, "tls-cert", "", "`file` of the certificate, PEM")
	flags.StringVar(&f.key, "tls-key", "", "`file` of the certificate's key, PEM")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	flags.StringVar(&f.token, "token-file", "", "`file` of the token that requests must have")
	must(cmd.MarkFlagFilename("tls-cert"))
	must(cmd.MarkFlagFilename("tls-key"))
	must(cmd.MarkFlagFilename("token-file"))
	underHeading(cmd, "Listening flags", "addr", "grpc-addr", "host", "cors-origin", "samples",
		"tls-cert", "tls-key", "token-file")

	batching := []string{"max-batch-size", "batch-timeout-micros", "max-enqueued-batches",
		"num-batch-threads", "allowed-batch-sizes"}
	flags.IntVar(&f.batching.MaxBatchSize, "max-batch-size", f.batching.MaxBatchSize,
		"most rows of a batch")
	flags.IntVar(&f.batchTimeoutMicros, "batch-timeout-micros", 0,
		"how long a request waits for others to join it")
	flags.IntVar(&f.batching.MaxEnqueuedBatches, "max-enqueued-batches",
		f.batching.MaxEnqueuedBatches, "most batches that wait; 503 beyond")
	flags.IntVar(&f.batching.NumBatchThreads, "num-batch-threads", f.batching.NumBatchThreads,
		"batches that are run at a time")
	flags.IntSliceVar(&f.batching.AllowedBatchSizes, "allowed-batch-sizes", nil,
		"sizes that batches are padded to (default any)")
	flags.StringVar(&f.batchingFile, "batching-parameters-file", "",
		"TensorFlow Serving's `file` of the five above and enable_large_batch_splitting")
	for _, name := range batching {
		cmd.MarkFlagsMutuallyExclusive(name, "batching-parameters-file")
	}
	must(cmd.MarkFlagFilename("batching-parameters-file"))
	flags.DurationVar(&f.batching.QueueTimeout, "queue-timeout", f.batching.QueueTimeout,
		"how long a request waits for its run at most; 503 beyond, at once where that can be "+
			"foreseen; 0 is no limit")
	underHeading(cmd, "Batching flags",
		append(batching, "batching-parameters-file", "queue-timeout")...)

	flags.Int64Var(&f.memory, "max-memory-bytes", 0,
		"bytes of all requests together, images that are decoded included, reserved before they "+
			"are taken; 503 beyond (default a quarter of the control group's limit, at most 2 GiB)")
	flags.Int64Var(&f.cache, "cache-bytes", 0,
		"bytes of answers that are kept, to answer the same request again without a run; they "+
			"come beside --max-memory-bytes (default none)")
	flags.Int64Var(&f.limits.Body, "max-body-bytes", f.limits.Body,
		"bytes of a request, also unpacked; 413 beyond")
	flags.Int64Var(&f.limits.Image, "max-image-bytes", f.limits.Image,
		"bytes of an image; 413 beyond")
	flags.IntVar(&f.limits.Pixels, "max-pixels", f.limits.Pixels,
		"width x height of an image; 422 beyond; by default fewer where one would take more than "+
			"half of --max-memory-bytes, 10 bytes a pixel")
	flags.IntVar(&f.limits.Rows, "max-rows", f.limits.Rows, "rows of a request; 413 beyond")
	flags.IntVar(&f.limits.Connections, "max-connections", f.limits.Connections,
		"connections at a time")
	flags.DurationVar(&f.limits.Deadline, "deadline", f.limits.Deadline,
		"time to complete a request; 504 beyond")
	flags.DurationVar(&f.drainDelay, "drain-delay", time.Second,
		"time to accept requests still, after a signal to end")
	flags.DurationVar(&f.drainTimeout, "drain-timeout", 29*time.Second,
		"time to complete accepted requests, the delay included")
	underHeading(cmd, "Limit flags", "max-memory-bytes", "cache-bytes", "max-body-bytes",
		"max-image-bytes", "max-pixels", "max-rows", "max-connections", "deadline", "drain-delay",
		"drain-timeout")

	f.logFormat = addChoice(cmd, "log-format", "of the log on standard error", "text", "json")
	f.logLevel = addChoice(cmd, "log-level", "least severe message that is logged",
		"info", "debug", "warn", "error")
	flags.BoolVar(&f.pprof, "pprof", false,
		"serve /debug/pprof/, which lets clients look into the process")
	underHeading(cmd, "Log and debug flags", "log-format", "log-level", "pprof")
}

func (f *serveFlags) run(cmd *cobra.Command) error {
	if os.Getenv("GOGC") == "" {
		// The heap is tensors that wait, without a pointer in them: to collect it costs little, and
		// garbage is memory that grows with load.
		debug.SetGCPercent(50)
		// A server that holds 8 MB would collect at every second request, which takes 1 % of two
		// CPUs. This counts as held too, so that the collector waits for 20 MB of garbage. It takes
		// no memory, for it is never touched.
		floor := make([]byte, 32<<20)
		defer runtime.KeepAlive(floor)
	}
	f.pixelsGiven = cmd.Flags().Changed("max-pixels")
	log := f.logger(cmd.ErrOrStderr())
	config, err := f.config(cmd.Context(), log)
	if err != nil {
		return err
	}
	listeners, err := f.listen(log, config.Token)
	if err != nil {
		return err
	}
	defer listeners.close()
	config.Hosts = f.ownNames(listeners.HTTP.Addr())
	server, err := serve.New(config)
	if err != nil {
		return &usageError{err}
	}
	defer server.Close()
	flush, err := exportTraces(cmd.Context(), log)
	if err != nil {
		return err
	}
	defer flush()
	about := []any{"address", listeners.HTTP.Addr().String()}
	if listeners.GRPC != nil {
		about = append(about, "grpc", listeners.GRPC.Addr().String())
	}
	log.Info("loading", "models", len(config.Models), "tensorflow", runner.Version())
	// Probes are answered while the models are loaded.
	group, ctx := errgroup.WithContext(cmd.Context())
	group.Go(func() error {
		err := server.Start(ctx)
		if err == nil && ctx.Err() == nil {
			log.Info("listening", about...)
		}
		return err
	})
	group.Go(func() error { return server.Serve(ctx, listeners.Listeners) })
	return group.Wait()
}

// ownNames returns the names that requests may be for; nil is any. Who listens where only this
// machine reaches is told no name but those of --host and --addr.
func (f *serveFlags) ownNames(address net.Addr) []string {
	tcp, ok := address.(*net.TCPAddr)
	if len(f.hosts) == 0 && !(ok && tcp.IP.IsLoopback()) {
		return nil
	}
	names := append([]string{}, f.hosts...)
	if name, _, err := net.SplitHostPort(f.addr); err == nil {
		names = append(names, name)
	}
	return names
}

func (f *serveFlags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel.value)); err != nil {
		panic(err) // the flag's words are levels
	}
	options := &slog.HandlerOptions{Level: level}
	if f.logFormat.value == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func (f *serveFlags) config(ctx context.Context, log *slog.Logger) (
	c serve.Config, err error,
) {
	c = serve.Config{
		Load: f.load(log), Batching: f.batching, Limits: f.limits,
		Poll:   time.Duration(f.poll * float64(time.Second)),
		Logger: log, Pprof: f.pprof, Origins: f.origins, Cache: f.cache, Version: version.String(),
		Runtime: "TensorFlow " + runner.Version(),
	}
	if c.Models, err = f.models(ctx); err != nil {
		return c, err
	}
	if f.samples != "" {
		if c.Samples, err = serve.ReadSamples(f.samples); err != nil {
			return c, fmt.Errorf("--samples: %w", err)
		}
	}
	c.Batching.BatchTimeout = time.Duration(f.batchTimeoutMicros) * time.Microsecond
	if f.batchingFile != "" {
		parameters := batch.Default()
		parameters.QueueTimeout = f.batching.QueueTimeout
		if c.Batching, err = serve.ReadBatching(f.batchingFile, parameters); err != nil {
			return c, err
		}
	}
	total, group := f.memory, cgroup.Memory(os.DirFS("/"))
	if !f.pixelsGiven {
		c.Limits = c.Limits.WithPixelsFor(cmp.Or(total, memoryShare(group)))
	}
	if total == 0 {
		total = defaultMemory(c.Limits, group)
	}
	if c.Limits, err = c.Limits.WithMemory(total); err != nil {
		return c, &usageError{err}
	}
	if f.token != "" {
		token, err := os.ReadFile(f.token)
		if err != nil {
			return c, err
		}
		if c.Token = strings.TrimSpace(string(token)); c.Token == "" {
			return c, fmt.Errorf("%s: expected a token, got none", f.token)
		}
	}
	return c, nil
}

// defaultMemory is what requests may take of a control group's memory, in bytes: its share, or what
// the limits need at least.
func defaultMemory(l serve.Limits, group float64) int64 {
	return max(l.LeastMemory(), memoryShare(group))
}

// memoryShare is a quarter of a control group's memory, for a model takes about a third and the
// collector lets half of what is in use lie.
func memoryShare(group float64) int64 { return int64(min(2<<30, group/4)) }

func (f *serveFlags) models(ctx context.Context) ([]serve.ModelConfig, error) {
	if f.file != "" {
		models, err := serve.ReadModels(f.file)
		if err != nil {
			return nil, err
		}
		for i := range models {
			if object.IsStore(models[i].Path) {
				models[i].Store = modelStore{}
			}
		}
		return models, nil
	}
	if object.IsStore(f.model.dir) {
		name := cmp.Or(f.name, object.Base(f.model.dir))
		return []serve.ModelConfig{{Name: name, Path: f.model.dir, Store: modelStore{}}}, nil
	}
	dir, err := f.model.local(ctx)
	if err != nil {
		return nil, err
	}
	// Versions may come later, but not into what is no directory.
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if _, err := f.model.read(ctx); err != nil {
			return nil, err
		}
	}
	name := f.name
	if name == "" {
		path, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		name = filepath.Base(path)
	}
	return []serve.ModelConfig{{Name: name, Path: dir}}, nil
}

// load loads a version and verifies it against its goldens.
func (f *serveFlags) load(log *slog.Logger) func(context.Context, string) (serve.Model, error) {
	return func(ctx context.Context, dir string) (serve.Model, error) {
		flags := f.model
		flags.dir = dir
		flags.warn = func(message string) { log.Warn(message) }
		backoff := worker.DefaultBackoff()
		m, err := f.isolated.open(ctx, flags, worker.Config{Backoff: &backoff, Logger: log,
			Stderr: workerLog(log)})
		if err != nil {
			return nil, err
		}
		if err := f.verify(ctx, log, m, dir); err != nil {
			return nil, errors.Join(err, m.Close())
		}
		return m, nil
	}
}

func (f *serveFlags) verify(ctx context.Context, log *slog.Logger, m golden.Model,
	dir string) error {
	manifest := m.SavedModel().Manifest
	if !f.verifies || manifest == nil || manifest.Goldens == "" {
		log.Warn("the version is not verified against goldens", "directory", dir)
		return nil
	}
	pack, err := golden.Open(filepath.Join(dir, filepath.FromSlash(manifest.Goldens)))
	if err != nil {
		return err
	}
	report, err := golden.Verify(ctx, m, judged(pack, f.model.precision.value))
	if err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("%s: outputs differ from those of %s; `kerasrun verify %s` says where",
			dir, pack.Reference, dir)
	}
	return nil
}

// listening is what a server listens on, closed when it does not come to serve.
type listening struct{ serve.Listeners }

func (l *listening) close() {
	for _, listener := range []net.Listener{l.HTTP, l.GRPC} {
		if listener != nil {
			listener.Close() // closed already, if all went well
		}
	}
}

// listen takes the addresses, before the model is loaded.
func (f *serveFlags) listen(log *slog.Logger, token string) (l *listening, err error) {
	l = &listening{serve.Listeners{DrainDelay: f.drainDelay, DrainTimeout: f.drainTimeout}}
	if f.cert != "" {
		certificate, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, err
		}
		l.TLS = &tls.Config{
			Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
			NextProtos: []string{"h2", "http/1.1"},
		}
	}
	if l.HTTP, err = net.Listen("tcp", f.addr); err != nil {
		return nil, err
	}
	if f.grpcAddr != "" {
		if l.GRPC, err = net.Listen("tcp", f.grpcAddr); err != nil {
			l.close()
			return nil, err
		}
	}
	address, ok := l.HTTP.Addr().(*net.TCPAddr)
	if ok && !address.IP.IsLoopback() && token == "" {
		log.Warn("anyone who can reach this machine can send requests; --token-file limits that",
			"address", address.String())
	}
	return l, nil
}
