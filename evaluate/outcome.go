package evaluate

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"kerasrun/classify"
	"kerasrun/score"
)

// Outcome is what every report begins with.
type Outcome struct {
	Model     string    `json:"model"` // the caller's: its directory
	Data      string    `json:"data"`
	LabelType LabelType `json:"label_type,omitempty"` // what the data's labels are; "": numbers
	Failed    int64     `json:"failed"`               // images without an answer, in no metric
	Failures  []Failure `json:"failures"`             // the first of them
}

// Common is what every report has, to be read and changed whatever the report.
func (r *Outcome) Common() *Outcome { return r }

// Failure is an image without an answer.
type Failure struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

// maxFailures is how many failures a report keeps.
const maxFailures = 50

// answer has a classifier answer every image of the data and passes each answer to add, whose
// failure is of the image alone and whose err is of the whole run. index is what tells add the
// truth: the image's Index.
func (r *Outcome) answer(
	ctx context.Context, c *classify.Classifier, d *Data, o Options,
	index func(labelled) (int64, bool),
	add func(classify.Image, classify.Row) (failure, err error),
) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	answered := int64(0)
	runBatch := func(ctx context.Context, b *classify.Batch) error { return b.Run(ctx) }
	for b, err := range c.Batches(ctx, images(d, index, stop), runBatch) {
		if err != nil {
			return err
		}
		for i, image := range b.Images {
			failure := b.Errors[i]
			if failure == nil {
				failure, err = add(image, b.Rows[i])
			}
			if err != nil {
				return fmt.Errorf("%s: %w", image.Name, err)
			}
			if failure != nil {
				r.fail(image.Name, failure, o)
			} else {
				answered++
			}
		}
		if o.Progress != nil {
			o.Progress(answered, r.Failed)
		}
	}
	if answered == 0 {
		return fmt.Errorf("%s: expected an answer to some image, got none: %d failed, the first "+
			"by: %s", d.Name, r.Failed, r.firstFailure())
	}
	return nil
}

// images are the classifier's.
func images(
	d *Data, index func(labelled) (int64, bool), stop context.CancelCauseFunc,
) iter.Seq[classify.Image] {
	return func(yield func(classify.Image) bool) {
		for image, err := range d.each {
			i, ok := index(image)
			if err == nil && !ok {
				err = fmt.Errorf("%s: changed while it was read: got the label %q, which was not "+
					"there", d.Name, image.label)
			}
			if err != nil {
				stop(err)
				return
			}
			if !yield(classify.Image{Name: image.Path, Index: i, Read: image.Read}) {
				return
			}
		}
	}
}

func (r *Outcome) fail(path string, err error, o Options) {
	r.Failed++
	if len(r.Failures) < maxFailures {
		text := strings.ReplaceAll(err.Error(), path, score.EscapePath(path))
		r.Failures = append(r.Failures,
			Failure{score.EscapePath(path), strings.ToValidUTF8(text, "\ufffd")})
	}
	if o.Failed != nil {
		o.Failed(path, err)
	}
}

func (r *Outcome) firstFailure() string {
	if len(r.Failures) == 0 {
		return "there was no image"
	}
	return r.Failures[0].Path + ": " + r.Failures[0].Error
}

// ranked is an image that went wrong: by how much, and its place among the images.
type ranked interface{ rank() (float64, int64) }

// worst keeps what went wrong the most, as a heap whose first is the least wrong.
type worst[W ranked] struct {
	most   int
	images []W
}

func (w *worst[W]) Len() int           { return len(w.images) }
func (w *worst[W]) Less(i, j int) bool { return compareWrong(w.images[i], w.images[j]) > 0 }
func (w *worst[W]) Swap(i, j int)      { w.images[i], w.images[j] = w.images[j], w.images[i] }
func (w *worst[W]) Push(x any)         { w.images = append(w.images, x.(W)) }

func (w *worst[W]) Pop() any {
	last := w.images[len(w.images)-1]
	w.images = w.images[:len(w.images)-1]
	return last
}

func (w *worst[W]) add(image W) {
	heap.Push(w, image)
	if len(w.images) > w.most {
		heap.Pop(w)
	}
}

func (w *worst[W]) sorted() []W {
	sorted := slices.Clone(w.images)
	if sorted == nil {
		sorted = []W{} // in JSON a list too
	}
	slices.SortFunc(sorted, compareWrong[W])
	return sorted
}

// compareWrong has what is the most wrong first, and of equals the one that came first.
func compareWrong[W ranked](a, b W) int {
	x, i := a.rank()
	y, j := b.rank()
	return cmp.Or(cmp.Compare(y, x), cmp.Compare(i, j))
}
