package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Runner is what a worker runs; *runner.Model is one.
type Runner interface {
	RunSignature(ctx context.Context, key string, in map[string]tensor.Tensor) (
		map[string]tensor.Tensor, error)
	SavedModel() *savedmodel.Model
	Signature(key string) (savedmodel.Signature, error)
	Tags() []string
	Devices() []string
}

// Opened is a model that a worker has opened.
type Opened struct {
	Runner
	// Files is [savedmodel.Model.SHA256], where the files have not been compared with a manifest.
	Files string
}

// Serve is the worker's side: it opens a model and answers what is asked over the connection, until
// that ends. Then it returns at once, whatever still runs: the process has to end. usage says
// whether an error of open is about a flag's value.
func Serve(connection io.ReadWriter, open func() (Opened, error), usage func(error) bool) error {
	w := &server{sender: newSender(connection), cancel: map[uint64]context.CancelFunc{},
		slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
	opened := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		m, err := open()
		answer := hello{}
		if err != nil {
			answer.Error, answer.Usage = err.Error(), usage(err)
		} else {
			w.warm(m)
			w.model = m
			answer.Tags, answer.Devices, answer.Files = m.Tags(), m.Devices(), m.Files
			if manifest := m.SavedModel().Manifest; manifest != nil {
				answer.Manifest = manifest.ID()
			}
		}
		close(ready)
		if err := w.send(answer); err != nil {
			opened <- err
		}
		if answer.Error != "" {
			opened <- nil
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- w.receive(newReceiver(connection), ready) }()
	select {
	case err := <-opened:
		return err
	case err := <-ended:
		return err
	}
}

// server is the worker's side, once the model is open.
type server struct {
	*sender
	model  Opened
	memory sync.Pool // of *[]byte: of inputs
	// One for each run. More at a time wait here, where they can be given up.
	slots chan struct{}

	mu     sync.Mutex
	cancel map[uint64]context.CancelFunc // of each run
}

// warm runs the signature that answers once, on zeros, as the first run takes longest. That
// TensorFlow refuses them is no harm. What has sizes that are free is not run: zeros of which size
// would do is not known.
func (w *server) warm(m Opened) {
	s, err := m.Signature(m.SavedModel().DefaultSignature())
	if err != nil {
		return
	}
	for _, info := range s.Inputs {
		if info.DType.Size() == 0 || len(info.Shape) == 0 ||
			slices.Contains(info.Shape[1:], -1) {
			return
		}
	}
	if in, err := s.ZeroInputs(1); err == nil {
		_, _ = m.RunSignature(context.Background(), s.Key, in)
	}
}

// receive takes requests until the connection ends.
func (w *server) receive(from *receiver, ready chan struct{}) error {
	for {
		var m message
		var memory []*[]byte
		in, err := from.receive(&m, func(n int64) ([]byte, error) {
			b, err := w.borrow(n)
			memory = append(memory, b)
			return *b, err
		})
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("worker: expected a request: %w", err)
		}
		if m.Ping {
			if err := w.send(m); err != nil {
				return nil // as where a request cannot be read any more
			}
			continue
		}
		<-ready
		w.mu.Lock()
		if m.Cancel {
			if cancel, ok := w.cancel[m.ID]; ok {
				cancel()
			}
			w.mu.Unlock()
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel[m.ID] = cancel
		w.mu.Unlock()
		go func() {
			w.answer(ctx, m, in)
			for _, b := range memory {
				if cap(*b) >= fewBytes {
					w.memory.Put(b)
				}
			}
			w.mu.Lock()
			delete(w.cancel, m.ID)
			w.mu.Unlock()
			cancel()
		}()
	}
}

// fewBytes are not worth to be kept.
const fewBytes = 64 << 10

// borrow returns memory for the bytes of an input, which the model copies before it runs.
func (w *server) borrow(n int64) (*[]byte, error) {
	if n < fewBytes {
		b, err := newBytes(n)
		return &b, err
	}
	if b, ok := w.memory.Get().(*[]byte); ok && int64(cap(*b)) >= n {
		*b = (*b)[:n]
		return b, nil
	}
	b, err := newBytes(n)
	return &b, err
}

// answer runs a request and sends what comes of it. Where that cannot be sent, the other side has
// ended, which receive sees too.
func (w *server) answer(ctx context.Context, m message, in map[string]tensor.Tensor) {
	var out map[string]tensor.Tensor
	var err error
	select {
	case w.slots <- struct{}{}:
		// TensorFlow cannot stop a run: it is in flight until it ends, whoever waits for it.
		out, err = w.model.RunSignature(context.Background(), m.Signature, in)
		<-w.slots
	case <-ctx.Done():
		err = ctx.Err()
	}
	answer := message{ID: m.ID}
	if err == nil {
		err = w.sendTensors(answer, out)
	}
	if err != nil {
		answer.Error = err.Error()
		_ = w.send(answer)
	}
}
