package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"

	"kerasrun/batch"
	"kerasrun/labels"
	"kerasrun/preprocess"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Model runs one version of a model; *runner.Model is one. Its methods are called concurrently.
//
// RunSignature's outputs must not share memory with its inputs, which the next run reuses.
type Model interface {
	RunSignature(ctx context.Context, key string,
		in map[string]tensor.Tensor) (map[string]tensor.Tensor, error)
	SavedModel() *savedmodel.Model  // of which the graph with the tag "serve" is served
	Pipeline() *preprocess.Pipeline // nil: the model takes no images
	Labels() labels.Labels          // nil: the classes have no names
	Close() error
}

const (
	defaultSignature = "serving_default"
	// probabilities is the output of a classifier that has several.
	probabilities = "probs"
)

// version is one version of a model, loaded.
type version struct {
	name       string
	number     int64
	model      Model
	signatures map[string]*signature
	imageInput string // the input that takes images, "" where none does
	pipeline   *preprocess.Pipeline
	// memory for the tensors of images, one for each run at a time: a batch of 32 takes 19 MB
	tensors chan []float32
	labels  labels.Labels

	// those that use the version; the repository's lock orders Add before Wait
	requests sync.WaitGroup
}

// signature is one way to call a version.
type signature struct {
	savedmodel.Signature
	inputs, outputs []string  // names, sorted
	run             batch.Run // the model, which takes pixels too where it takes images
	// nil where requests cannot be joined: a tensor's first dimension is not free
	batcher *batch.Batcher
}

// newVersion prepares a model to be served.
func newVersion(name string, number int64, m Model, limits Limits, parameters batch.Parameters) (
	*version, error) {
	graph, err := m.SavedModel().MetaGraph([]string{"serve"})
	if err != nil {
		return nil, err
	}
	v := &version{name: name, number: number, model: m, labels: m.Labels(),
		signatures: map[string]*signature{}}
	if p := m.Pipeline(); p != nil && m.SavedModel().Manifest != nil {
		v.imageInput = m.SavedModel().Manifest.Input.Name
		limited := *p
		limited.MaxPixels = limits.Pixels
		v.pipeline = &limited
		v.tensors = make(chan []float32, parameters.NumBatchThreads)
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
		sig.run = func(ctx context.Context, in map[string]tensor.Tensor) (map[string]tensor.Tensor,
			error) {
			in, free, err := v.normalized(s, in)
			if err != nil {
				return nil, err
			}
			defer free()
			return m.RunSignature(ctx, s.Key, in)
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
		key = defaultSignature
	}
	s, ok := v.signatures[key]
	if !ok {
		return nil, errorf(codes.InvalidArgument,
			"Serving signature name: %q not found in signature def", key)
	}
	return s, nil
}

// classes returns the name of a signature's output that holds one probability a class: probs, or
// the only output there is.
func (sig *signature) classes() (string, error) {
	if _, ok := sig.Outputs[probabilities]; ok {
		return probabilities, nil
	}
	if len(sig.outputs) == 1 {
		return sig.outputs[0], nil
	}
	return "", errorf(codes.FailedPrecondition,
		"signature %q is no classifier: it has no output %q, but %v", sig.Key, probabilities,
		sig.outputs)
}

// classNames returns the class list where it is as long as a row of probabilities; nil, for no
// names, otherwise.
func (v *version) classNames(classes int) labels.Labels {
	if len(v.labels) != classes {
		return nil
	}
	return v.labels
}
