package score

import (
	"cmp"
	"errors"
	"fmt"

	"kerasrun/labels"
)

// Outputs says what a run keeps of each image.
type Outputs string

const (
	Top      Outputs = "top"      // the k best classes with their probabilities, or logits
	Probs    Outputs = "probs"    // those, and every class's probability, or logit
	Features Outputs = "features" // the pooled features instead
)

// ParseOutputs accepts "top", "probs" and "features".
func ParseOutputs(s string) (Outputs, error) {
	switch o := Outputs(s); o {
	case Top, Probs, Features:
		return o, nil
	}
	return "", fmt.Errorf("outputs: expected top, probs or features, got %q", s)
}

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
	Index   int64     // the image's place in the whole input, from 0
	Path    string    // the file, or archive.tar/member, as [EscapePath] writes it
	Classes []int64   // the best classes, best first
	Labels  []string  // their labels; nil with LabelNone
	Scores  []float32 // their probabilities, or logits with Columns.Logits
	// every class's probability or logit (Probs), or the pooled features (Features)
	Vector []float32
	Error  string // why there is no answer; empty when there is one
}

// Columns is the shape of an output: which columns there are. It is the same for every row.
type Columns struct {
	Top      int       `json:"top"`      // k; 0 with Features
	Labels   LabelType `json:"labels"`   // LabelNone leaves the label columns out
	Vector   Outputs   `json:"vector"`   // Probs or Features where there is such a column, else Top
	Length   int       `json:"length"`   // of the vector
	Logits   bool      `json:"logits"`   // logits in place of probabilities
	Separate bool      `json:"separate"` // class_0, class_1, ... in place of one list
}

// complete returns the columns with their zero values replaced, or what is wrong with them.
func (c Columns) complete() (Columns, error) {
	var err1, err2 error
	c.Vector, err1 = ParseOutputs(string(cmp.Or(c.Vector, Top)))
	c.Labels, err2 = ParseLabelType(string(cmp.Or(c.Labels, LabelName)))
	switch {
	case c.Vector == Features:
		c.Top = 0
	case c.Top == 0:
		c.Top = 5
	case c.Top < 0:
		return c, fmt.Errorf("top: expected 0 or more, got %d", c.Top)
	}
	return c, errors.Join(err1, err2)
}

func (c Columns) hasTop() bool    { return c.Top > 0 }
func (c Columns) hasLabels() bool { return c.hasTop() && c.Labels != LabelNone }
func (c Columns) hasVector() bool { return c.Vector != Top }

// score and vector name the columns of numbers.
func (c Columns) score() string {
	if c.Logits {
		return "logit"
	}
	return "probability"
}

func (c Columns) vector() string {
	if c.Vector == Probs && c.Logits {
		return "logits"
	}
	return string(c.Vector)
}
