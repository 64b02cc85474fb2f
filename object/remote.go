package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

// remote is an object that is open for reading. It is read as one stream; where that breaks off, or
// the place is another, it is asked for from there on. Each answer has to be of the same version.
type remote struct {
	ctx   context.Context
	store store
	path  string
	info  Info
	at    int64         // where Read goes on
	body  io.ReadCloser // from there on; nil where it has to be asked for
	// blocks are the last that ReadAt needed, the latest last.
	blocks []block
}

// block is a part of an object.
type block struct {
	offset int64
	data   []byte
}

const (
	blockBytes = 4 << 20 // that ReadAt asks for at a time
	maxBlocks  = 16      // that an open object keeps
	skipBytes  = 1 << 20 // up to which Seek reads on rather than asks anew
)

// reopen asks for the stream from f.at on, where there is none.
func (f *remote) reopen() error {
	if f.body != nil {
		return nil
	}
	return retry(f.ctx, func() (err error) {
		f.body, err = f.get(f.at, -1)
		return err
	})
}

// get asks for a part, and learns from the first answer what the object is.
func (f *remote) get(offset, length int64) (io.ReadCloser, error) {
	body, info, err := f.store.get(f.ctx, f.path, offset, length)
	if err != nil {
		return nil, err
	}
	if info.Size < 0 { // some of a server's answers say how long it is, and some do not
		info.Size = f.info.Size
	}
	if f.info.Version != "" && info.Version != f.info.Version ||
		f.info.Size >= 0 && info.Size != f.info.Size {
		_ = body.Close() // its bytes are of another object
		return nil, &Error{f.path, "it has changed since it was listed or first read: expected " +
			"the same object throughout a run", nil}
	}
	f.info = info
	return body, nil
}

func (f *remote) Read(p []byte) (n int, err error) {
	err = retry(f.ctx, func() error {
		n, err = f.readOn(p)
		return err
	})
	return n, err
}

// readOn is Read without another try.
func (f *remote) readOn(p []byte) (int, error) {
	if f.info.Size >= 0 && f.at >= f.info.Size || len(p) == 0 {
		return 0, f.end(p)
	}
	if err := f.reopen(); err != nil {
		return 0, err
	}
	n, err := f.body.Read(p)
	f.at += int64(n)
	if err == io.EOF && f.info.Size >= 0 && f.at < f.info.Size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	f.closeBody()
	if n > 0 {
		return n, nil
	}
	return 0, brokenOff(f.ctx, f.store, f.path, err)
}

// end reads to the end of the stream, so that its connection can be used again.
func (f *remote) end(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if f.body != nil {
		var more [1]byte
		if n, _ := f.body.Read(more[:]); n > 0 {
			return &Error{f.path, fmt.Sprintf("expected %d bytes, got more", f.info.Size), nil}
		}
	}
	return io.EOF
}

// brokenOff is the error of an object whose answer broke off, which [retry] tries again.
func brokenOff(ctx context.Context, s store, path string, cause error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	reason, _ := networkReason(cause)
	var err error = &Error{path, reason, nil}
	if b, ok := s.(*bucket); ok {
		err = &StoreError{b.name, err}
	}
	return temporary{error: err}
}

// ReadAt reads through the blocks.
func (f *remote) ReadAt(p []byte, offset int64) (n int, err error) {
	if f.info.Size < 0 {
		return 0, &Error{f.path, "expected a server that says how long it is, as this kind of " +
			"file is not read in its order: fetch it first, and name the file", nil}
	}
	for n < len(p) {
		at := offset + int64(n)
		if at >= f.info.Size {
			return n, io.EOF
		}
		b, err := f.block(at - at%blockBytes)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b.data[at-b.offset:])
	}
	return n, nil
}

func (f *remote) block(offset int64) (block, error) {
	i := slices.IndexFunc(f.blocks, func(b block) bool { return b.offset == offset })
	var b block
	if i >= 0 {
		b = f.blocks[i]
		f.blocks = slices.Delete(f.blocks, i, i+1)
	} else {
		b = block{offset, make([]byte, min(blockBytes, f.info.Size-offset))}
		err := retry(f.ctx, func() error { return f.fill(b) })
		if err != nil {
			return block{}, err
		}
		if len(f.blocks) == maxBlocks {
			f.blocks = slices.Delete(f.blocks, 0, 1)
		}
	}
	f.blocks = append(f.blocks, b)
	return b, nil
}

func (f *remote) fill(b block) error {
	body, err := f.get(b.offset, int64(len(b.data)))
	if err != nil {
		return err
	}
	_, err = io.ReadFull(body, b.data)
	_ = body.Close() // it was read
	if err != nil {
		err = brokenOff(f.ctx, f.store, f.path, err)
	}
	return err
}

// Seek moves the place of Read.
func (f *remote) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.info.Size
	}
	if offset < 0 || whence == io.SeekEnd && f.info.Size < 0 {
		return 0, &Error{f.path, "expected a place in the object", fs.ErrInvalid}
	}
	for f.body != nil && f.at < offset && offset-f.at <= skipBytes {
		if _, err := io.CopyN(io.Discard, f, offset-f.at); err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
	}
	if f.at != offset {
		f.closeBody()
		f.at = offset
	}
	return offset, nil
}

func (f *remote) closeBody() {
	if f.body != nil {
		_ = f.body.Close() // what is needed of it was read
		f.body = nil
	}
}

// Close ends the stream.
func (f *remote) Close() error {
	f.closeBody()
	f.blocks = nil
	return nil
}

func (f *remote) Stat() (fs.FileInfo, error) { return fileInfo{path: f.path, info: f.info}, nil }

// fileInfo describes an object, or a prefix as a directory.
type fileInfo struct {
	path      string
	info      Info
	directory bool
}

func (i fileInfo) Name() string { return path.Base(i.path) }

// Size is -1 where it is not known.
func (i fileInfo) Size() int64        { return i.info.Size }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.directory }
func (i fileInfo) Sys() any           { return nil }

func (i fileInfo) Mode() fs.FileMode {
	if i.directory {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// stallTime is how long a server may say nothing, and how long it may take over stallBytes: one
// that sends a byte a minute would never be given up.
const (
	stallTime  = 60 * time.Second
	stallBytes = 16 << 10
)

var errStalled = errors.New("stalled")

// watched ends a request whose server says nothing for too long.
type watched struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	timer  *time.Timer
	waited time.Duration // for the bytes that were got since there were stallBytes
	got    int
}

// watch calls a request with a context that ends where it stalls.
func watch(
	ctx context.Context, call func(context.Context) (io.ReadCloser, Info, error),
) (io.ReadCloser, Info, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watched{cancel: cancel,
		timer: time.AfterFunc(stallTime, func() { cancel(errStalled) })}
	body, info, err := call(ctx)
	w.timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			err = errStalled
		}
		cancel(nil)
		return nil, Info{}, err
	}
	w.ReadCloser = body
	return w, info, nil
}

func (w *watched) Read(p []byte) (int, error) {
	started := time.Now()
	w.timer.Reset(stallTime - w.waited)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop()
	w.waited += time.Since(started)
	if w.got += n; w.got >= stallBytes {
		w.waited, w.got = 0, 0
	}
	return n, err
}

func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	w.cancel(nil)
	return err
}
