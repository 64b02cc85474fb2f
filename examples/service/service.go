package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"kerasrun/batch"
	"kerasrun/runner"
	"kerasrun/serve"
)

// maxImage is how many bytes an image may have.
const maxImage = 20 << 20

// service answers for one model.
type service struct {
	models *serve.Server
	logger *slog.Logger
}

// newService loads the model.
func newService(ctx context.Context, logger *slog.Logger, dir, sum string) (*service, error) {
	load := func(ctx context.Context, dir string) (serve.Model, error) {
		var options []runner.Option
		if sum != "" {
			options = append(options, runner.WithModelSHA256(sum))
		}
		return runner.Open(ctx, dir, options...)
	}
	limits := serve.DefaultLimits()
	limits.Image = maxImage
	models, err := serve.New(serve.Config{
		Models:   []serve.ModelConfig{{Name: "model", Path: dir}},
		Load:     load,
		Batching: batch.Default(),
		Limits:   limits,
		Logger:   logger,
		Runtime:  "TensorFlow " + runner.Version(),
	})
	if err != nil {
		return nil, err
	}
	if err := models.Start(ctx); err != nil {
		return nil, err
	}
	return &service{models, logger}, nil
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /label", s.label)
	mux.Handle("/", s.models.Handler())
	return mux
}

// named is what POST /label answers.
type named struct {
	Label       string  `json:"label"`
	Probability float32 `json:"probability"`
}

// label names what is on an image.
func (s *service) label(w http.ResponseWriter, r *http.Request) {
	image, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxImage))
	if err != nil {
		s.fail(w, err)
		return
	}
	answer, err := s.models.Answer(r.Context(), "", 1, image)
	if err == nil && len(answer.Predictions) == 0 {
		err = fmt.Errorf("expected a model of classes, got one of kind %s", answer.Kind)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	best := answer.Predictions[0]
	w.Header().Set("Content-Type", "application/json")
	// It fails where the client has left.
	_ = json.NewEncoder(w).Encode(named{best.Name, best.Probability})
}

// fail answers a request that cannot be answered. What is the service's own fault is for the log.
func (s *service) fail(w http.ResponseWriter, err error) {
	status := statusOf(err)
	switch {
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case status == http.StatusInternalServerError:
		s.logger.Error("request failed", "error", err)
		err = errors.New("internal error")
	}
	http.Error(w, err.Error(), status)
}

// statusOf says whose fault an error was.
func statusOf(err error) int {
	var tooLong *http.MaxBytesError
	var failed *serve.Error
	switch {
	case errors.As(err, &tooLong):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &failed):
		return failed.Status()
	case errors.Is(err, io.ErrUnexpectedEOF): // the client has left
		return http.StatusBadRequest
	case errors.Is(err, os.ErrDeadlineExceeded): // it took too long to send
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}
