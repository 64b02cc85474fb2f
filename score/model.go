package score

import (
	"context"
	"fmt"
	"slices"

	"kerasrun/classify"
)

// Model is a model, such as a *runner.Model, and what a run is known again by.
type Model struct {
	classify.Model
	Directory     string // for the report
	ID            string // what changes when the model does: the SHA-256 of its manifest
	Preprocessing string // in words, with the precision, since both change the answers
}

// NewModel describes a model that was opened from dir, with the precision that it computes in.
func NewModel(m classify.Model, dir, precision string) (Model, error) {
	manifest := m.SavedModel().Manifest
	if manifest == nil {
		return Model{}, fmt.Errorf("%s: %w", dir, classify.ErrNoImages)
	}
	in := manifest.Image()
	if in == nil {
		return Model{}, fmt.Errorf("%s: %w", dir, classify.ErrNoImages)
	}
	p, err := in.Pipeline()
	if err != nil {
		return Model{}, fmt.Errorf("%s: %w", dir, err)
	}
	words := "decoded by the graph"
	if p != nil {
		words = p.String()
	}
	return Model{m, dir, manifest.ID(), fmt.Sprintf("%s; precision %s", words, precision)}, nil
}

// Answerer answers batches one by one, for other schedulers such as Apache Beam. The bits are those
// of a run that cuts the same batches. It is safe for concurrent use.
type Answerer struct {
	recorder *recorder
	batch    int
}

// NewAnswerer returns an answerer of batches of so many images at most. A batch's images are all
// read at once.
func NewAnswerer(m Model, c Columns, batch int) (*Answerer, error) {
	if batch < 1 {
		return nil, fmt.Errorf("score: batch: expected at least 1, got %d", batch)
	}
	decoders, err := classify.NewDecoders(classify.Limits{Decoders: batch})
	if err != nil {
		return nil, err
	}
	options := classify.Options{BatchSize: batch, Concurrency: 1, Decoders: decoders}
	r, err := m.recorder(c, formatJSONL, options)
	if err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	return &Answerer{r, batch}, nil
}

// Answer answers one batch: the images from index first on, in order.
func (a *Answerer) Answer(ctx context.Context, first int64, items []Item) ([]Record, error) {
	if len(items) > a.batch {
		return nil, fmt.Errorf("score: expected a batch of at most %d images, got %d",
			a.batch, len(items))
	}
	images := make([]classify.Image, len(items))
	for i, item := range items {
		images[i] = item.image(first + int64(i))
	}
	run := func(ctx context.Context, b *classify.Batch) error { return b.Run(ctx) }
	var records []Record
	for b, err := range a.recorder.classifier.Batches(ctx, slices.Values(images), run) {
		if err != nil {
			return nil, err
		}
		records = append(records, a.recorder.records(b)...)
	}
	return records, nil
}

// AppendJSON appends a record to dst as a line of an output in JSON lines.
func (a *Answerer) AppendJSON(dst []byte, r Record) []byte {
	return a.recorder.schema.appendLine(dst, r)
}
