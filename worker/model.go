package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Config says how a model is run in a worker. Dir and Command are needed.
type Config struct {
	Dir string // of the model
	// Command is a program with its arguments that opens the model in Dir and calls [Serve] with
	// [Connection].
	Command []string
	// Backoff, if any, is for servers: a run is refused with a [*DownError] while there is no
	// worker, and a worker that cannot be started is tried again. Nil is for one caller: a worker
	// is started at once, runs wait for it, and one that cannot be started ends the model.
	Backoff *Backoff
	Stderr  func(line string) // gets what the worker writes; nil: it is dropped
	Logger  *slog.Logger      // is told of deaths and starts; nil: nobody is

	launch func(command []string, stderr io.Writer) (*process, error) // for tests
}

// Model is a model in a worker. Its methods are safe for concurrent use.
type Model struct {
	config    Config
	directory *savedmodel.Model
	labels    labels.Labels
	opened    hello // of the first worker, as which all others have to be
	deaths    deaths

	stop    context.CancelFunc
	stopped chan struct{} // closed when no worker is left

	mu      sync.Mutex
	current *process      // nil: there is none
	err     error         // why there is none
	changed chan struct{} // closed when one comes, or no more will
	final   bool          // no more will
	starts  int
	watch   func()
}

// Open starts a worker and waits until it has opened the model. It is an error where that fails,
// as the worker tells it. A context that ends first ends the worker.
func Open(ctx context.Context, c Config) (*Model, error) {
	if c.launch == nil {
		c.launch = launch
	}
	if c.Stderr == nil {
		c.Stderr = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Model{config: c, changed: make(chan struct{}), stopped: make(chan struct{}),
		watch: func() {}}
	if c.Backoff != nil {
		m.deaths.Backoff = *c.Backoff
	}
	p, h, err := c.start(ctx, 1)
	if err != nil {
		return nil, err
	}
	m.opened = h
	err = m.read(ctx)
	if err != nil {
		p.connection.Close()
		<-p.ended
		return nil, fmt.Errorf("%s: %w", c.Dir, err)
	}
	m.up(p)
	ctx, m.stop = context.WithCancel(context.Background())
	go m.supervise(ctx, p)
	return m, nil
}

// read reads what the program itself needs of the directory, which has to be what the worker read.
func (m *Model) read(ctx context.Context) (err error) {
	if m.directory, err = savedmodel.Open(ctx, m.config.Dir); err != nil {
		return err
	}
	manifest := ""
	if m.directory.Manifest != nil {
		manifest = m.directory.Manifest.ID()
	}
	if manifest != m.opened.Manifest {
		return errChanged
	}
	m.labels, err = m.directory.Labels()
	return err
}

var errChanged = errors.New("expected the files that the model was opened from, got others: " +
	"a new version belongs into a directory of its own, and what runs has to be started again")

// supervise has a worker follow each that dies, until ctx ends.
func (m *Model) supervise(ctx context.Context, p *process) {
	defer close(m.stopped)
	log := m.config.Logger.With("directory", m.config.Dir)
	for {
		select {
		case <-ctx.Done():
			p.connection.Close() // which ends it
			<-p.ended
			m.down(ErrClosed, true)
			return
		case <-p.ended:
		}
		died := p.died
		m.down(&died, false)
		log.Error("worker died", "signal", died.Cause, "reason", died.Reason, "death", died.Death,
			"pid", p.pid, "runs", p.inFlight())
		next, err := m.restart(ctx, log, time.Since(p.started))
		if err != nil {
			m.down(err, true)
			return
		}
		p = next
	}
}

// restart starts a worker after one that had lived for so long. The error is final.
func (m *Model) restart(ctx context.Context, log *slog.Logger, lived time.Duration) (
	*process, error) {
	for {
		wait := time.Duration(0)
		if m.config.Backoff != nil {
			wait = m.deaths.wait(lived)
		}
		if wait > 0 {
			log.Warn("worker is not started yet", "seconds", wait.Seconds())
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ErrClosed
		}
		p, h, err := m.config.start(ctx, m.Restarts()+2)
		if err == nil && (h.Manifest != m.opened.Manifest || h.Files != m.opened.Files ||
			!slices.Equal(h.Tags, m.opened.Tags)) {
			p.connection.Close()
			<-p.ended
			err = fmt.Errorf("%s: %w", m.config.Dir, errChanged)
		}
		if err == nil {
			m.up(p)
			log.Info("worker started", "pid", p.pid, "seconds", time.Since(p.started).Seconds())
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, ErrClosed
		}
		if m.config.Backoff == nil {
			return nil, err
		}
		log.Error("worker cannot be started", "error", err)
		m.down(err, false)
		lived = 0
	}
}

// up makes a worker the one that runs.
func (m *Model) up(p *process) {
	m.mu.Lock()
	m.starts++
	m.current, m.err = p, nil
	close(m.changed)
	watch := m.watch
	m.mu.Unlock()
	watch()
}

// down says that there is no worker, and why.
func (m *Model) down(err error, final bool) {
	m.mu.Lock()
	if m.current != nil {
		m.changed = make(chan struct{})
	}
	m.current, m.err, m.final = nil, err, final
	if final {
		close(m.changed)
	}
	watch := m.watch
	m.mu.Unlock()
	watch()
}

// worker returns the worker that runs. Where there is none it waits, or is an error.
func (m *Model) worker(ctx context.Context) (*process, error) {
	for {
		m.mu.Lock()
		p, err, changed, final := m.current, m.err, m.changed, m.final
		m.mu.Unlock()
		switch {
		case p != nil:
			return p, nil
		case final:
			return nil, err
		case m.config.Backoff != nil:
			return nil, &DownError{err}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// RunSignature computes all outputs of the signature called key, by name, from all of its inputs.
// The error is a [*DiedError] where the worker died meanwhile, and a [*DownError] where there was
// none. Others are the worker's, in words.
//
// Where ctx ends first, RunSignature returns its error at once.
func (m *Model) RunSignature(ctx context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	for name, t := range in {
		if err := t.Validate(); err != nil {
			return nil, fmt.Errorf("signature %s: input %q: %w", key, name, err)
		}
	}
	for {
		p, err := m.worker(ctx)
		if err != nil {
			return nil, err
		}
		out, err := p.run(ctx, key, in)
		if _, down := err.(*DownError); down && m.config.Backoff == nil {
			continue // it died before the run reached it
		}
		return out, err
	}
}

// SavedModel returns what the model's directory holds.
func (m *Model) SavedModel() *savedmodel.Model { return m.directory }

// Signature returns the signature called key of the graph that is run.
func (m *Model) Signature(key string) (savedmodel.Signature, error) {
	return m.directory.Signature(m.opened.Tags, key)
}

// Tags returns the tags of the graph that is run.
func (m *Model) Tags() []string { return slices.Clone(m.opened.Tags) }

// Devices returns where the model runs.
func (m *Model) Devices() []string { return slices.Clone(m.opened.Devices) }

// Labels returns the model's classes; nil where the directory names none.
func (m *Model) Labels() labels.Labels { return m.labels }

// Down returns why no run can be answered now, nil where it can.
func (m *Model) Down() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Restarts returns how often a worker has followed one that died.
func (m *Model) Restarts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.starts - 1
}

// Watch has f called after each change of what Down returns. It must not wait for the model.
func (m *Model) Watch(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = f
}

// Close ends the worker, whatever it runs.
func (m *Model) Close() error {
	m.stop()
	<-m.stopped
	return nil
}
