package evaluate

import (
	"cmp"
	"context"
	"fmt"
	"math"

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
	Outcome
	Metrics
	Wrong []Wrong `json:"wrong"` // the images answered wrongly, the most confident answer first
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

func (w Wrong) rank() (float64, int64) { return float64(w.Probability), w.order }

// Run has a classifier answer every image of the data and compares the answers with the labels. The
// classes' names are l, nil where they have none; labels are resolved before any image is read.
//
// An image that cannot be read, decoded or answered is counted apart. It is an error where no image
// was answered, and where an output is no probabilities that add up to 1.
func Run(
	ctx context.Context, c *classify.Classifier, l labels.Labels, d *Data, o Options,
) (*Report, error) {
	classes, err := classesOf(c, l)
	if err != nil {
		return nil, err
	}
	if classes == 1 {
		return nil, fmt.Errorf("expected an output with a probability for each of the model's " +
			"classes, got one value an image; one sigmoid has the kind binary and two class names")
	}
	t, err := d.resolve(classes, l, cmp.Or(o.LabelType, LabelAuto))
	if err != nil {
		return nil, err
	}
	r := &run{
		classifier: c, labels: l,
		counts: NewCounts(classes, min(cmp.Or(o.TopK, 5), classes)),
		wrong:  worst[Wrong]{most: cmp.Or(o.Wrong, 50)},
		report: &Report{Outcome: Outcome{Data: d.Name, LabelType: t.as, Failures: []Failure{}}},
	}
	index := func(image labelled) (int64, bool) {
		class, ok := t.classes[image.label]
		return int64(class), ok
	}
	if err := r.report.answer(ctx, c, d, o, index, r.add); err != nil {
		return nil, err
	}
	r.report.Metrics = r.counts.Metrics(l)
	r.report.Wrong = r.wrong.sorted()
	return r.report, nil
}

// classesOf is how many classes a model has, by its signature or by their names.
func classesOf(c *classify.Classifier, l labels.Labels) (int, error) {
	classes := c.Classes()
	if classes < 0 {
		classes = len(l)
	}
	if classes < 1 {
		return 0, fmt.Errorf("expected a model that says how many classes it has, in its " +
			"signature or by their names, got neither")
	}
	if l != nil && len(l) != classes {
		return 0, fmt.Errorf("expected an output with a probability for each of the model's "+
			"classes, got %d values an image for %d class names", classes, len(l))
	}
	return classes, nil
}

// run is an evaluation of classes under way.
type run struct {
	classifier *classify.Classifier
	labels     labels.Labels
	counts     *Counts
	wrong      worst[Wrong]
	report     *Report
}

func (r *run) add(image classify.Image, given classify.Row) (failure, err error) {
	row, failure := r.classifier.Probabilities(given)
	if failure != nil {
		return failure, nil
	}
	top, failure := r.classifier.AnswerRow(given, 1)
	if failure != nil {
		return failure, nil
	}
	if err := checkProbabilities(row); err != nil {
		return nil, err
	}
	answer, truth := top.Predictions[0].Index, int(image.Index)
	if err := r.counts.Add(row, answer, truth); err != nil {
		return nil, err
	}
	if answer != truth {
		r.wrong.add(Wrong{
			Path:  score.EscapePath(image.Name),
			Truth: className(r.labels, truth), TruthProbability: row[truth],
			Answer: className(r.labels, answer), Probability: row[answer],
			file: image.Name, order: r.counts.images,
		})
	}
	return nil, nil
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
			return fmt.Errorf("expected probabilities, got %v for class %d; the output "+
				"has another kind than the manifest says", p, class)
		}
		sum += float64(p)
	}
	if math.Abs(sum-1) > sumTolerance {
		return fmt.Errorf("expected probabilities that add up to 1, got %.4g; a model that gives "+
			"an image several labels has the kind multilabel", sum)
	}
	return nil
}
