package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"kerasrun/object"
)

// interrupted is why a context ended: a signal that asks the program to stop.
type interrupted struct{ signal syscall.Signal }

func (e *interrupted) Error() string { return "stopped by a signal: " + e.signal.String() }

// untilSignal returns a context that ends with the first interrupt. The second ends the program at
// once, as if it were not caught; it is not lost however soon it follows.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		first := (<-signals).(syscall.Signal)
		cancel(&interrupted{first})
		second := (<-signals).(syscall.Signal)
		signal.Reset(second)
		if err := syscall.Kill(syscall.Getpid(), second); err != nil {
			os.Exit(exitFailed)
		}
	}()
	return ctx
}

// exitStatus is a shell's for a program that a signal ended, where one made the command fail: 130
// for an interrupt, 143 for SIGTERM. A command that stops as it should, as serve does, has 0.
func exitStatus(ctx context.Context, status int) int {
	var signaled *interrupted
	if status == exitFailed && errors.As(context.Cause(ctx), &signaled) {
		return 128 + int(signaled.signal)
	}
	return status
}

// reader reads from r until ctx ends: a read that waits for a pipe or a terminal does not keep the
// program from stopping. What such a read still gets is lost.
type reader struct {
	ctx    context.Context
	r      io.Reader
	chunks chan chunk // nil before the first Read
	rest   []byte
	err    error
}

type chunk struct {
	data []byte
	err  error
}

func newReader(ctx context.Context, r io.Reader) *reader { return &reader{ctx: ctx, r: r} }

// Read is for one goroutine at a time.
func (r *reader) Read(p []byte) (int, error) {
	if r.chunks == nil {
		r.chunks = make(chan chunk)
		go r.readAll()
	}
	for len(r.rest) == 0 && r.err == nil {
		select {
		case c := <-r.chunks:
			r.rest, r.err = c.data, c.err
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reader) readAll() {
	for {
		data := make([]byte, 64<<10)
		n, err := r.r.Read(data)
		select {
		case r.chunks <- chunk{data[:n], err}:
		case <-r.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// openFile opens a file or an object for reading, and gives up waiting for a pipe's writer when ctx
// ends.
func openFile(ctx context.Context, path string) (object.File, error) {
	type opened struct {
		file object.File
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		file, err := object.Open(ctx, path)
		done <- opened{file, err}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
