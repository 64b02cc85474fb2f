package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"kerasrun/score"
)

// lineEvery is how often a progress line is printed where there is no terminal to draw a bar on.
const lineEvery = 10 * time.Second

// progress shows how far a run is: a bar on a terminal, a line now and then otherwise.
type progress struct {
	out     io.Writer
	quiet   bool
	what    string        // is done before the first image
	mu      sync.Mutex    // of bars: lines may come from other goroutines
	bars    *mpb.Progress // nil where lines are printed
	bar     *mpb.Bar
	counts  atomic.Pointer[score.Counts] // the bar is drawn in a goroutine of its own
	began   time.Time
	printed time.Time
}

// newProgress begins to show: what says what is done before the first image.
func newProgress(out io.Writer, quiet bool, what string) *progress {
	p := &progress{out: out, quiet: quiet, what: what, printed: time.Now()}
	if file, ok := out.(*os.File); ok && !quiet && term.IsTerminal(int(file.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(file), mpb.WithWidth(48))
		p.bar = p.bars.AddBar(0,
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return p.done() })),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.rate() })))
	}
	return p
}

// update is called when the first image is about to be read and after each batch, in order, from
// one goroutine.
func (p *progress) update(c score.Counts) {
	first := p.counts.Load() == nil
	if first {
		p.began = time.Now()
	}
	p.counts.Store(&c)
	done := c.Answered + c.Failed
	if first && c.Resumed > 0 && !p.quiet {
		p.line("kerasrun: goes on after %d of %d images\n", c.Resumed, c.Images)
	}
	switch {
	case p.quiet:
	case p.bars != nil:
		p.bar.SetTotal(c.Images, false)
		p.bar.SetCurrent(done)
	case time.Since(p.printed) >= lineEvery:
		p.printed = time.Now()
		p.line("kerasrun: %d of %d images, %s\n", done, c.Images, p.rate())
	}
}

// line prints a line, above the bar where there is one.
func (p *progress) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.out
	if p.bars != nil {
		out = p.bars
	}
	fmt.Fprintf(out, format, args...)
}

// done is how far the run is.
func (p *progress) done() string {
	c := p.counts.Load()
	if c == nil {
		return p.what
	}
	return fmt.Sprintf("%d / %d", c.Answered+c.Failed, c.Images)
}

// rate is that of this process, without what earlier ones did.
func (p *progress) rate() string {
	c := p.counts.Load()
	if c == nil || c.Answered+c.Failed == c.Resumed {
		return ""
	}
	done := c.Answered + c.Failed
	perSecond := float64(done-c.Resumed) / time.Since(p.began).Seconds()
	left := time.Duration(float64(c.Images-done) / perSecond * float64(time.Second))
	return fmt.Sprintf("%.1f/s, %v left, %d failed", perSecond, left.Round(time.Second), c.Failed)
}

func (p *progress) close() {
	if p.bars == nil {
		return
	}
	if !p.bar.Completed() {
		p.bar.Abort(p.counts.Load() == nil)
	}
	p.bars.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bars = nil // what is still to be said is below the bar
}
