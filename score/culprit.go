package score

import (
	"context"
	"errors"
	"fmt"

	"kerasrun/classify"
	"kerasrun/worker"
)

// CulpritError is the error of an image that ended the worker in which it ran alone.
type CulpritError struct{ Cause string } // a signal, as "SIGABRT", or how else it ended

func (e *CulpritError) Error() string {
	return fmt.Sprintf("killed the model's process (%s) when it ran alone", e.Cause)
}

// findCulprit runs the images of a batch one by one, with no other in flight, after the worker has
// died of the batch or of one beside it. Those of which it dies again get an error; the others run
// together.
func (p *pipeline) findCulprit(ctx context.Context, b *classify.Batch) error {
	p.native.Lock()
	defer p.native.Unlock()
	if err := p.runEachAlone(ctx, b); err != nil {
		return err
	}
	err := b.Run(ctx)
	if died := (*worker.DiedError)(nil); errors.As(err, &died) {
		return fmt.Errorf("%w: that is twice, and none of them does it alone; it may be memory, "+
			"of which a smaller --batch takes less; the same command goes on from here", err)
	}
	return err
}

// runEachAlone runs those images of a batch that have no error yet one by one. The journal names
// each before: if this process crashes, it was that one. It also names those of which the worker
// died, so that a run that goes on from here does not run them again.
func (p *pipeline) runEachAlone(ctx context.Context, b *classify.Batch) error {
	for i, image := range b.Images {
		if b.Errors[i] != nil {
			continue
		}
		if err := p.note(entry{Probe: &image.Index}); err != nil {
			return err
		}
		err := b.RunAlone(ctx, i)
		if died := (*worker.DiedError)(nil); errors.As(err, &died) {
			err = p.noteCulprit(image, died)
			b.Errors[i], b.Rows[i] = &CulpritError{died.Cause}, nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", image.Name, err)
		}
	}
	none := int64(-1)
	return p.note(entry{Probe: &none})
}

func (p *pipeline) noteCulprit(image classify.Image, died *worker.DiedError) error {
	why := died.Cause
	if died.Reason != "" {
		why += ": " + died.Reason
	}
	p.Warn(fmt.Sprintf("%s: image %d killed the model's process: %s", EscapePath(image.Name),
		image.Index, why))
	return p.note(entry{Poison: &image.Index, Cause: died.Cause})
}

// note appends to the journal, if there is one.
func (p *pipeline) note(e entry) error {
	if p.journal == nil {
		return nil
	}
	return p.journal.append(e)
}
