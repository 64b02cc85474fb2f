package classify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	Labels() labels.Labels // of the manifest's answer; nil: its classes have no names
}

// Options say how a Classifier runs its model. Zero values are useful.
type Options struct {
	Signature string // "" is the manifest's
	// Outputs are those that are kept of each image; the first of them answers it. None is the
	// manifest's answer, or of another signature than the default one its only output.
	Outputs []string

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

// Classifier answers images with one or more outputs of a model. It is safe for concurrent use, by
// any number of calls; it keeps memory from one to the next, and needs not be closed.
type Classifier struct {
	preprocessor *Preprocessor
	runner       Runner
	key          string
	outputs      []contract.Output
	shapes       []tensor.Shape // of the outputs, with the batch; nil: not known before a run
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
	o.Signature = cmp.Or(o.Signature, m.SavedModel().DefaultSignature())
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
	if len(o.Outputs) == 0 {
		answer := answerOf(manifest, s)
		if answer == "" {
			return nil, fmt.Errorf("signature %s: expected an output that the manifest says answers "+
				"an image, got none; name one of %q", s.Key, slices.Sorted(maps.Keys(s.Outputs)))
		}
		o.Outputs = []string{answer}
	}
	if err := p.check(s, o.Outputs); err != nil {
		return nil, err
	}
	c := &Classifier{
		preprocessor: p, runner: m, key: s.Key, labels: m.Labels(), options: o,
		running: semaphore.NewWeighted(int64(o.BatchSize * o.Concurrency)),
	}
	if first := manifest.Output(s.Key, o.Outputs[0]); s.Key != m.SavedModel().DefaultSignature() ||
		o.Outputs[0] != manifest.Answer {
		if c.labels, err = m.SavedModel().LabelsOf(first); err != nil {
			return nil, err
		}
	}
	for _, name := range o.Outputs {
		output := contract.Output{Name: name, Kind: contract.Tensor}
		if stated := manifest.Output(s.Key, name); stated != nil {
			output = *stated
		}
		c.outputs = append(c.outputs, output)
		c.shapes = append(c.shapes, s.Outputs[name].Shape)
	}
	c.slots.New = func() any { return new(slot) }
	return c, nil
}

// answerOf returns the output of a signature that answers an image, "" where the manifest does not
// say: its answer, or of a signature that has no such output the only one.
func answerOf(m *contract.Manifest, s savedmodel.Signature) string {
	outputs := m.Outputs[s.Key]
	if m.Output(s.Key, m.Answer) == nil && len(outputs) == 1 {
		return outputs[0].Name
	}
	if len(outputs) > 0 && m.Output(s.Key, m.Answer) == nil {
		return ""
	}
	return m.Answer
}

// Outputs returns the outputs that are kept of each image, as the manifest states them. The first
// of them answers it.
func (c *Classifier) Outputs() []contract.Output { return slices.Clone(c.outputs) }

// Labels returns the classes of the first output; nil where they have no names.
func (c *Classifier) Labels() labels.Labels { return c.labels }

// Shape returns the shape of a row of output number o, without the batch; nil where the model does
// not say, and -1 for a size that is free.
func (c *Classifier) Shape(o int) tensor.Shape {
	if len(c.shapes[o]) == 0 {
		return nil
	}
	return c.shapes[o][1:]
}

// Classes returns the number of classes that the first output tells apart; -1 where the model does
// not say. A binary output has two, in one value.
func (c *Classifier) Classes() int {
	shape := c.Shape(0)
	switch {
	case c.outputs[0].ActivatedKind(shape) == contract.Binary:
		return 2
	case len(shape) > 0:
		return int(shape[len(shape)-1])
	}
	return -1
}

// decode reads an image's file and decodes it, where the graph does not do that itself.
func (c *Classifier) decode(
	ctx context.Context, s *slot, read func() ([]byte, error),
) error {
	data, err := read()
	if err != nil {
		return err
	}
	p := c.preprocessor
	if !p.Decodes() {
		s.file = append(s.file[:0], data...)
		return p.decoders.checkBytes(data)
	}
	return p.decoders.read(ctx, p.pipeline, &s.image, data)
}

// TryDecode decodes an image for what that does to the process; an error comes up again when the
// image is answered.
func (c *Classifier) TryDecode(image []byte) {
	if c.preprocessor.Decodes() {
		_, _ = c.preprocessor.pipeline.Image(image)
	}
}

// Row is what a model's run gives for one image: its row of each of [Options.Outputs], without the
// batch dimension.
type Row []tensor.Tensor

// rows cuts the outputs of a run of so many rows into those of the first n images.
func (c *Classifier) rows(out map[string]tensor.Tensor, rows, n int) ([]Row, error) {
	cut := make([]Row, n)
	for o, output := range c.outputs {
		t := out[output.Name]
		want := tensor.Shape{int64(rows)}
		if len(c.shapes[o]) > 0 {
			want = append(want, c.shapes[o][1:]...)
		} else if len(t.Shape) > 0 {
			want = append(want, slices.Repeat(tensor.Shape{-1}, len(t.Shape)-1)...)
		}
		if err := cmp.Or(want.Accepts(t.Shape), t.Validate()); err != nil {
			return nil, &OutputError{output.Name, fmt.Errorf("expected a row for each image: %w", err)}
		}
		for i := range cut {
			row, err := t.Rows(int64(i), int64(i+1))
			if err != nil {
				return nil, &OutputError{output.Name, err}
			}
			row.Shape = row.Shape[1:]
			cut[i] = append(cut[i], row)
		}
	}
	return cut, nil
}

// Classify returns the classes of each image (the bytes of its file) as
// [Answer.Predictions] has them. An image that cannot be answered has no row (nil), and an
// [*ImageError] joined into the error. Any other error ends Classify: no rows then. It is an error
// where the model's answer is no classes; see [Classifier.Answer].
//
// The images are run in batches, and while one is run the next is decoded.
func (c *Classifier) Classify(
	ctx context.Context, top int, images ...[]byte,
) ([][]labels.Prediction, error) {
	if o := c.outputs[0]; !o.HasClasses() {
		return nil, fmt.Errorf("classify: output %q: expected probabilities of classes, got %s: "+
			"Answer returns it", o.Name, o.Kind)
	}
	answers, err := c.Answer(ctx, top, images...)
	if answers == nil {
		return nil, err
	}
	rows := make([][]labels.Prediction, len(answers))
	for i, a := range answers {
		rows[i] = a.Predictions
	}
	return rows, err
}

// Answer returns what the first output says of each image, whatever its kind. Images and errors are
// those of [Classifier.Classify]; the answer of an image that cannot be answered is zero. top
// bounds the classes of probabilities.
func (c *Classifier) Answer(ctx context.Context, top int, images ...[]byte) ([]Answer, error) {
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
	answers := make([]Answer, 0, len(images))
	var faults []error
	for result, err := range c.Stream(ctx, top, sequence) {
		if err != nil {
			return nil, err
		}
		if result.Err != nil {
			faults = append(faults, &ImageError{len(answers), result.Err})
		}
		answers = append(answers, result.Answer)
	}
	return answers, errors.Join(faults...)
}

func checkTop(top int) error {
	if top < 1 {
		return fmt.Errorf("classify: top: expected at least 1, got %d", top)
	}
	return nil
}

// AnswerRow says what an image's row means: its first output. The error is that image's alone: a
// [*NaNError], or an [*OutputError] for a row of another shape or type than its kind has.
func (c *Classifier) AnswerRow(row Row, top int) (Answer, error) {
	return AnswerOf(c.outputs[0], c.labels, row[0], top)
}

// Probabilities returns the probability of each class that a row's first output says: after the
// activation of logits, and of both classes of a binary output. Errors are those of AnswerRow.
func (c *Classifier) Probabilities(row Row) ([]float32, error) {
	return ProbabilitiesOf(c.outputs[0], row[0])
}
