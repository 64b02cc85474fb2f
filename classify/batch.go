package classify

import (
	"context"
	"slices"
	"sync"
	"time"

	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// Batch is images that run together, as [Classifier.Batches] cuts them.
type Batch struct {
	Images []Image
	// Errors has one for each image: why it takes no part in the run, nil where it does. The images
	// are decoded by then; a caller may leave out others too.
	Errors []error
	// Took says how long each image was read and decoded.
	Took []time.Duration
	// Rows has the row of each image; nil where it has none.
	Rows []Row

	classifier *Classifier
	slots      []*slot // of each image; more where an earlier batch had more
	decoded    sync.WaitGroup
	done       chan struct{} // closed when it was run
	err        error         // of the run
}

// slot is what becomes of one image before its batch is run.
type slot struct {
	image preprocess.Image
	file  []byte // in the place of the image, where the graph decodes it
	took  time.Duration
	err   error
}

// Run runs the images that have no error, together, and fills Rows. Where there are none, it does
// nothing. Images of a model of any size run together where they have the same size.
func (b *Batch) Run(ctx context.Context) error {
	which := make([]int, 0, len(b.Images))
	for i, err := range b.Errors {
		if err == nil {
			which = append(which, i)
		}
	}
	for _, together := range b.runs(which) {
		rows, err := b.run(ctx, together)
		if err != nil {
			return err
		}
		for row, i := range together {
			b.Rows[i] = rows[row]
		}
	}
	return nil
}

// RunAlone runs one image that has no error by itself, to see that it can be run. Rows stay as they
// are.
func (b *Batch) RunAlone(ctx context.Context, i int) error {
	_, err := b.run(ctx, []int{i})
	return err
}

// runs cuts images into those that can run together: of one size, and no more than the model takes.
func (b *Batch) runs(which []int) [][]int {
	p := b.classifier.preprocessor
	groups := [][]int{which}
	if p.FreeSize() {
		groups = b.bySize(which)
	}
	most := p.batch
	if most == 0 {
		most = len(b.Images)
	}
	var runs [][]int
	for _, group := range groups {
		runs = slices.AppendSeq(runs, slices.Chunk(group, most))
	}
	return runs
}

// bySize groups images by their size, in the order of each group's first.
func (b *Batch) bySize(which []int) [][]int {
	var groups [][]int
	for _, i := range which {
		at := slices.IndexFunc(groups, func(group []int) bool {
			first := b.slots[group[0]].image
			return first.Width == b.slots[i].image.Width && first.Height == b.slots[i].image.Height
		})
		if at < 0 {
			at, groups = len(groups), append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
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

// run runs images together, and returns the row of each.
func (b *Batch) run(ctx context.Context, which []int) ([]Row, error) {
	c := b.classifier
	in, rows := which, len(which)
	if c.preprocessor.batch > 0 { // the rest of a fixed batch repeats the last image
		rows = c.preprocessor.batch
		in = slices.Concat(which, slices.Repeat(which[len(which)-1:], rows-len(which)))
	}
	var out map[string]tensor.Tensor
	var err error
	if c.preprocessor.Decodes() {
		images := make([]*preprocess.Image, rows)
		for row, i := range in {
			images[row] = &b.slots[i].image
		}
		out, err = c.preprocessor.run(ctx, c.runner, c.key, images, map[string]tensor.Tensor{})
	} else {
		files := make([][]byte, rows)
		for row, i := range in {
			files[row] = b.slots[i].file
		}
		out, err = c.runner.RunSignature(ctx, c.key, map[string]tensor.Tensor{
			c.preprocessor.input: {DType: tensor.String, Shape: tensor.Shape{int64(rows)},
				Data: files},
		})
	}
	if err != nil {
		return nil, err
	}
	return c.rows(out, rows, len(which))
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
	b.Rows = make([]Row, len(b.Images))
	for _, slot := range b.slots[:len(b.Images)] {
		b.Errors, b.Took = append(b.Errors, slot.err), append(b.Took, slot.took)
	}
}

// reset empties the batch, and keeps its memory. The rows are whoever's who has taken them.
func (b *Batch) reset() {
	clear(b.Images)
	b.Images, b.Errors, b.Took, b.Rows = b.Images[:0], b.Errors[:0], b.Took[:0], nil
	b.done, b.err = make(chan struct{}), nil
}

// release gives the memory of the pixels to other batches.
func (b *Batch) release() {
	for _, slot := range b.slots {
		b.classifier.slots.Put(slot)
	}
	b.slots = nil
}
