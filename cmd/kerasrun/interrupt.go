package main

import (
	"context"
	"io"

	"kerasrun/object"
)

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
