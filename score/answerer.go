package score

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"kerasrun/classify"
)

// Answerer answers batches one by one, for other schedulers such as Apache Beam, and writes the
// shards of their output. The bits are those of a run that cuts the same batches, and [Merge] joins
// the shards into its output. It is safe for concurrent use.
type Answerer struct {
	model    Model
	recorder *recorder
	batch    int
}

// NewAnswerer returns an answerer of batches of so many images at most, for an output of that name.
// A batch's images are all read at once.
func NewAnswerer(m Model, c Columns, output string, batch int) (*Answerer, error) {
	if batch < 1 {
		return nil, fmt.Errorf("score: batch: expected at least 1, got %d", batch)
	}
	format, err := formatOf(output)
	if err != nil {
		return nil, err
	}
	decoders, err := classify.NewDecoders(classify.Limits{Decoders: batch})
	if err != nil {
		return nil, err
	}
	options := classify.Options{BatchSize: batch, Concurrency: 1, Decoders: decoders}
	r, err := m.recorder(c, format, options)
	if err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	return &Answerer{m, r, batch}, nil
}

// NewHeader goes through the inputs of a run, and describes them and how they are cut in batches of
// so many images. The Answerer that writes a shard adds the rest.
func NewHeader(ctx context.Context, source Source, batch int) (Header, error) {
	inputs, err := digestInputs(ctx, source, batch, func(Item) error { return nil })
	return Header{Format: journalFormat, Inputs: inputs.digest, Images: inputs.images, Batch: batch,
		OnError: string(RecordErrors), Started: time.Now().UTC()}, err
}

// Answered is a batch that was answered, as it goes from one process to another.
type Answered struct {
	Batch   int64  // its number, from 0
	Failed  int64  // of its images
	Records []byte // one for each image
}

// Answer answers the batch of that number: its images, in order.
func (a *Answerer) Answer(ctx context.Context, number int64, items []Item) (Answered, error) {
	done := Answered{Batch: number}
	if len(items) > a.batch {
		return done, fmt.Errorf("score: expected a batch of at most %d images, got %d",
			a.batch, len(items))
	}
	images := make([]classify.Image, len(items))
	for i, item := range items {
		images[i] = item.image(number*int64(a.batch) + int64(i))
	}
	run := func(ctx context.Context, b *classify.Batch) error { return b.Run(ctx) }
	var packed []recordEntry
	for b, err := range a.recorder.classifier.Batches(ctx, slices.Values(images), run) {
		if err != nil {
			return done, err
		}
		for _, r := range a.recorder.records(b) {
			p, err := packRecord(r)
			if err != nil {
				return done, err
			}
			packed = append(packed, p)
			if r.Error != "" {
				done.Failed++
			}
		}
	}
	var err error
	done.Records, err = json.Marshal(packed)
	return done, err
}

// WriteShard writes a shard of an output, of its batches in any order, and its manifest. A batch
// that is missing or double is an error.
func (a *Answerer) WriteShard(
	output string, h Header, shard Shard, batches []Answered, versions map[string]string,
) (Manifest, error) {
	format, schema := a.recorder.format, a.recorder.schema
	h.Model, h.Preprocessing, h.Columns = a.model.ID, a.model.Preprocessing, schema.String()
	h.Output, h.Shard = string(format), shard.String()
	m := Manifest{Header: h, Schema: schema, Versions: versions,
		Images: Config{Batch: h.Batch, Shard: shard}.mine(h.Images)}
	slices.SortFunc(batches, func(x, y Answered) int { return cmp.Compare(x.Batch, y.Batch) })
	for i, b := range batches {
		if want := int64(i)*int64(max(shard.Count, 1)) + int64(shard.Index); b.Batch != want {
			return m, fmt.Errorf("%s: expected batch %d of shard %v, got batch %d: one was lost or doubled",
				output, want, shard, b.Batch)
		}
		m.Failed += b.Failed
	}
	path, rows := shard.Path(output), int64(0)
	var err error
	m.OutputSHA256, m.OutputBytes, err = writeOutput(path, func(w io.Writer) error {
		out, err := newSink(w, format, schema)
		if err != nil {
			return err
		}
		for _, b := range batches {
			var records []recordEntry
			if err := json.Unmarshal(b.Records, &records); err != nil {
				return err
			}
			for _, packed := range records {
				r, err := packed.unpack()
				if err != nil {
					return err
				}
				rows++
				if err := out.Write(r); err != nil {
					return err
				}
			}
		}
		if rows != m.Images {
			return fmt.Errorf("%s: expected %d rows, got %d", path, m.Images, rows)
		}
		return out.Close()
	})
	m.Answered, m.Finished = m.Images-m.Failed, time.Now().UTC()
	if err != nil {
		return m, err
	}
	return m, writeManifest(path, m)
}
