package classify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Model is a Runner that says what it runs; *runner.Model is one.
type Model interface {
	Runner
	SavedModel() *savedmodel.Model // its directory, whose manifest says what the input is
	// Signature returns the signature called key of the graph that is run.
	Signature(key string) (savedmodel.Signature, error)
	Labels() labels.Labels // a class for each value of the output; nil: they have no names
}

// Options say how a Classifier runs its model. Zero values are useful.
type Options struct {
	Signature string // "" is "serving_default"
	Output    string // float32, [images, classes]; "" is "probs"

	BatchSize   int // images that run together; 0 is 32
	Concurrency int // full batches that run at a time, of all calls together; 0 is 1

	// MaxWait is how long a batch of a stream that is not full waits for its next image. 0 is
	// without limit: then all batches but the last have BatchSize images, whatever the timing.
	MaxWait time.Duration

	Decoders *Decoders // nil: its own, with no [Limits]
}

func (o Options) validate() error {
	if o.BatchSize < 0 || o.Concurrency < 0 || o.MaxWait < 0 {
		return fmt.Errorf("batch size, concurrency, wait: expected 0 or more, got %d, %d, %v",
			o.BatchSize, o.Concurrency, o.MaxWait)
	}
	return nil
}

// Classifier classifies images with one output of a model. It is safe for concurrent use, by any
// number of calls; it keeps memory from one to the next, and needs not be closed.
type Classifier struct {
	preprocessor *Preprocessor
	runner       Runner
	key, output  string
	classes      int64 // -1: not known before a run
	labels       labels.Labels
	options      Options
	running      *semaphore.Weighted // images that are run, by all calls
	slots        sync.Pool           // of *slot
}

// New returns a classifier over a model. It is an error where the manifest does not say how to make
// the model's input of an image ([ErrNoImages]), and where the signature takes anything else or has
// no such output.
func New(m Model, o Options) (*Classifier, error) {
	c, err := newClassifier(m, o)
	if err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	return c, nil
}

func newClassifier(m Model, o Options) (*Classifier, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.Signature = cmp.Or(o.Signature, contract.DefaultSignature)
	o.Output = cmp.Or(o.Output, contract.OutputProbabilities)
	o.BatchSize, o.Concurrency = cmp.Or(o.BatchSize, 32), cmp.Or(o.Concurrency, 1)
	if o.Decoders == nil {
		o.Decoders, _ = NewDecoders(Limits{}) // no zero is wrong
	}
	s, err := m.Signature(o.Signature)
	if err != nil {
		return nil, err
	}
	manifest := m.SavedModel().Manifest
	if manifest == nil {
		return nil, fmt.Errorf("signature %s: %w", s.Key, ErrNoImages)
	}
	p, err := NewPreprocessor(manifest, o.Decoders, o.Concurrency)
	if err != nil {
		return nil, fmt.Errorf("signature %s: %w", s.Key, err)
	}
	if err := p.check(s, o.Output); err != nil {
		return nil, err
	}
	c := &Classifier{
		preprocessor: p, runner: m, key: s.Key, output: o.Output, classes: -1, labels: m.Labels(),
		options: o, running: semaphore.NewWeighted(int64(o.BatchSize * o.Concurrency)),
	}
	if shape := s.Outputs[o.Output].Shape; shape != nil {
		c.classes = shape[1]
	}
	c.slots.New = func() any { return &slot{pixels: make([]uint8, 0, p.PixelBytes())} }
	return c, nil
}

// decode reads an image's file and decodes it.
func (c *Classifier) decode(
	ctx context.Context, s *slot, read func() ([]byte, error),
) error {
	data, err := read()
	if err != nil {
		return err
	}
	s.pixels, err = c.preprocessor.read(ctx, s.pixels, data)
	return err
}

// Classes returns the number of values in a row of the output; -1 where the model does not say.
func (c *Classifier) Classes() int { return int(c.classes) }

// Classify returns the top classes of each image (the bytes of a JPEG, PNG, GIF, BMP or WebP file),
// best first, as Keras's decode_predictions does. An image that cannot be answered has no row
// (nil), and an [*ImageError] joined into the error. Any other error ends Classify: no rows then.
//
// The images are run in batches, and while one is run the next is decoded.
func (c *Classifier) Classify(
	ctx context.Context, top int, images ...[]byte,
) ([][]labels.Prediction, error) {
	if err := checkTop(top); err != nil {
		return nil, err
	}
	sequence := func(yield func(Image) bool) {
		for _, image := range images {
			if !yield(Bytes(image)) {
				return
			}
		}
	}
	rows := make([][]labels.Prediction, 0, len(images))
	var faults []error
	for result, err := range c.Stream(ctx, top, sequence) {
		if err != nil {
			return nil, err
		}
		if result.Err != nil {
			faults = append(faults, &ImageError{len(rows), result.Err})
		}
		rows = append(rows, result.Predictions)
	}
	return rows, errors.Join(faults...)
}

func checkTop(top int) error {
	if top < 1 {
		return fmt.Errorf("classify: top: expected at least 1, got %d", top)
	}
	return nil
}

// Top returns the k most probable classes of a row of the output (all of them where k is larger),
// best first. A NaN is an error.
func (c *Classifier) Top(row []float32, k int) ([]labels.Prediction, error) {
	return labels.Top(row, k, c.labels)
}

// Predictions returns the k most probable classes of each row of an output, float32 [rows,
// classes], best first. Classes have names where l has as many as there are. The error is an
// [*OutputError] for an output of another shape or type, and another one for a NaN.
func Predictions(output tensor.Tensor, k int, l labels.Labels) ([][]labels.Prediction, error) {
	if len(output.Shape) == 0 {
		return nil, &OutputError{Err: errRows(output.Shape)}
	}
	values, err := classRows(output, output.Shape[0], -1)
	if err != nil {
		return nil, &OutputError{Err: err}
	}
	if int64(len(l)) != output.Shape[1] {
		l = nil
	}
	rows := make([][]labels.Prediction, len(values))
	for i, row := range values {
		if rows[i], err = labels.Top(row, k, l); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// classRows cuts an output into its rows, which share its memory. It has so many rows of so many
// classes; -1 is any number of them.
func classRows(output tensor.Tensor, rows, classes int64) ([][]float32, error) {
	values, err := output.Float32s()
	if err != nil {
		return nil, err
	}
	if len(output.Shape) != 2 || output.Shape[1] < 1 {
		return nil, errRows(output.Shape)
	}
	if got := output.Shape; got[0] != rows || classes >= 0 && got[1] != classes {
		return nil, fmt.Errorf("expected %v, got %v", tensor.Shape{rows, classes}, got)
	}
	width := int(output.Shape[1])
	cut := make([][]float32, rows)
	for i := range cut {
		cut[i] = values[i*width : (i+1)*width : (i+1)*width]
	}
	return cut, nil
}
