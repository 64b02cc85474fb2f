// Service is a web service of one's own with a model in it. Its own route names what is on an
// image:
//
//	curl --data-binary @cat.jpg 127.0.0.1:8080/label
//	{"label":"Egyptian_cat","probability":0.789}
//
// Everything else is the model server's: its protocols, page, probes and metrics. Requests to
// either share batches and limits.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "kerasrun/runner/preinit"
)

func main() {
	model := flag.String("model", "models/resnext50", "the model's `directory`")
	sum := flag.String("model-sha256", "",
		"its `hash`, as kerasrun inspect prints it; not needed by the user who exported it")
	addr := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.Parse()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, logger, *model, *sum, *addr); err != nil {
		logger.Error("the service ended", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then answers the requests that it has.
func run(ctx context.Context, logger *slog.Logger, model, sum, addr string) error {
	s, err := newService(ctx, logger, model, sum)
	if err != nil {
		return err
	}
	defer s.models.Close()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second, // to be sent, answered and received
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	logger.Info("listening", "address", listener.Addr().String())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	s.models.Drain() // load balancers see that it is not ready
	drained, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := server.Shutdown(drained); err != nil {
		return fmt.Errorf("requests were dropped: %w", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
