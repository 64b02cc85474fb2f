// Package tfmodel adapts a runner.Model to score.Model, since package score itself does not use
// TensorFlow.
package tfmodel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kerasrun/contract"
	"kerasrun/runner"
	"kerasrun/score"
	"kerasrun/tensor"
)

// New adapts the model that was opened from dir. The columns come back with what the model decides:
// the length of the vector, and no more classes than it has. Precision is part of the run's
// identity, since it changes the answers.
func New(m *runner.Model, dir, precision string, c score.Columns) (score.Model, score.Columns,
	error) {
	manifest, p := m.SavedModel().Manifest, m.Pipeline()
	if manifest == nil || p == nil {
		return score.Model{}, c,
			fmt.Errorf("%s: expected a manifest that says how images are prepared, got none", dir)
	}
	signature, output := "serving_default", "probs"
	if c.Logits {
		output = "logits"
	}
	if c.Vector == score.Features {
		c.Top, output = 0, "features"
		if _, ok := manifest.Outputs["features"]; ok {
			signature = "features"
		}
	}
	if outputs := manifest.Outputs[signature]; !slices.Contains(outputs, output) {
		return score.Model{}, c, fmt.Errorf("%s: expected an output %q of signature %s, got %q",
			dir, output, signature, outputs)
	}
	info, err := m.Signature(signature)
	if err != nil {
		return score.Model{}, c, err
	}
	shape := info.Outputs[output].Shape
	if len(shape) != 2 || shape[1] < 1 {
		return score.Model{}, c, fmt.Errorf(
			"%s: expected an output %q with one row per image, got the shape %v", dir, output,
			shape)
	}
	if c.Vector != score.Top {
		c.Length = int(shape[1])
	}
	c.Top = min(c.Top, int(shape[1]))
	id, err := manifestID(dir)
	if err != nil {
		return score.Model{}, c, err
	}
	return score.Model{
		ID: id,
		Preprocessing: fmt.Sprintf("%dx%d %v %v %v, %s", p.Height, p.Width, p.Filter, p.Fit, p.Mode,
			precision),
		Preprocess: p.Append,
		Shape:      tensor.Shape{int64(p.Height), int64(p.Width), 3},
		Labels:     m.Labels(),
		Run: func(ctx context.Context, batch tensor.Tensor) (tensor.Tensor, error) {
			out, err := m.RunSignature(ctx, signature,
				map[string]tensor.Tensor{manifest.Input.Name: batch})
			return out[output], err
		},
	}, c, nil
}

// manifestID is the SHA-256 of the manifest, which holds that of every other file.
func manifestID(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, contract.ManifestPath))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
