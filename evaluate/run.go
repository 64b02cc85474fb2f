package evaluate

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"kerasrun/classify"
	"kerasrun/labels"
	"kerasrun/score"
)

// Options say how a model is evaluated. Zero values are useful.
type Options struct {
	TopK      int       // 0 is 5; all classes where there are fewer
	LabelType LabelType // "" is LabelAuto
	Wrong     int       // how many of the images that went wrong the report keeps; 0 is 50

	Failed   func(path string, err error) // if not nil, called for each image without an answer
	Progress func(answered, failed int64) // if not nil, called after each batch
}

// Report is what an evaluation found.
type Report struct {
	Model     string    `json:"model"` // the caller's: its directory
	Data      string    `json:"data"`
	LabelType LabelType `json:"label_type"` // what the data's labels are
	Failed    int64     `json:"failed"`     // images without an answer, which no metric counts
	Failures  []Failure `json:"failures"`   // the first of them
	Metrics
	Wrong []Wrong `json:"wrong"` // the images answered wrongly, the most confident answer first
}

// Failure is an image without an answer.
type Failure struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

// Wrong is an image whose answer is not the class that it has.
type Wrong struct {
	Path             string    `json:"path"` // as [score.EscapePath] writes it
	Truth            ClassName `json:"truth"`
	TruthProbability float32   `json:"truth_probability"`
	Answer           ClassName `json:"answer"`
	Probability      float32   `json:"probability"` // of the answer

	file  string // its path
	order int64
}

// maxFailures is how many failures a report keeps.
const maxFailures = 50

// Run has a classifier answer every image of the data and compares the answers with the labels. The
// classes' names are l, nil where they have none; labels are resolved before any image is read.
//
// An image that cannot be read, decoded or answered is counted apart. It is an error where no image
// was answered, and where an output is no probabilities that add up to 1.
func Run(
	ctx context.Context, c *classify.Classifier, l labels.Labels, d *Data, o Options,
) (*Report, error) {
	classes := c.Classes()
	if classes < 0 {
		classes = len(l)
	}
	if classes < 1 {
		return nil, fmt.Errorf("expected a model that says how many classes it has, in its " +
			"signature or by their names, got neither")
	}
	if classes == 1 || l != nil && len(l) != classes {
		return nil, fmt.Errorf("expected an output with a probability for each of the model's "+
			"classes, got %d values an image for %d class names; an output of one value cannot be "+
			"evaluated yet", classes, len(l))
	}
	t, err := d.resolve(classes, l, cmp.Or(o.LabelType, LabelAuto))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{
		classifier: c, options: o, labels: l,
		counts: NewCounts(classes, min(cmp.Or(o.TopK, 5), classes)),
		wrong:  worst{most: cmp.Or(o.Wrong, 50)},
		report: &Report{Data: d.Name, LabelType: t.as, Failures: []Failure{}},
	}
	runBatch := func(ctx context.Context, b *classify.Batch) error { return b.Run(ctx) }
	for b, err := range c.Batches(ctx, images(d, t, stop), runBatch) {
		if err == nil {
			err = r.add(b)
		}
		if err != nil {
			return nil, err
		}
	}
	if r.counts.images == 0 {
		return nil, fmt.Errorf("%s: expected an answer to some image, got none: %d failed, the "+
			"first by: %s", d.Name, r.report.Failed, r.report.firstFailure())
	}
	r.report.Metrics = r.counts.Metrics(l)
	r.report.Wrong = r.wrong.sorted()
	return r.report, nil
}

// images are the classifier's. Their index is the class that they have.
func images(
	d *Data, t truth, stop context.CancelCauseFunc,
) iter.Seq[classify.Image] {
	return func(yield func(classify.Image) bool) {
		for image, err := range d.each {
			class, ok := t.classes[image.label]
			if err == nil && !ok {
				err = fmt.Errorf("%s: changed while it was read: got the label %q, which was not "+
					"there", d.Name, image.label)
			}
			if err != nil {
				stop(err)
				return
			}
			if !yield(classify.Image{Name: image.Path, Index: int64(class), Read: image.Read}) {
				return
			}
		}
	}
}

