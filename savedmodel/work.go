package savedmodel

import (
	"context"
	"fmt"
	"io"
)

const (
	// maxKept limits the bytes that the structure of a model takes in memory. Graphs of a hundred
	// thousand nodes take under a tenth of it.
	maxKept = 512 << 20
	// stepsBetweenLooks is how many steps are taken before the context is looked at again: well
	// under a millisecond.
	stepsBetweenLooks = 1 << 12
)

// What is kept takes about so many bytes, with its place in the maps that the checks make.
const (
	keptString   = 16 // and its bytes
	keptNode     = 400
	keptAttr     = 250
	keptFunction = 800
	keptConstant = 150
	keptTensor   = 250 // of a signature
	keptVariable = 250
)

// work counts what reading and checking a model does and keeps, and ends it with its context. Every
// loop over what a file holds takes a step in each turn. The steps grow as the file does.
type work struct {
	ctx   context.Context
	limit int64 // of kept
	steps int64
	kept  int64
	err   error // why it has ended
}

func newWork(ctx context.Context) *work {
	return &work{ctx: ctx, limit: maxKept, err: ctx.Err()}
}

// step takes a step. It returns false where the work has ended.
func (w *work) step() bool {
	w.steps++
	if w.err == nil && w.steps%stepsBetweenLooks == 0 {
		w.err = w.ctx.Err()
	}
	return w.err == nil
}

// end returns why the work is not whole, nil where it is.
func (w *work) end() error {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	return w.err
}

// keep counts bytes that stay in memory.
func (w *work) keep(bytes int64) error {
	if w.kept += bytes; w.kept > w.limit {
		return fmt.Errorf("expected a structure of at most %d MiB in memory, got more", w.limit>>20)
	}
	return nil
}

// reader returns r, ended by the context.
func (w *work) reader(r io.Reader) io.Reader { return workReader{w, r} }

type workReader struct {
	w *work
	r io.Reader
}

func (r workReader) Read(p []byte) (int, error) {
	if err := r.w.end(); err != nil { // a read is long: of tens of KiB
		return 0, err
	}
	r.w.steps++
	return r.r.Read(p)
}
