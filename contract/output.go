package contract

import (
	"fmt"
	"io/fs"
	"math"
	"slices"

	"kerasrun/tensor"
)

// The kinds of outputs.
const (
	Probabilities = "probabilities" // of classes that exclude each other: they add up to 1
	Logits        = "logits"        // Activation makes probabilities of them
	Binary        = "binary"        // one sigmoid: the probability of the second of two classes
	Multilabel    = "multilabel"    // a sigmoid for each class
	Regression    = "regression"
	Embedding     = "embedding"
	Map           = "map"    // classes for each pixel: height x width x classes
	Tensor        = "tensor" // anything else
)

var outputKinds = []string{Probabilities, Logits, Binary, Multilabel, Regression, Embedding, Map,
	Tensor}

// Output is an output of a signature.
type Output struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Activation of logits is "softmax" or "sigmoid".
	Activation string `json:"activation,omitempty"`
	// Thresholds of binary and multilabel are one for all classes, or one for each.
	Thresholds []float64 `json:"thresholds,omitempty"`
	// Normalized says of an embedding that its length is 1.
	Normalized bool `json:"normalized,omitempty"`
	// Palette of a map has red, green and blue for each class.
	Palette [][3]uint8 `json:"palette,omitempty"`
	// Labels is the class list's path in the directory, "" where there is none.
	Labels string `json:"labels"`
}

// HasClasses says whether an output tells classes of an image apart, each with a probability.
func (o Output) HasClasses() bool {
	return slices.Contains([]string{Probabilities, Logits, Binary, Multilabel}, o.Kind)
}

// ActivatedKind is the kind once the activation of logits has been applied, of an output whose row
// of an image has that shape, without the batch: one sigmoid is Binary, several are Multilabel.
func (o Output) ActivatedKind(shape tensor.Shape) string {
	switch {
	case o.Kind != Logits:
		return o.Kind
	case o.Activation == "softmax":
		return Probabilities
	case len(shape) == 1 && shape[0] == 1:
		return Binary
	}
	return Multilabel
}

// check returns all that is wrong with an output.
func (o Output) check() []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if o.Name == "" {
		fault("name: expected a name, got none")
	}
	if !slices.Contains(outputKinds, o.Kind) {
		fault("kind: expected one of %q, got %q", outputKinds, o.Kind)
	}
	switch {
	case o.Kind == Logits && o.Activation != "softmax" && o.Activation != "sigmoid":
		fault(`activation: expected "softmax" or "sigmoid" of logits, got %q`, o.Activation)
	case o.Kind != Logits && o.Activation != "":
		fault("activation: expected none of %s, got %q", o.Kind, o.Activation)
	}
	thresholds := o.Kind == Binary || o.Kind == Multilabel
	if thresholds == (len(o.Thresholds) == 0) || o.Kind == Binary && len(o.Thresholds) != 1 {
		fault("thresholds: expected one of binary, one or more of multilabel, none of other "+
			"kinds, got %v of %s", o.Thresholds, o.Kind)
	}
	for _, t := range o.Thresholds {
		if !(t >= 0 && t <= 1) || math.IsNaN(t) {
			fault("thresholds: expected 0 to 1, got %v", t)
		}
	}
	if o.Normalized && o.Kind != Embedding {
		fault("normalized: expected of an embedding alone, got it of %s", o.Kind)
	}
	if len(o.Palette) > 0 && o.Kind != Map {
		fault("palette: expected of a map alone, got one of %s", o.Kind)
	}
	if o.Labels != "" && !fs.ValidPath(o.Labels) {
		fault("labels: expected a path in the directory, got %q", o.Labels)
	}
	return faults
}