// run is an evaluation under way.
type run struct {
	classifier *classify.Classifier
	options    Options
	labels     labels.Labels
	counts     *Counts
	wrong      worst
	report     *Report
}

func (r *run) add(b *classify.Batch) error {
	for i, image := range b.Images {
		if err := r.addImage(image, b.Rows[i], b.Errors[i]); err != nil {
			return fmt.Errorf("%s: %w", image.Name, err)
		}
	}
	if r.options.Progress != nil {
		r.options.Progress(r.counts.images, r.report.Failed)
	}
	return nil
}

// addImage counts one image. The error is of the whole run; failure is the image's alone.
func (r *run) addImage(image classify.Image, given classify.Row, failure error) error {
	var row []float32
	var top []labels.Prediction
	if failure == nil {
		row, failure = r.classifier.Probabilities(given)
	}
	if failure == nil {
		var answer classify.Answer
		answer, failure = r.classifier.AnswerRow(given, 1)
		top = answer.Predictions
	}
	if failure != nil {
		r.fail(image.Name, failure)
		return nil
	}
	if err := checkProbabilities(row); err != nil {
		return err
	}
	answer, truth := top[0].Index, int(image.Index)
	if err := r.counts.Add(row, answer, truth); err != nil {
		return err
	}
	if answer != truth {
		r.wrong.add(Wrong{
			Path:  score.EscapePath(image.Name),
			Truth: className(r.labels, truth), TruthProbability: row[truth],
			Answer: className(r.labels, answer), Probability: row[answer],
			file: image.Name, order: r.counts.images,
		})
	}
	return nil
}

func (r *run) fail(path string, err error) {
	r.report.Failed++
	if len(r.report.Failures) < maxFailures {
		text := strings.ReplaceAll(err.Error(), path, score.EscapePath(path))
		r.report.Failures = append(r.report.Failures,
			Failure{score.EscapePath(path), strings.ToValidUTF8(text, "\ufffd")})
	}
	if r.options.Failed != nil {
		r.options.Failed(path, err)
	}
}

func (r *Report) firstFailure() string {
	if len(r.Failures) == 0 {
		return "there was no image"
	}
	return r.Failures[0].Path + ": " + r.Failures[0].Error
}

// sumTolerance is how far probabilities may add up to another number than 1. Half precision moves
// them by less.
const sumTolerance = 0.01

// checkProbabilities tells the output of a softmax from others: of logits, of several labels an
// image.
func checkProbabilities(row []float32) error {
	sum := 0.0
	for class, p := range row {
		if p < 0 || p > 1+sumTolerance {
			return fmt.Errorf("expected probabilities, got %v for class %d; only models that "+
				"answer with a probability for each class can be evaluated yet", p, class)
		}
		sum += float64(p)
	}
	if math.Abs(sum-1) > sumTolerance {
		return fmt.Errorf("expected probabilities that add up to 1, got %.4g; models that give "+
			"an image several labels cannot be evaluated yet", sum)
	}
	return nil
}

// worst keeps the most confident wrong answers, as a heap whose first is the least confident.
type worst struct {
	most   int
	images []Wrong
}

func (w *worst) Len() int           { return len(w.images) }
func (w *worst) Less(i, j int) bool { return compareWrong(w.images[i], w.images[j]) > 0 }
func (w *worst) Swap(i, j int)      { w.images[i], w.images[j] = w.images[j], w.images[i] }
func (w *worst) Push(x any)         { w.images = append(w.images, x.(Wrong)) }

func (w *worst) Pop() any {
	last := w.images[len(w.images)-1]
	w.images = w.images[:len(w.images)-1]
	return last
}

func (w *worst) add(image Wrong) {
	heap.Push(w, image)
	if len(w.images) > w.most {
		heap.Pop(w)
	}
}

func (w *worst) sorted() []Wrong {
	sorted := slices.Clone(w.images)
	if sorted == nil {
		sorted = []Wrong{} // in JSON a list too
	}
	slices.SortFunc(sorted, compareWrong)
	return sorted
}

// compareWrong has the most confident first, and of equals the one that came first.
func compareWrong(a, b Wrong) int {
	return cmp.Or(cmp.Compare(b.Probability, a.Probability), cmp.Compare(a.order, b.order))
}
