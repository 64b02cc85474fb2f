package score

import (
	"fmt"

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
