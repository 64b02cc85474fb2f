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
	var died *worker.DiedError
	for i, image := range b.Images {
		if b.Errors[i] != nil {
			continue
		}
		err := b.RunAlone(ctx, i)
		if errors.As(err, &died) {
			why := died.Cause
			if died.Reason != "" {
				why += ": " + died.Reason
			}
			p.Warn(fmt.Sprintf("%s: image %d killed the model's process: %s",
				EscapePath(image.Name), image.Index, why))
			b.Errors[i], b.Rows[i] = &CulpritError{died.Cause}, nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", image.Name, err)
		}
	}
	err := b.Run(ctx)
	if errors.As(err, &died) {
		return fmt.Errorf("%w: that is twice, and none of them does it alone; it may be memory, of "+
			"which a smaller --batch takes less; the same command goes on from here", err)
	}
	return err
}
