package serve

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
)

// requestLog collects what the line about a request says.
type requestLog struct {
	logger *slog.Logger
	notes  []any
}

type requestLogKey struct{}

// note adds to the line about the request that ctx belongs to.
func note(ctx context.Context, key string, value any) {
	if l, ok := ctx.Value(requestLogKey{}).(*requestLog); ok {
		l.notes = append(l.notes, key, value)
	}
}

// logger returns a logger whose lines have the request's id.
func (s *Server) logger(ctx context.Context) *slog.Logger {
	if l, ok := ctx.Value(requestLogKey{}).(*requestLog); ok {
		return l.logger
	}
	return s.config.Logger
}

// requestID is the one that the client gave, if it is harmless, or a new one.
func requestID(given string) string {
	harmless := given != "" && len(given) <= 128
	for _, c := range given {
		harmless = harmless && (c == '-' || c == '_' || c == '.' || '0' <= c && c <= '9' ||
			'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z')
	}
	if harmless {
		return given
	}
	return rand.Text()
}

// withRequest gives a request its id, and ctx the log of it.
func (s *Server) withRequest(ctx context.Context, id string) (context.Context, *requestLog) {
	return withLog(ctx, s.config.Logger.With("request_id", id))
}

// withLog gives ctx the log of one request.
func withLog(ctx context.Context, logger *slog.Logger) (context.Context, *requestLog) {
	l := &requestLog{logger: logger}
	return context.WithValue(ctx, requestLogKey{}, l), l
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController and http.MaxBytesReader reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// logged gives each request an id, which the response has too, a line in the log, and a span unless
// it is a probe. While the server drains, it asks each client to close the connection.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := requestID(r.Header.Get("X-Request-Id"))
		w.Header().Set("X-Request-Id", id)
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		answer := &recorder{ResponseWriter: w}
		if !probe(r) {
			var span trace.Span
			r, span = traceRequest(r)
			defer func() {
				endRequest(span, answer.status)
				s.metrics.answers.WithLabelValues("http", strconv.Itoa(answer.status)).Inc()
			}()
		}
		ctx, log := s.withRequest(r.Context(), id)
		next.ServeHTTP(answer, r.WithContext(withHeader(ctx, w.Header())))
		level := slog.LevelInfo
		if probe(r) || r.Method == http.MethodGet && answer.status < http.StatusBadRequest {
			level = slog.LevelDebug // probes, scrapes and those who look
		}
		log.logger.Log(ctx, level, "request", append([]any{
			"method", r.Method, "path", r.URL.Path, "status", answer.status, "bytes", answer.bytes,
			"ms", float64(time.Since(start).Microseconds()) / 1000, "remote", r.RemoteAddr,
		}, log.notes...)...)
	})
}

// recovered keeps one request's panic from ending more than that request.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.writeError(w, r, s.panicked(r.Context(), p))
			} else if p != nil {
				panic(p)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// panicked logs a panic and returns what the client is told of it.
func (s *Server) panicked(ctx context.Context, p any) error {
	s.logger(ctx).Error("panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return errorf(codes.Internal, "internal error")
}

// forHost refuses requests that are for a name which is not the server's: a browser sends them when
// a page's own name has come to mean this server, and takes them for the page's own. No name can be
// made to mean an address, so that those pass. Probes pass too; they tell nothing.
func (s *Server) forHost(next http.Handler) http.Handler {
	refused := s.errors(func(_ http.ResponseWriter, r *http.Request) error {
		return &Error{Code: codes.PermissionDenied, HTTP: http.StatusMisdirectedRequest,
			Err: fmt.Errorf("the host: expected a name of this server, got %.100q; "+
				"kerasrun serve --host names one", r.Host)}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.config.Hosts == nil || probe(r) || ownHost(r.Host, s.config.Hosts) {
			next.ServeHTTP(w, r)
			return
		}
		refused.ServeHTTP(w, r)
	})
}

// ownHost says whether a Host header, with or without a port, has an address, localhost, or one of
// the names. HTTP/1.0 may have none, and no browser sends that.
func ownHost(host string, names []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	return strings.EqualFold(host, "localhost") ||
		slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(host, name) })
}

// sameOrigin refuses what a browser sends from another site's page.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, origin := range s.config.Origins {
		_ = protection.AddTrustedOrigin(origin) // validate has asked for its error
	}
	protection.SetDenyHandler(s.errors(func(http.ResponseWriter, *http.Request) error {
		return errorf(codes.PermissionDenied, "requests from other sites' pages are refused")
	}))
	return protection.Handler(next)
}

// probe says whether a request asks after the server's health.
func probe(r *http.Request) bool {
	return r.URL.Path == "/v2/health/live" || r.URL.Path == "/v2/health/ready"
}

// limitConnections answers only probes on connections beyond the limit. Many connections do not
// make the server dead, so probes must still succeed.
func (s *Server) limitConnections(next http.Handler) http.Handler {
	refused := s.errors(func(w http.ResponseWriter, _ *http.Request) error {
		return errorf(codes.Unavailable, "too many connections")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if over, _ := r.Context().Value(overLimitKey{}).(bool); over {
			w.Header().Set("Connection", "close")
			if !probe(r) {
				refused.ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// spareStreams are taken beyond the limit, for probes.
const spareStreams = 64

// streams counts the requests or calls that a listener has on streams of HTTP/2.
type streams struct{ atomic.Int64 }

// enter counts one more until leave, unless there are too many.
func (n *streams) enter(limit int, probe bool) bool {
	if probe {
		limit += spareStreams
	}
	if n.Add(1) > int64(limit) {
		n.Add(-1)
		return false
	}
	return true
}

func (n *streams) leave() { n.Add(-1) }

// limitStreams refuses streams of HTTP/2 beyond the limit. One that is answered takes memory until
// its client has read the answer, which it need not; one that is refused gets no answer to read.
func (s *Server) limitStreams(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 { // one on each connection
			next.ServeHTTP(w, r)
			return
		}
		if !s.webStreams.enter(s.config.Limits.Streams, probe(r)) {
			panic(http.ErrAbortHandler)
		}
		defer s.webStreams.leave()
		next.ServeHTTP(w, r)
		_ = http.NewResponseController(w).Flush() // returns when it is read, or the time is over
	})
}

// authorised asks for the token, if there is one. Probes and the page itself need none.
func (s *Server) authorised(next http.Handler) http.Handler {
	refused := s.errors(func(http.ResponseWriter, *http.Request) error { return errToken })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && !probe(r) && !s.hasToken(r.Header.Get("Authorization")) {
			refused.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var errToken = errorf(codes.Unauthenticated,
	"expected Authorization: Bearer and the server's token")

// hasToken says whether an Authorization header has the server's token, in constant time.
func (s *Server) hasToken(authorization string) bool {
	if s.config.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	given, want := sha256.Sum256([]byte(strings.TrimSpace(token))),
		sha256.Sum256([]byte(s.config.Token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(given[:], want[:]) == 1
}
