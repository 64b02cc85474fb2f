package classify

import (
	"context"
	"sync"

	"kerasrun/tensor"
)

// Batch is images that run together, as [Classifier.Batches] cuts them.
type Batch struct {
	Images []Image
	// Errors has one for each image: why it takes no part in the run, nil where it does. The images
	// are decoded by then; a caller may leave out others too.
	Errors []error
	// Rows has the output's row of each image, classes float32 values; nil where it has none.
	Rows [][]float32

	classifier *Classifier
	slots      []*slot // of each image; more where an earlier batch had more
	decoded    sync.WaitGroup
	done       chan struct{} // closed when it was run
	err        error         // of the run
}

// slot is what becomes of one image before its batch is run.
type slot struct {
	pixels []uint8 // uint8 RGB, height x width x 3
	err    error
}

// Run runs the images that have no error, together, and fills Rows. Where there are none, it does
// nothing.
func (b *Batch) Run(ctx context.Context) error {
	which := make([]int, 0, len(b.Images))
	for i, err := range b.Errors {
		if err == nil {
			which = append(which, i)
		}
	}
	if len(which) == 0 {
		return nil
	}
	rows, err := b.run(ctx, which)
	if err != nil {
		return err
	}
	for row, i := range which {
		b.Rows[i] = rows[row]
	}
	return nil
}

// RunAlone runs one image that has no error by itself, to see that it can be run. Rows stay as they
// are.
func (b *Batch) RunAlone(ctx context.Context, i int) error {
	_, err := b.run(ctx, []int{i})
	return err
}

// Good returns the number of images that have no error.
func (b *Batch) Good() (n int) {
	for _, err := range b.Errors {
		if err == nil {
			n++
		}
	}
	return n
}

func (b *Batch) run(ctx context.Context, which []int) ([][]float32, error) {
	c := b.classifier
	pixels := make([][]uint8, len(which))
	for row, i := range which {
		pixels[row] = b.slots[i].pixels
	}
	out, err := c.preprocessor.run(ctx, c.runner, c.key, pixels, map[string]tensor.Tensor{})
	if err != nil {
		return nil, err
	}
	rows, err := classRows(out[c.output], int64(len(which)), c.classes)
	if err != nil {
		return nil, &OutputError{c.output, err}
	}
	return rows, nil
}

// add takes an image in, and returns its place.
func (b *Batch) add(image Image) int {
	b.Images = append(b.Images, image)
	if len(b.slots) < len(b.Images) {
		b.slots = append(b.slots, b.classifier.slots.Get().(*slot))
	}
	return len(b.Images) - 1
}

// start makes the batch ready for its run, once its images are decoded.
func (b *Batch) start() {
	b.Rows = make([][]float32, len(b.Images))
	for _, slot := range b.slots[:len(b.Images)] {
		b.Errors = append(b.Errors, slot.err)
	}
}

// reset empties the batch, and keeps its memory. The rows are whoever's who has taken them.
func (b *Batch) reset() {
	clear(b.Images)
	b.Images, b.Errors, b.Rows = b.Images[:0], b.Errors[:0], nil
	b.done, b.err = make(chan struct{}), nil
}

// release gives the memory of the pixels to other batches.
func (b *Batch) release() {
	for _, slot := range b.slots {
		b.classifier.slots.Put(slot)
	}
	b.slots = nil
}
