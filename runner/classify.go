package runner

import (
	"context"
	"time"

	"kerasrun/classify"
	"kerasrun/labels"
)

// The most images that Classifier runs together. A CPU gains nothing from more; a GPU's many more
// units need them.
const (
	classifyBatchCPU = 32
	classifyBatchGPU = 128
)

// classifyWait is how long a stream's batch waits for its next image: longer than a file takes.
const classifyWait = 20 * time.Millisecond

// Classifier returns the classifier over the signature that Open chose and the output that the
// manifest says answers an image, with batches that suit the model's devices. It is an error where
// the signature does not go from an image alone to that output.
func (m *Model) Classifier() (*classify.Classifier, error) {
	if _, err := m.signature(m.key); err != nil {
		return nil, err
	}
	return m.classifier()
}

func (m *Model) newClassifier() (*classify.Classifier, error) {
	batch, concurrency := classifyBatchGPU, 1+len(m.devices)
	if m.devices[0] == "cpu" { // which computes one batch as two micro-batches at a time
		batch, concurrency = min(classifyBatchCPU, microBatchRows()), 1
	}
	return classify.New(m, classify.Options{
		Signature: m.key, BatchSize: batch, Concurrency: concurrency, MaxWait: classifyWait,
	})
}

// Classify returns the top most probable classes of each image (the bytes of its file), best first,
// as Keras's decode_predictions does; see [classify.Classifier.Classify]. An image that cannot be
// answered has no row, and a [*classify.ImageError] joined into the error.
func (m *Model) Classify(
	ctx context.Context, top int, images ...[]byte,
) ([][]labels.Prediction, error) {
	c, err := m.Classifier()
	if err != nil {
		return nil, err
	}
	return c.Classify(ctx, top, images...)
}

// Answer returns what the model says of each image, whatever kind of answer that is: classes, or
// values of a regression or an embedding, or a map of classes; see [classify.Answer]. Images and
// errors are those of Classify; the answer of an image that cannot be answered is zero. top bounds
// the classes of probabilities.
func (m *Model) Answer(
	ctx context.Context, top int, images ...[]byte,
) ([]classify.Answer, error) {
	c, err := m.Classifier()
	if err != nil {
		return nil, err
	}
	return c.Answer(ctx, top, images...)
}
