package worker

import (
	"errors"
	"fmt"
	"strings"
)

// DiedError says that the worker died with this run in flight. It may not be this run's fault where
// there were others.
type DiedError struct {
	Cause  string // a signal, as "SIGABRT", or how it ended otherwise, as "exit status 1"
	Reason string // the line of standard error that says why; "" where there is none
	Death  int    // counted from 1
	Runs   int    // that were in flight, this one included
}

func (e *DiedError) Error() string {
	with := "with this run alone in flight"
	if e.Runs > 1 {
		with = fmt.Sprintf("with %d runs in flight, of which this is one", e.Runs)
	}
	return fmt.Sprintf("the model's process died (%s) %s", e.Cause, with)
}

// DownError says that a run was not begun: the worker has died and is not yet started again.
type DownError struct {
	// Why is that the last one ended, or could not be started. The error does not wrap it: no run
	// died with this one.
	Why error
}

func (e *DownError) Error() string {
	return "the model's process is being started again"
}

// UsageError is a worker's error about the value of a flag.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// ErrClosed is returned for what is asked of a Model after Close.
var ErrClosed = errors.New("the model is closed")

// startError says why a worker could not be started.
type startError struct{ cause, reason string }

func (e *startError) Error() string {
	return fmt.Sprintf("the model's process died (%s) before it had opened the model%s", e.cause,
		strings.TrimSuffix(": "+e.reason, ": "))
}
