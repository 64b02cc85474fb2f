package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"kerasrun/batch"
	"kerasrun/classify"
)

// Config says what a Server serves, and how.
type Config struct {
	Models []ModelConfig

	// Load loads the SavedModel in a directory and proves that it answers as it should; an error
	// refuses the version.
	Load func(ctx context.Context, dir string) (Model, error)

	Batching batch.Parameters // its Observe is the Server's own
	Limits   Limits
	Poll     time.Duration // how often directories are looked at for new versions; 0 is never again
	Logger   *slog.Logger  // nil: none
	Token    string        // that requests must have; "": none is needed
	// Hosts are the names that requests over HTTP may be for, beside localhost and any address; nil
	// is any name. A page that has its own name point here is refused by it (DNS rebinding).
	Hosts []string
	// Origins are those of other sites' pages that may send requests: "https://host" or with a
	// port. Their requests need the token as any other does: no browser sends it, or a cookie, by
	// itself.
	Origins []string
	Pprof   bool   // serve /debug/pprof/, which shows what the process does
	Version string // of the program, for the metadata
	// Cache is how many bytes of answers are kept, to answer the same request again without a run;
	// 0 is none. They come beside Limits.InFlight.
	Cache   int64
	Runtime string   // what runs the models, and its version, for the metrics
	Samples []Sample // images that the page offers to try
}

func (c Config) validate() error {
	var faults []error
	if len(c.Models) == 0 {
		faults = append(faults, errors.New("expected at least one model, got none"))
	}
	names := map[string]bool{}
	for _, m := range c.Models {
		if m.Name == "" || strings.ContainsAny(m.Name, "/:") {
			faults = append(faults,
				fmt.Errorf("a model's name: expected one without / and :, got %q", m.Name))
		}
		if names[m.Name] {
			faults = append(faults, fmt.Errorf("two models are called %q", m.Name))
		}
		names[m.Name] = true
	}
	for _, origin := range c.Origins {
		err := http.NewCrossOriginProtection().AddTrustedOrigin(origin)
		if err == nil && strings.Contains(origin, "*") {
			err = errors.New("each origin has to be given whole")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf(
				"an origin of pages: expected one as https://host or https://host:port, got %q: %w",
				origin, err))
		}
	}
	if c.Cache < 0 {
		faults = append(faults, fmt.Errorf("cache: expected 0 bytes or more, got %d", c.Cache))
	}
	return errors.Join(append(faults, c.Limits.Validate(), c.Batching.Validate())...)
}

// Server serves models. Start loads them; Handler and RegisterGRPC can be used before.
type Server struct {
	config     Config
	repository *repository
	memory     *memory
	cache      *cache // nil: none
	decoders   *classify.Decoders
	metrics    *metrics
	health     *health.Server
	healthMu   sync.Mutex // from the look at what is ready until the service is told

	// being answered over HTTP/2, and over gRPC
	webStreams, rpcStreams streams

	draining atomic.Bool
	stopPoll context.CancelFunc
	// ends when streams are to end: they would otherwise go on as long as their clients
	streams     context.Context
	stopStreams context.CancelFunc
	polling     sync.WaitGroup
	unloading   sync.WaitGroup
}

// New returns a server that has loaded nothing yet.
func New(c Config) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	decoders, err := newDecoders(c.Limits)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:     c,
		repository: newRepository(c.Models),
		memory:     newMemory(c.Limits.InFlight),
		cache:      newCache(c.Cache),
		decoders:   decoders,
		health:     health.NewServer(),
		stopPoll:   func() {},
	}
	s.streams, s.stopStreams = context.WithCancel(context.Background())
	s.metrics = newMetrics(s)
	s.updateHealth()
	return s, nil
}

// Start loads every model. It is an error where a model has no version that can be served, unless
// ctx has ended; later, such a model is waited for. From then on, until Close or the end of ctx,
// new versions are looked for.
func (s *Server) Start(ctx context.Context) error {
	s.refresh(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err := s.repository.loaded(); err != nil {
		var refused []error
		for _, name := range s.repository.names {
			if fault := s.repository.models[name].fault; fault != nil {
				refused = append(refused, fmt.Errorf("%s: %w", name, fault))
			}
			statuses, _ := s.repository.statuses(choice{model: name}) // none is what ready says
			for _, status := range statuses {
				if status.Err != nil {
					refused = append(refused, fmt.Errorf("%s version %d: %w", name, status.Version,
						status.Err))
				}
			}
		}
		return errors.Join(append(refused, err)...)
	}
	if s.config.Poll > 0 {
		ctx, s.stopPoll = context.WithCancel(ctx)
		s.polling.Go(func() { s.poll(ctx) })
	}
	return nil
}

func (s *Server) poll(ctx context.Context) {
	ticker := time.NewTicker(s.config.Poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.refresh(ctx)
		}
	}
}

// Ready returns nil when requests for every model will be answered: each has a version that is
// loaded, proven, warm and not being started again, and the server is not draining.
func (s *Server) Ready() error {
	if s.draining.Load() {
		return errors.New("the server is shutting down")
	}
	return s.repository.ready()
}

// Drain makes the server not ready. Requests are still answered, each with the request to close its
// connection.
func (s *Server) Drain() {
	if !s.draining.Swap(true) {
		s.health.Shutdown()
		s.config.Logger.Info("draining")
	}
}

// Close stops looking for versions and unloads all models, after the requests that use them. No
// further request is answered.
func (s *Server) Close() {
	s.Drain()
	s.stopStreams()
	s.stopPoll()
	s.polling.Wait()
	for _, name := range s.repository.names {
		m := s.repository.models[name]
		for number := range m.available {
			s.unload(m, number)
		}
	}
	s.unloading.Wait()
}

// updateHealth tells the gRPC health service what is ready.
func (s *Server) updateHealth() {
	state := map[bool]grpc_health_v1.HealthCheckResponse_ServingStatus{
		true:  grpc_health_v1.HealthCheckResponse_SERVING,
		false: grpc_health_v1.HealthCheckResponse_NOT_SERVING,
	}
	s.healthMu.Lock()
	defer s.healthMu.Unlock()
	ready := s.repository.ready() == nil
	s.health.SetServingStatus("", state[ready])
	for _, service := range grpcServices {
		s.health.SetServingStatus(service.ServiceName, state[ready])
	}
}

// deadline bounds a request.
func (s *Server) deadline(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), s.config.Limits.Deadline)
	return r.WithContext(ctx), cancel
}
