package score

import (
	"fmt"

	"kerasrun/labels"
	"kerasrun/tensor"
)

// LabelType says what stands in the label columns, as timm's --label-type does.
type LabelType string

const (
	LabelNone LabelType = "none" // no label column
	LabelID   LabelType = "id"   // the WordNet id, n02123045
	LabelName LabelType = "name" // the name, tabby
	LabelBoth LabelType = "both" // n02123045 tabby
)

// ParseLabelType accepts "none", "id", "name" and "both".
func ParseLabelType(s string) (LabelType, error) {
	switch l := LabelType(s); l {
	case LabelNone, LabelID, LabelName, LabelBoth:
		return l, nil
	}
	return "", fmt.Errorf("label type: expected none, id, name or both, got %q", s)
}

func (t LabelType) of(p labels.Prediction) string {
	switch t {
	case LabelID:
		return p.ID
	case LabelName:
		return p.Name
	case LabelBoth:
		return p.ID + " " + p.Name
	}
	return ""
}

// Record is the answer to one image: a row of the output.
type Record struct {
	Index int64  // the image's place in the whole input, from 0
	Path  string // the file, or archive.tar/member, as [EscapePath] writes it
	Kept  []any  // the image's row of each of [Schema.Kept]: see [Kept]
	// The classes that answer the image, best first: see [classify.Answer]. There may be none,
	// where a model has several labels an image.
	Classes []int64
	Labels  []string  // their labels; nil with LabelNone
	Scores  []float32 // their probabilities, or logits with Columns.Logits
	// Values are the image's row of each of [Schema.Outputs], in its type and shape.
	Values []tensor.Tensor
	Error  string // why there is no answer; empty when there is one
}
