package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Listeners say where a Server listens, and how it shuts down.
type Listeners struct {
	HTTP net.Listener
	GRPC net.Listener // nil: no gRPC
	TLS  *tls.Config  // nil: none

	// On shutdown the server first reports that it is not ready and still takes requests for
	// DrainDelay, so that load balancers can see it. Then it takes no more and answers those it
	// has. After DrainTimeout in all it drops the rest.
	DrainDelay, DrainTimeout time.Duration
}

// Serve answers requests until ctx ends, then drains. It returns nil when every request that was
// taken has been answered. The models stay loaded until Close.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	a := &listeners{Listeners: l, web: s.webServer(l.TLS), webDone: make(chan error, 1),
		rpcDone: make(chan error, 1), stopStreams: s.stopStreams}
	limit := s.config.Limits.Connections
	a.web.ConnState = a.connections.change
	a.web.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, overLimitKey{}, a.connections.number() >= limit)
	}
	go func() {
		listener := netutil.LimitListener(l.HTTP, limit+spareConnections)
		if l.TLS != nil {
			a.webDone <- a.web.ServeTLS(listener, "", "")
		} else {
			a.webDone <- a.web.Serve(listener)
		}
	}()
	if l.GRPC != nil {
		options := s.GRPCOptions()
		if l.TLS != nil {
			options = append(options, grpc.Creds(credentials.NewTLS(l.TLS)))
		}
		a.rpc = grpc.NewServer(options...)
		s.RegisterGRPC(a.rpc)
		go func() { a.rpcDone <- a.rpc.Serve(netutil.LimitListener(l.GRPC, limit)) }()
	}
	var err error
	select {
	case <-ctx.Done():
		s.Drain()
		err = a.drain()
	case err = <-a.webDone:
	case err = <-a.rpcDone:
	}
	a.web.Close()
	if a.rpc != nil {
		a.rpc.Stop()
	}
	if err != nil {
		return err
	}
	return nil
}

func (s *Server) webServer(c *tls.Config) *http.Server {
	limits := s.config.Limits
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // as gRPC has it: by those who know that it is there
	return &http.Server{
		Protocols:         protocols,
		Handler:           s.Handler(),
		ReadHeaderTimeout: limits.ReadHeader,
		ReadTimeout:       limits.Read,
		// to be sent, answered and received
		WriteTimeout:   limits.Read + limits.Deadline + limits.Read,
		IdleTimeout:    limits.Idle,
		MaxHeaderBytes: limits.HeaderBytes,
		TLSConfig:      c.Clone(), // the server changes it
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250,
			MaxReceiveBufferPerConnection: receiveBuffer, MaxReceiveBufferPerStream: receiveBuffer},
		ErrorLog: slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug),
	}
}

// listeners are the servers that answer on Listeners.
type listeners struct {
	Listeners
	web              *http.Server
	connections      connections
	rpc              *grpc.Server // nil: no gRPC
	webDone, rpcDone chan error
	stopStreams      func()
}

// drain takes requests for a little longer, then none, and waits for those that were taken.
func (a *listeners) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), a.DrainTimeout)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-time.After(a.DrainDelay):
	}
	a.stopStreams()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if a.rpc != nil {
			a.rpc.GracefulStop()
		}
	}()
	// Shutdown drops a request that is half read, so it is called only when there is none.
	a.HTTP.Close()
	<-a.webDone // by now every connection that was accepted is known to be
	a.connections.wait(ctx)
	err := a.web.Shutdown(ctx)
	if errors.Is(err, net.ErrClosed) {
		err = nil // the listener was closed above
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("requests were left unanswered after %v: %w", a.DrainTimeout, err)
	}
	return nil
}

// receiveBuffer is what a connection of HTTP/2 may have sent before a request reads it, in bytes.
const receiveBuffer = 256 << 10

// spareConnections are accepted beyond the limit, for probes.
const spareConnections = 64

// overLimitKey marks in a request's context that its connection is beyond the limit.
type overLimitKey struct{}

// connections knows a server's open connections, and which of them have a request on them, or are
// about to.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]bool // true: busy
}

func (c *connections) change(connection net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[net.Conn]bool{}
	}
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.open, connection)
	} else {
		c.open[connection] = state == http.StateNew || state == http.StateActive
	}
}

func (c *connections) number() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

func (c *connections) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, busy := range c.open {
		if busy {
			return true
		}
	}
	return false
}

// wait returns when no connection has a request on it, or ctx ends.
func (c *connections) wait(ctx context.Context) {
	for ctx.Err() == nil && c.busy() {
		time.Sleep(time.Millisecond)
	}
}
