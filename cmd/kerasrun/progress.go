package main

import (
	"fmt"
	"io"
	"os"
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
	bars    *mpb.Progress // nil where lines are printed
	bar     *mpb.Bar
	counts  atomic.Pointer[score.Counts] // the bar is drawn in a goroutine of its own
	began   time.Time
	printed time.Time
}

func newProgress(out io.Writer, quiet bool) *progress {
	p := &progress{out: out, quiet: quiet, began: time.Now(), printed: time.Now()}
	if file, ok := out.(*os.File); ok && !quiet && term.IsTerminal(int(file.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(file), mpb.WithWidth(48))
	}
	return p
}

// update is called after each batch, in order, from one goroutine.
func (p *progress) update(c score.Counts) {
	p.counts.Store(&c)
	switch done := c.Answered + c.Failed; {
	case p.quiet:
	case p.bars != nil:
		if p.bar == nil {
			p.bar = p.bars.AddBar(c.Images,
				mpb.PrependDecorators(decor.CountersNoUnit("%d / %d")),
				mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.rate() })))
		}
		p.bar.SetCurrent(done)
	case time.Since(p.printed) >= lineEvery:
		p.printed = time.Now()
		fmt.Fprintf(p.out, "kerasrun: %d of %d images, %s\n", done, c.Images, p.rate())
	}
}

// rate is that of this process, without what earlier ones did.
func (p *progress) rate() string {
	c := p.counts.Load()
	done := c.Answered + c.Failed
	perSecond := float64(done-c.Resumed) / time.Since(p.began).Seconds()
	left := time.Duration(float64(c.Images-done) / perSecond * float64(time.Second))
	return fmt.Sprintf("%.1f/s, %v left, %d failed", perSecond, left.Round(time.Second), c.Failed)
}

func (p *progress) close() {
	if p.bars == nil {
		return
	}
	if p.bar != nil && !p.bar.Completed() {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}
