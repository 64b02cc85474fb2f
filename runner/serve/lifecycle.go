package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Listeners say where a Server answers, and how it leaves.
type Listeners struct {
	HTTP net.Listener
	GRPC net.Listener // nil: no gRPC
	TLS  *tls.Config  // nil: none

	// When the time comes the server first says that it is not ready, and still takes requests for DrainDelay, so that whoever sends
	// them can see it; then it takes no more, and answers those that it has taken. After DrainTimeout in all it gives up on them.
	DrainDelay, DrainTimeout time.Duration
}

// Serve answers requests until ctx ends, then drains. It returns nil when every request that was taken has been answered. The models
// stay loaded until Close.
func (s *Server) Serve(ctx context.Context, l Listeners) error {
	limits := s.config.Limits
	web := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: limits.ReadHeader,
		ReadTimeout:       limits.Read,
		WriteTimeout:      limits.Read + limits.Deadline + limits.Read, // to be sent, answered and received
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    limits.HeaderBytes,
		TLSConfig:         l.TLS,
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 2)
	go func() {
		listener := netutil.LimitListener(l.HTTP, limits.Connections)
		if l.TLS != nil {
			failed <- web.ServeTLS(listener, "", "")
		} else {
			failed <- web.Serve(listener)
		}
	}()
	var rpc *grpc.Server
	if l.GRPC != nil {
		options := s.GRPCOptions()
		if l.TLS != nil {
			options = append(options, grpc.Creds(credentials.NewTLS(l.TLS)))
		}
		rpc = grpc.NewServer(options...)
		s.RegisterGRPC(rpc)
		go func() { failed <- rpc.Serve(netutil.LimitListener(l.GRPC, limits.Connections)) }()
	}
	var cause error
	select {
	case <-ctx.Done():
		cause = s.drain(l, web, rpc)
	case cause = <-failed:
		cause = fmt.Errorf("serve: %w", cause)
	}
	web.Close()
	if rpc != nil {
		rpc.Stop()
	}
	return cause
}

// drain stops taking requests and waits for those that were taken.
func (s *Server) drain(l Listeners, web *http.Server, rpc *grpc.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), l.DrainTimeout)
	defer cancel()
	s.Drain()
	select {
	case <-ctx.Done():
	case <-time.After(l.DrainDelay):
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if rpc != nil {
			rpc.GracefulStop()
		}
	}()
	err := web.Shutdown(ctx)
	select {
	case <-stopped:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("serve: requests were left unanswered after %v: %w", l.DrainTimeout, err)
	}
	return nil
}
