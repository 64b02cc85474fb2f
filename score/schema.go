package score

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kerasrun/contract"
	"kerasrun/tensor"
)

// The words that [Columns.Outputs] may hold beside names of outputs. An output of that very name
// goes before Probs and Features.
const (
	// Top is the classes that answer an image, with their probabilities or logits.
	Top = "top"
	// Probs is those, and every class's probability, after the activation of logits; of a binary
	// output the one sigmoid.
	Probs = "probs"
	// Features is the output of that name, of a signature of that name.
	Features = contract.OutputFeatures
)

// Columns are what is to be kept of each image. The zero value is the model's answer: its classes,
// or the values where it tells no classes.
type Columns struct {
	// Outputs are Top, Probs, and names of outputs of one signature. None is Top, or, where the
	// answer is of a kind without classes, that output.
	Outputs  []string
	Top      int       // how many classes of probabilities or logits; 0 is 5
	Labels   LabelType // "" is LabelName
	Logits   bool      // logits in place of probabilities
	Separate bool      // class_0, class_1, ... in place of one list
}

// complete returns the columns with their zero values replaced, or what is wrong with them.
func (c Columns) complete() (Columns, error) {
	if c.Top < 0 {
		return c, fmt.Errorf("top: expected 0 or more, got %d", c.Top)
	}
	c.Top = cmp.Or(c.Top, 5)
	var err error
	c.Labels, err = ParseLabelType(string(cmp.Or(c.Labels, LabelName)))
	for i, name := range c.Outputs {
		if name == "" || slices.Contains(c.Outputs[:i], name) {
			err = errors.Join(err, fmt.Errorf("outputs: expected names, each once, got %q", c.Outputs))
			break
		}
	}
	return c, err
}

// Schema says which columns an output has, in this order in every format: index, path, Kept, those
// of the classes, Outputs, error. It is the same for every row.
type Schema struct {
	// Top is how many classes a row has at most; 0: there are no such columns.
	Top int `json:"top"`
	// Kind of the classes: probabilities, binary or multilabel; "" where there are none. That of
	// logits is what their activation makes of them.
	Kind     string    `json:"kind"`
	Labels   LabelType `json:"labels"` // LabelNone leaves the label columns out
	Logits   bool      `json:"logits"`
	Separate bool      `json:"separate"`
	Outputs  []Column  `json:"outputs"`
	Kept     []Kept    `json:"kept,omitempty"` // of the input
}

// Column holds a row of an output for each image.
type Column struct {
	Name  string       `json:"name"`
	DType string       `json:"dtype"` // NumPy's name of the type
	Shape tensor.Shape `json:"shape"` // of an image; -1 is free, null a number of dimensions not known
}

func (c Column) dtype() tensor.DType {
	d, _ := tensor.ParseDType(c.DType) // it was checked when it was read
	return d
}

// length is how many numbers an image has; -1 where that is free.
func (c Column) length() int {
	n, err := c.Shape.Elements()
	if err != nil {
		return -1
	}
	return int(n)
}

// check returns an error for a row that the column cannot hold.
func (c Column) check(t tensor.Tensor) error {
	if t.DType != c.dtype() {
		return fmt.Errorf("column %q: expected %s, got %v", c.Name, c.DType, t.DType)
	}
	if c.Shape != nil {
		if err := c.Shape.Accepts(t.Shape); err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
	}
	return nil
}

