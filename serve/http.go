package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// handler answers a request, or says why not: the error goes to the client as {"error": "..."}, as
// all three protocols want it.
type handler func(w http.ResponseWriter, r *http.Request) error

// Handler returns everything that the server answers over HTTP, from the root of a host.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, methods := range s.routes() {
		mux.Handle(pattern, routed(pattern, s.methods(methods)))
	}
	mux.Handle("/", s.errors(func(_ http.ResponseWriter, r *http.Request) error {
		return errorf(codes.NotFound, "there is nothing at %s", r.URL.Path)
	}))
	if s.config.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	ours := s.crossOrigin(s.sameOrigin(s.authorised(mux)))
	return s.limitStreams(s.logged(s.recovered(s.limitConnections(s.forHost(ours)))))
}

func (s *Server) routes() map[string]map[string]handler {
	const get, post = http.MethodGet, http.MethodPost
	return map[string]map[string]handler{
		"/{$}":                     {get: page},
		"/classify":                {get: s.aboutModels, post: s.classify},
		"/classify/samples/{name}": {get: s.sample},

		"/v1/models/": {get: s.servingGet, post: s.servingPost},

		"/v2":              {get: s.serverMetadata},
		"/v2/{$}":          {get: s.serverMetadata},
		"/v2/health/live":  {get: live},
		"/v2/health/ready": {get: s.serverReady},

		"/v2/models/{model}":                          {get: s.modelMetadata},
		"/v2/models/{model}/ready":                    {get: s.modelReady},
		"/v2/models/{model}/infer":                    {post: s.infer},
		"/v2/models/{model}/versions/{version}":       {get: s.modelMetadata},
		"/v2/models/{model}/versions/{version}/ready": {get: s.modelReady},
		"/v2/models/{model}/versions/{version}/infer": {post: s.infer},

		"/v2/models/{model}/config":                    {get: s.writeModelConfig},
		"/v2/models/{model}/versions/{version}/config": {get: s.writeModelConfig},
		"/v2/models/stats":                             {get: s.statistics},
		"/v2/models/{model}/stats":                     {get: s.statistics},
		"/v2/models/{model}/versions/{version}/stats":  {get: s.statistics},
		"/v2/repository/index":                         {post: s.writeRepositoryIndex},
		"/v2/repository/models/{model}/load":           {post: refuse(errModelControl)},
		"/v2/repository/models/{model}/unload":         {post: refuse(errModelControl)},
		"/v2/trace/setting": {get: s.writeTraceSettings,
			post: refuse(errTraceUpdate)},
		"/v2/models/{model}/trace/setting": {get: s.writeTraceSettings,
			post: refuse(errTraceUpdate)},
		"/v2/logging": {get: s.writeLogSettings, post: refuse(errLogUpdate)},
		"/v2/systemsharedmemory/{rest...}": {get: refuse(errSharedMemory),
			post: refuse(errSharedMemory)},
		"/v2/cudasharedmemory/{rest...}": {get: refuse(errSharedMemory),
			post: refuse(errSharedMemory)},

		"/metrics":                       {get: handlerOf(s.metrics.handler())},
		"/monitoring/prometheus/metrics": {get: handlerOf(s.metrics.servingHandler())},
	}
}

func handlerOf(h http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// methods answers by the request's method.
func (s *Server) methods(methods map[string]handler) http.Handler {
	return s.errors(func(w http.ResponseWriter, r *http.Request) error {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if h, ok := methods[method]; ok {
			return h(w, r)
		}
		var allowed []string
		for method := range methods {
			allowed = append(allowed, method)
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &Error{Code: codes.InvalidArgument, HTTP: http.StatusMethodNotAllowed,
			Err: fmt.Errorf("%.20s is not for %s", r.Method, r.URL.Path)}
	})
}

// errors bounds a request's time and writes its error.
func (s *Server) errors(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, cancel := s.deadline(r)
		defer cancel()
		if err := h(w, r); err != nil {
			s.writeError(w, r, err)
			s.dropBody(w, r)
		}
	})
}

// dropBody drops what a client still sends of a request that was refused, four times what a body
// may have at most. Most clients look for an answer when they have sent everything; they would lose it,
// for a connection that is closed before all of it was read is reset. HTTP/2 resets the request
// alone.
func (s *Server) dropBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor > 1 || r.Header.Get("Expect") != "" {
		return
	}
	_ = http.NewResponseController(w).Flush() // the client may have left
	_, _ = io.CopyN(io.Discard, r.Body, 4*min(s.config.Limits.Body, math.MaxInt64/4))
}

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	status := e.Status()
	switch status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusInternalServerError:
		s.logger(r.Context()).Error("request failed", "error", err)
	}
	note(r.Context(), "error", e.Error())
	body, _ := json.Marshal(map[string]string{"error": e.Error()}) // strings can be marshalled
	write(w, status, "application/json", append(body, '\n'))
}

// write answers with a body.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // the client may have left
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", append(body, '\n'))
	return nil
}

// withVersion finds the version that is asked for, keeps it loaded while f answers with it, and
// counts the request.
func (s *Server) withVersion(ctx context.Context, p protocol, c choice,
	f func(*version) (timing, error)) error {
	v, release, err := s.repository.acquire(c)
	if err != nil {
		return err
	}
	defer release()
	note(ctx, "model", v.name)
	note(ctx, "version", v.number)
	warn(ctx, v)
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()
	start := time.Now()
	parts, err := f(v)
	took := time.Since(start)
	if !parts.ran.IsZero() {
		parts.Output = time.Since(parts.ran)
	}
	s.metrics.answered(v, p, took, parts, err)
	v.statistics.answered(start, took, parts, err)
	return err
}
