package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kerasrun/tensor"
)

// process is a worker that was started.
type process struct {
	connection io.ReadWriteCloser
	kill       func() error
	wait       func() (cause string) // how it ended; called once
	pid        int
	number     int // of this one, counted from 1

	*sender
	started time.Time
	stderr  *lines
	ended   chan struct{} // closed once it has ended, and died is set
	died    DiedError
	heard   atomic.Bool // a message, since the last tick of watch
	silent  atomic.Bool // watch has ended it

	mu      sync.Mutex
	over    bool // died is set
	next    uint64
	pending map[uint64]*pending
}

// pending is a run that waits for its answer.
type pending struct {
	what   string // for the log
	answer chan answer
}

type answer struct {
	out map[string]tensor.Tensor
	err error
}

// start launches a worker, the one with this number, and waits until it has opened the model.
func (c Config) start(ctx context.Context, number int) (*process, hello, error) {
	stderr := &lines{emit: c.Stderr}
	p, err := c.launch(c.Command, stderr)
	if err != nil {
		return nil, hello{}, err
	}
	p.sender, p.stderr = newSender(p.connection), stderr
	p.number, p.started = number, time.Now()
	p.ended, p.pending = make(chan struct{}), map[uint64]*pending{}
	from := newReceiver(p.connection)
	said := make(chan error, 1)
	var h hello
	go func() { said <- from.gob.Decode(&h) }()
	select {
	case err = <-said:
	case <-ctx.Done():
		p.end() // so that Decode returns
		<-said
		return nil, hello{}, ctx.Err()
	}
	if err == nil && h.Error == "" {
		go p.receive(from)
		go p.watch()
		return p, h, nil
	}
	died := p.end()
	switch {
	case h.Usage:
		err = &UsageError{h.Error}
	case h.Error != "":
		err = errors.New(h.Error)
	default:
		err = fmt.Errorf("%s: %w", c.Dir, &startError{died.Cause, died.Reason})
	}
	return nil, hello{}, err
}

// end ends the process, if it has not ended, and returns how it did.
func (p *process) end() DiedError {
	p.connection.Close() // of no use any more
	p.kill()             // fails where it has ended
	cause := p.wait()
	signal, reason := p.stderr.death()
	return DiedError{Cause: cmp.Or(signal, cause), Reason: reason}
}

// receive hands answers to those who wait for them, until the connection ends; then the process
// has.
func (p *process) receive(from *receiver) {
	var err error
	for {
		var m message
		var out map[string]tensor.Tensor
		if out, err = from.receive(&m, nil); err != nil {
			break
		}
		p.heard.Store(true)
		if m.Ping {
			continue
		}
		p.mu.Lock()
		waits := p.pending[m.ID]
		delete(p.pending, m.ID)
		p.mu.Unlock()
		if waits == nil {
			err = fmt.Errorf("expected the answer to a run in flight, got number %d", m.ID)
			break
		}
		if m.Error != "" {
			waits.answer <- answer{err: errors.New(m.Error)}
		} else {
			waits.answer <- answer{out: out}
		}
	}
	died := p.end()
	switch {
	case p.silent.Load():
		died.Reason = cmp.Or(died.Reason, errSilent.Error())
	case !connectionEnded(err):
		died.Reason = cmp.Or(died.Reason, err.Error())
	}
	p.mu.Lock()
	died.Death, died.Runs = p.number, len(p.pending)
	p.died, p.over = died, true
	p.mu.Unlock()
	close(p.ended)
}

// A worker is asked each tick whether it still answers, which it does beside its runs, however long
// these take. Ticks are counted, and not the time: what stops both processes, as ^Z or a machine
// that sleeps, is not the worker's.
const (
	pingEvery = time.Second
	maxSilent = 30 // ticks without a message
)

var errSilent = fmt.Errorf("expected an answer to a ping, got none for %v", maxSilent*pingEvery)

// watch ends the process when it has stopped answering: its runs then fail as in any other death.
func (p *process) watch() {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	pings := make(chan struct{}, 1)
	defer close(pings)
	go func() {
		for range pings {
			_ = p.send(message{Ping: true}) // waits where the worker does not read
		}
	}()
	for silent := 0; silent < maxSilent; silent++ {
		select {
		case <-ticker.C:
		case <-p.ended:
			return
		}
		if p.heard.Swap(false) {
			silent = 0
		}
		select {
		case pings <- struct{}{}:
		default:
		}
	}
	p.silent.Store(true)
	p.kill() // fails where it has ended
}

// connectionEnded says whether an error of receive is no more than that.
func connectionEnded(err error) bool {
	return slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
		syscall.ECONNRESET}, func(end error) bool { return errors.Is(err, end) })
}

// inFlight says of each run that the process died with what it was.
func (p *process) inFlight() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var texts []string
	for _, id := range slices.Sorted(maps.Keys(p.pending)) {
		texts = append(texts, p.pending[id].what)
	}
	return texts
}

// run has the worker run a signature on valid tensors. A run that nobody waits for any more goes on
// there, if it has begun, and counts as in flight.
func (p *process) run(ctx context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	waits := &pending{describe(key, in), make(chan answer, 1)}
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return nil, &DownError{&p.died}
	}
	p.next++
	id := p.next
	p.pending[id] = waits
	p.mu.Unlock()
	if err := p.sendTensors(message{ID: id, Signature: key}, in); err != nil {
		p.connection.Close() // there is half a message on it
	}
	select {
	case a := <-waits.answer:
		return a.out, a.err
	case <-p.ended:
		died := p.died
		return nil, &died
	case <-ctx.Done():
		go func() { _ = p.send(message{ID: id, Cancel: true}) }() // fails where the worker has died
		return nil, ctx.Err()
	}
}

// describe says what a run is of: the signature and the shapes of its inputs.
func describe(key string, in map[string]tensor.Tensor) string {
	var inputs []string
	for _, name := range slices.Sorted(maps.Keys(in)) {
		inputs = append(inputs, fmt.Sprintf("%s %v %v", name, in[name].DType, in[name].Shape))
	}
	return fmt.Sprintf("%s(%s)", key, strings.Join(inputs, ", "))
}