// UnmarshalJSON also reads what version 0.1.0 wrote.
func (s *Schema) UnmarshalJSON(data []byte) error {
	type plain Schema
	var read struct {
		plain
		Vector string `json:"vector"` // "top", "probs" or "features"
		Length int64  `json:"length"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*s = Schema(read.plain)
	if read.Vector != "" {
		s.Kind = contract.Probabilities
		if read.Vector == Probs && s.Logits {
			read.Vector = contract.OutputLogits
		}
		if read.Vector != Top {
			s.Outputs = []Column{{read.Vector, tensor.Float32.String(), tensor.Shape{read.Length}}}
		}
	}
	for _, k := range s.Kept {
		if !k.keepable() {
			return fmt.Errorf("kept column %q: expected a type that can be kept, got %q", k.Name, k.Type)
		}
	}
	for _, c := range s.Outputs {
		d, err := tensor.ParseDType(c.DType)
		if err != nil {
			return err
		}
		if _, ok := elements[d]; !ok {
			return fmt.Errorf("column %q: expected numbers, got %s", c.Name, c.DType)
		}
	}
	return nil
}

// What an image's row may have: memory is taken for as many.
const maxTop, maxNumbers = 1 << 20, 1 << 28

// validate returns an error for columns, as a file says that they are, that no output has.
func (s Schema) validate(f outputFormat) error {
	if s.Top < 0 || s.Top > maxTop {
		return fmt.Errorf("top: expected 0 to %d, got %d", maxTop, s.Top)
	}
	if _, err := ParseLabelType(string(s.Labels)); err != nil {
		return err
	}
	numbers, names := 0, map[string]bool{}
	for _, c := range s.Outputs {
		for _, n := range c.Shape {
			if n < -1 {
				return fmt.Errorf(
					"column %q: expected sizes of 0 or more, -1 where one is free, got %v", c.Name, c.Shape)
			}
		}
		if numbers += max(c.length(), 0); c.length() > maxNumbers || numbers > maxNumbers {
			return fmt.Errorf("column %q: expected a row of at most %d numbers, got more", c.Name,
				maxNumbers)
		}
		if names[c.Name] {
			return fmt.Errorf("expected each column once, got %q twice", c.Name)
		}
		names[c.Name] = true
	}
	return errors.Join(s.check(f), s.checkKept())
}

// checkRecord returns an error for a row, as it was read, that the columns cannot hold.
func (s Schema) checkRecord(r Record) error {
	if r.Error != "" {
		return nil
	}
	if s.hasTop() {
		n := len(r.Classes)
		fewest := 1
		if s.severalLabels() {
			fewest = 0
		}
		if n < fewest || n > s.Top {
			return fmt.Errorf("expected %d to %d classes or an error, got %d", fewest, s.Top, n)
		}
		if len(r.Scores) != n || s.hasLabels() && len(r.Labels) != n {
			return fmt.Errorf("expected a %s and a label for each of %d classes, got %d and %d",
				s.score(), n, len(r.Scores), len(r.Labels))
		}
	}
	for i, c := range s.Outputs {
		if err := c.check(r.Values[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s Schema) String() string {
	text, _ := json.Marshal(s) // it has nothing that JSON does not
	return string(text)
}

func (s Schema) hasTop() bool    { return s.Top > 0 }
func (s Schema) hasLabels() bool { return s.hasTop() && s.Labels != LabelNone }

// severalLabels says whether an image may have any number of classes.
func (s Schema) severalLabels() bool { return s.Kind == contract.Multilabel }

// score names the columns of the classes' numbers.
func (s Schema) score() string {
	if s.Logits {
		return "logit"
	}
	return "probability"
}

// check returns an error where a format cannot hold the columns of the classes and the outputs.
func (s Schema) check(f outputFormat) error {
	taken := []string{"index", "path", "class", "label", s.score(), "error"}
	for _, c := range s.Outputs {
		switch {
		case slices.Contains(taken, c.Name):
			return &UsageError{fmt.Sprintf("output %q: expected a name other than those of the "+
				"columns %q", c.Name, taken)}
		case f == formatCSV && (len(c.Shape) > 1 || c.length() < 0):
			return &UsageError{fmt.Sprintf("output %q: expected one row of numbers an image, which a "+
				".csv can hold, got shape %v: write .jsonl, .parquet or .npz", c.Name, c.Shape)}
		case f == formatNPZ && c.length() < 0:
			return &UsageError{fmt.Sprintf("output %q: expected a known shape, as an array in .npz "+
				"has, got %v: write .jsonl or .parquet", c.Name, c.Shape)}
		}
	}
	return nil
}

// checkKept returns an error where a kept column has the name of another column, in any format.
func (s Schema) checkKept() error {
	taken := []string{"index", "path", "class", "label", s.score(), "error"}
	taken = append(taken, csvHeader(Schema{Top: s.Top, Labels: s.Labels, Logits: s.Logits})...)
	for _, c := range s.Outputs {
		taken = append(taken, c.Name, c.Name+"_shape")
	}
	ofOutput := func(name string) bool { // NAME_0, NAME_1, ..., of which there may be millions
		return slices.ContainsFunc(s.Outputs, func(c Column) bool {
			number, ok := strings.CutPrefix(name, c.Name+"_")
			k, err := strconv.Atoi(number)
			return ok && err == nil && k >= 0 && k < c.length() && strconv.Itoa(k) == number
		})
	}
	for i, k := range s.Kept {
		for _, other := range s.Kept[:i] {
			if k.Name == other.Name {
				return &UsageError{fmt.Sprintf("keep: expected each name once, got %q twice: "+
					"--keep COLUMN=NAME gives one another name", k.Name)}
			}
		}
		if slices.Contains(taken, k.Name) || ofOutput(k.Name) {
			return &UsageError{fmt.Sprintf("keep: expected names other than those of the output's own "+
				"columns, got %q: --keep COLUMN=NAME gives it another name, as input_%[1]s", k.Name)}
		}
	}
	return nil
}
