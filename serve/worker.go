package serve

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"kerasrun/batch"
	"kerasrun/worker"
)

// Restarting is a Model that runs in a process which may die and is started again, as
// *worker.Model is.
type Restarting interface {
	Model
	Down() error    // why no run can be answered now, nil where it can
	Restarts() int  // so far
	Watch(f func()) // has f called after each change of Down
}

// down returns why the version cannot answer now, nil where it can.
func (v *version) down() error {
	m, ok := v.model.(Restarting)
	if !ok {
		return nil
	}
	why := m.Down()
	if why == nil {
		return nil
	}
	return errorf(codes.Unavailable, "model %q version %d: %w", v.name, v.number,
		&worker.DownError{Why: why})
}

// lost keeps a batch from being run again where it may have been the end of its worker.
func lost(err error) error {
	if died := (*worker.DiedError)(nil); errors.As(err, &died) {
		return &batch.LostError{Requests: 1, Err: err} // the batcher counts those of a batch
	}
	return err
}

// reportDeath writes down that this request was in flight when a worker died, and whether it was
// alone: then it is what killed it.
func (s *Server) reportDeath(ctx context.Context, v *version, sig *signature, err error) {
	var died *worker.DiedError
	if !errors.As(err, &died) {
		return
	}
	requests := 1
	if lost := (*batch.LostError)(nil); errors.As(err, &lost) {
		requests = lost.Requests
	}
	s.logger(ctx).Error("a request was in flight when the worker died", "model", v.name, "version",
		v.number, "signature", sig.Key, "signal", died.Cause, "death", died.Death,
		"alone", died.Runs == 1 && requests == 1, "runs", died.Runs, "requests_in_run", requests)
}
