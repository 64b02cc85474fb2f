package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"

	"kerasrun/batch"
	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Model runs one version of a model; *runner.Model is one. Its methods are called concurrently.
type Model interface {
	classify.Runner
	SavedModel() *savedmodel.Model // whose manifest, if any, says how images become its input
	Tags() []string                // of the graph that is run
	Labels() labels.Labels         // nil: the classes have no names
	Close() error
}

// version is one version of a model, loaded.
type version struct {
	name       string
	number     int64
	model      Model
	signatures map[string]*signature
	images     *classify.Preprocessor // nil: the model takes no images
	imageInput string                 // the input that takes them, "" where none does
	labels     map[outputKey]labels.Labels
	statistics *statistics
	observe    func(batch.Observation) // of runs

	// those that use the version; the repository's lock orders Add before Wait
	requests sync.WaitGroup
}

// outputKey names an output of a signature.
type outputKey struct{ signature, output string }

// signature is one way to call a version.
type signature struct {
	savedmodel.Signature
	inputs, outputs []string  // names, sorted
	run             batch.Run // the model, which takes pixels too where it takes images
	// nil where requests cannot be joined: a tensor's first dimension is not free
	batcher *batch.Batcher
	watched *contract.Output // whose classes are counted; nil: none's
}

// newVersion prepares a model to be served.
func newVersion(
	name string, number int64, m Model, decoders *classify.Decoders, parameters batch.Parameters,
) (*version, error) {
	graph, err := m.SavedModel().MetaGraph(m.Tags())
	if err != nil {
		return nil, err
	}
	v := &version{name: name, number: number, model: m, signatures: map[string]*signature{},
		statistics: newStatistics()}
	observe := parameters.Observe
	v.observe = func(o batch.Observation) {
		observe(o)
		v.statistics.ran(o)
	}
	parameters.Observe = v.observe
	if v.labels, err = labelsOf(m); err != nil {
		return nil, err
	}
	if manifest := m.SavedModel().Manifest; manifest != nil {
		images, err := classify.NewPreprocessor(manifest, decoders, parameters.NumBatchThreads)
		switch {
		case err == nil:
			v.images, v.imageInput = images, images.Input()
		case !errors.Is(err, classify.ErrNoImages):
			return nil, err
		}
	}
	for _, s := range graph.Signatures {
		sig := &signature{
			Signature: s,
			inputs:    slices.Sorted(maps.Keys(s.Inputs)),
			outputs:   slices.Sorted(maps.Keys(s.Outputs)),
		}
		if len(s.Inputs) == 0 || len(s.Outputs) == 0 {
			continue // an initialiser, not something to call
		}
		sig.watched = v.watched(sig)
		sig.run = func(ctx context.Context, in map[string]tensor.Tensor) (
			map[string]tensor.Tensor, error,
		) {
			var out map[string]tensor.Tensor
			var err error
			if v.images == nil {
				out, err = m.RunSignature(ctx, s.Key, in)
			} else {
				out, err = v.images.Run(ctx, m, s, in)
			}
			return out, lost(err)
		}
		if batched(s.Inputs) && batched(s.Outputs) {
			if sig.batcher, err = batch.New(sig.run, parameters); err != nil {
				v.stop()
				return nil, err
			}
		}
		v.signatures[s.Key] = sig
	}
	if len(v.signatures) == 0 {
		return nil, fmt.Errorf("%s: expected a signature with inputs and outputs, got none",
			name)
	}
	return v, nil
}

// labelsOf returns the classes of each output that has names for them.
func labelsOf(m Model) (map[outputKey]labels.Labels, error) {
	found := map[outputKey]labels.Labels{}
	manifest := m.SavedModel().Manifest
	if manifest == nil {
		return found, nil
	}
	answering := m.SavedModel().DefaultSignature()
	for key, outputs := range manifest.Outputs {
		for i := range outputs {
			classes := m.Labels()
			if name := outputs[i].Name; key != answering || name != manifest.Answer {
				var err error
				if classes, err = m.SavedModel().LabelsOf(&outputs[i]); err != nil {
					return nil, err
				}
			}
			found[outputKey{key, outputs[i].Name}] = classes
		}
	}
	return found, nil
}

// batched says whether each tensor has a free first dimension.
func batched(tensors map[string]savedmodel.TensorInfo) bool {
	for _, t := range tensors {
		if len(t.Shape) == 0 || t.Shape[0] != -1 {
			return false
		}
	}
	return true
}

// stop answers what waits and ends the batchers.
func (v *version) stop() {
	for _, s := range v.signatures {
		if s.batcher != nil {
			s.batcher.Close()
		}
	}
}

// close waits for the version's requests, stops its batchers and frees the model.
func (v *version) close() error {
	v.requests.Wait()
	v.stop()
	return v.model.Close()
}

// pending returns the number of requests that wait to be run.
func (v *version) pending() int {
	n := 0
	for _, s := range v.signatures {
		if s.batcher != nil {
			n += s.batcher.Pending()
		}
	}
	return n
}

// signature returns the signature called key, the default one for "".
func (v *version) signature(key string) (*signature, error) {
	if key == "" {
		key = v.model.SavedModel().DefaultSignature()
	}
	s, ok := v.signatures[key]
	if !ok {
		return nil, errorf(codes.InvalidArgument,
			"Serving signature name: %q not found in signature def", key)
	}
	return s, nil
}

// answer returns the output of a signature that answers an image: the one that the manifest names,
// or else the only one there is. It is an error where an image alone is not all that the signature
// takes.
func (v *version) answer(sig *signature) (contract.Output, error) {
	if len(sig.inputs) != 1 {
		return contract.Output{}, errorf(codes.FailedPrecondition, "signature %q takes %v, so that "+
			"an image alone cannot be answered: use predict or infer, where the input %q may be the "+
			"bytes of an image", sig.Key, sig.inputs, v.imageInput)
	}
	manifest := v.model.SavedModel().Manifest
	name := manifest.Answer
	if _, ok := sig.Outputs[name]; !ok && len(sig.outputs) == 1 {
		name = sig.outputs[0]
	}
	if output := manifest.Output(sig.Key, name); output != nil {
		return *output, nil
	}
	return contract.Output{}, errorf(codes.FailedPrecondition,
		"signature %q: expected an output that the manifest says answers an image, got %v", sig.Key,
		sig.outputs)
}
