// Package labels names a classifier's outputs: [Read] reads a class list, [Top] returns the most
// probable classes with their names, as Keras's decode_predictions does.
//
// [Labels] are plain data. They can be read from many goroutines.
package labels

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
)

// Class is one class of a classifier: for ImageNet its WordNet id and name ("n01440764", "tench").
// Where a class list has only one label per class, it is both.
type Class struct{ ID, Name string }

// Labels are the classes in the order of the model's outputs.
type Labels []Class

// Read reads a class list in the form of Keras's imagenet_class_index.json, {"0": ["n01440764",
// "tench"], ...}, where each index from 0 up must be there.
func Read(r io.Reader) (Labels, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	var classes map[string][]string
	if err := json.Unmarshal(text, &classes); err != nil {
		return nil, fmt.Errorf(`labels: expected {"0": [id, name], ...}: %w`, err)
	}
	if len(classes) == 0 {
		return nil, fmt.Errorf("labels: expected at least one class, got none")
	}
	l := make(Labels, len(classes))
	for i := range l {
		class, ok := classes[strconv.Itoa(i)]
		if !ok {
			return nil, fmt.Errorf("labels: expected each index from 0 to %d, got none for %d",
				len(l)-1, i)
		}
		if len(class) != 2 {
			return nil, fmt.Errorf("labels: class %d: expected [id, name], got %d strings", i,
				len(class))
		}
		l[i] = Class{ID: class[0], Name: class[1]}
	}
	return l, nil
}

// Prediction is one class with the probability that the model gives it.
type Prediction struct {
	Index       int     `json:"index"`
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Probability float32 `json:"probability"`
}

// Top returns the k most probable classes, or all of them where k is larger, best first. The order
// is that of Keras's decode_predictions, argsort()[-k:][::-1]: of two equals the later class comes
// first. Without labels (nil), ID and Name are empty. A NaN is an error, and so are labels of
// another number than the probabilities.
func Top(probs []float32, k int, l Labels) ([]Prediction, error) {
	if k < 1 {
		return nil, fmt.Errorf("labels: top: expected at least 1, got %d", k)
	}
	if l != nil && len(l) != len(probs) {
		return nil, fmt.Errorf("labels: expected %d probabilities, one per label, got %d", len(l),
			len(probs))
	}
	top := make([]Prediction, 0, min(k, len(probs)))
	for i, p := range probs {
		if p != p {
			return nil, fmt.Errorf("labels: the probability of class %d is NaN", i)
		}
		if len(top) == k && p < top[k-1].Probability {
			continue
		}
		at := sort.Search(len(top), func(j int) bool { return top[j].Probability <= p })
		if len(top) < cap(top) {
			top = top[:len(top)+1]
		}
		copy(top[at+1:], top[at:])
		top[at] = Prediction{Index: i, Probability: p}
	}
	if l != nil {
		for i := range top {
			class := l[top[i].Index]
			top[i].ID, top[i].Name = class.ID, class.Name
		}
	}
	return top, nil
}
