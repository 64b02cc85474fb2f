package score

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// recorder makes a record of each image of a batch that was run.
type recorder struct {
	classifier *classify.Classifier
	schema     Schema
	format     outputFormat
	values     []value // of each of the schema's outputs
}

// value is where a column's row comes from.
type value struct {
	place         int // in [classify.Row]
	probabilities bool
}

// recorder returns what makes the columns, in a format.
func (m Model) recorder(
	c Columns, f outputFormat, o classify.Options,
) (*recorder, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	manifest := m.SavedModel().Manifest
	if manifest == nil {
		return nil, classify.ErrNoImages
	}
	s := selection{Columns: c, model: m, manifest: manifest,
		standard: m.SavedModel().DefaultSignature()}
	if err := s.choose(); err != nil {
		return nil, err
	}
	o.Signature, o.Outputs = s.key, s.names
	classifier, err := classify.New(m.Model, o)
	if err != nil {
		return nil, err
	}
	r := &recorder{classifier, Schema{Labels: c.Labels, Logits: c.Logits, Separate: c.Separate,
		Outputs: []Column{}}, f, s.values}
	if s.top {
		r.schema.Kind = s.answer.ActivatedKind(classifier.Shape(0))
		r.schema.Top = topOf(r.schema.Kind, classifier.Classes(), c.Top)
	} else {
		r.schema.Labels, r.schema.Logits, r.schema.Separate = LabelNone, false, false
	}
	for i, v := range s.values {
		column, err := columnOf(s.columns[i], s.signature.Outputs[s.names[v.place]])
		if err != nil {
			return nil, err
		}
		r.schema.Outputs = append(r.schema.Outputs, column)
	}
	return r, r.schema.check(f)
}

// topOf is how many classes a row has at most. top bounds those that exclude each other.
func topOf(kind string, classes, top int) int {
	switch {
	case kind == contract.Binary:
		return 2
	case classes < 1:
		return top
	case kind == contract.Multilabel:
		return classes
	}
	return min(top, classes)
}

func columnOf(name string, info savedmodel.TensorInfo) (Column, error) {
	d, ok := written(info.DType)
	if !ok {
		return Column{}, &UsageError{fmt.Sprintf("output %q: expected numbers, got %v", name, info.DType)}
	}
	c := Column{Name: name, DType: d.String()}
	if len(info.Shape) > 0 {
		c.Shape = append(tensor.Shape{}, info.Shape[1:]...)
	}
	return c, nil
}

// selection is the outputs of a signature that columns come from.
type selection struct {
	Columns
	model     Model
	manifest  *contract.Manifest
	standard  string // the key of the signature that answers
	key       string
	signature savedmodel.Signature

	top     bool
	answer  contract.Output // with top
	names   []string        // of the outputs that are run; the answer is the first with top
	columns []string        // the names of the columns
	values  []value
}

// hasClasses says whether outputs of a kind tell classes.
func hasClasses(kind string) bool {
	return slices.Contains([]string{contract.Probabilities, contract.Logits, contract.Binary,
		contract.Multilabel}, kind)
}

func (s *selection) choose() error {
	if err := s.chooseSignature(); err != nil {
		return err
	}
	asked := s.Outputs
	if len(asked) == 0 {
		var err error
		if asked, err = s.byKind(); err != nil {
			return err
		}
	}
	if err := s.chooseAnswer(asked); err != nil {
		return err
	}
	for _, name := range asked {
		if name == Top {
			continue
		}
		source, probabilities := name, false
		if _, ok := s.signature.Outputs[name]; name == Probs && (!ok || s.Logits) {
			source, probabilities = s.answer.Name, !s.Logits
			if s.Logits {
				name = contract.OutputLogits
			}
		}
		if slices.Contains(s.columns, name) {
			return &UsageError{fmt.Sprintf("outputs: %q: expected each column once, got %q twice",
				s.Outputs, name)}
		}
		s.columns = append(s.columns, name)
		s.values = append(s.values, value{s.place(source), probabilities})
	}
	return nil
}

// place is where an output is among those that are run.
func (s *selection) place(name string) int {
	if at := slices.Index(s.names, name); at >= 0 {
		return at
	}
	s.names = append(s.names, name)
	return len(s.names) - 1
}

// chooseSignature takes the one that answers, or the first other that has all outputs.
func (s *selection) chooseSignature() error {
	var named []string
	for _, name := range s.Outputs {
		if name != Top && name != Probs {
			named = append(named, name)
		}
	}
	others := slices.Sorted(maps.Keys(s.manifest.Outputs))
	if len(named) != len(s.Outputs) { // the answer is the standard one's
		others = nil
	}
	var choices []string
	for _, key := range append([]string{s.standard}, others...) {
		signature, err := s.model.Signature(key)
		if err != nil && key == s.standard {
			return err
		}
		if err != nil {
			continue
		}
		missing := func(name string) bool { _, ok := signature.Outputs[name]; return !ok }
		if !slices.ContainsFunc(named, missing) {
			s.key, s.signature = key, signature
			return nil
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.manifest.Outputs)) {
		var names []string
		for _, o := range s.manifest.Outputs[key] {
			names = append(names, o.Name)
		}
		choices = append(choices, fmt.Sprintf("%s: %s", key, strings.Join(names, ", ")))
	}
	return &UsageError{fmt.Sprintf("outputs: expected top, probs or names of outputs of one "+
		"signature (%s), got %q", strings.Join(choices, "; "), s.Outputs)}
}

// byKind is what is kept where nothing was asked for.
func (s *selection) byKind() ([]string, error) {
	answer := s.manifest.Output(s.standard, s.manifest.Answer)
	choices := slices.Sorted(maps.Keys(s.signature.Outputs))
	switch {
	case answer == nil:
		return nil, &UsageError{fmt.Sprintf("outputs: the model's manifest says of no output that it "+
			"answers an image: expected --outputs with some of %q", choices)}
	case hasClasses(answer.Kind):
		return []string{Top}, nil
	case answer.Kind == contract.Map:
		return nil, &UsageError{fmt.Sprintf("outputs: %q is a map, of many numbers an image: expected "+
			"--outputs with some of %q", answer.Name, choices)}
	}
	return []string{answer.Name}, nil
}

// chooseAnswer finds the output whose classes are kept, where they are.
func (s *selection) chooseAnswer(asked []string) error {
	_, named := s.signature.Outputs[Probs]
	s.top = slices.Contains(asked, Top) || slices.Contains(asked, Probs)
	if !s.top {
		if s.Logits {
			return &UsageError{fmt.Sprintf("output type: expected logits with top or probs, got them "+
				"with %q", asked)}
		}
		return nil
	}
	answer := s.manifest.Output(s.standard, s.manifest.Answer)
	if s.Logits && (answer == nil || answer.Kind != contract.Logits) {
		answer = s.manifest.Output(s.standard, contract.OutputLogits)
		if answer == nil || answer.Kind != contract.Logits {
			return &UsageError{"output type: expected a model with logits, got one without"}
		}
	}
	if answer != nil && hasClasses(answer.Kind) {
		s.answer = *answer
		s.place(answer.Name)
		if s.Logits && s.answer.Activation != "softmax" {
			return &UsageError{fmt.Sprintf("output type: expected logits of a softmax, got %q of a %s: "+
				"--outputs %[1]s writes its numbers", answer.Name, s.answer.Activation)}
		}
		return nil
	}
	if named && !slices.Contains(asked, Top) { // the output has that name by chance
		s.top = false
		return nil
	}
	kind := "none"
	if answer != nil {
		kind = fmt.Sprintf("%q, a %s", answer.Name, answer.Kind)
	}
	return &UsageError{fmt.Sprintf("outputs: top and probs: expected a model whose answer tells "+
		"classes, got %s: name some of its outputs %q", kind,
		slices.Sorted(maps.Keys(s.signature.Outputs)))}
}

// records returns a record for each image of a batch that was run.
func (r *recorder) records(b *classify.Batch) []Record {
	records := make([]Record, len(b.Images))
	for i, image := range b.Images {
		record := Record{Index: image.Index, Path: EscapePath(image.Name)}
		if err := r.fill(&record, b.Rows[i], b.Errors[i]); err != nil {
			record = Record{Index: record.Index, Path: record.Path}
			// a text in every format, though a path in it is bytes
			record.Error = strings.ToValidUTF8(
				strings.ReplaceAll(err.Error(), image.Name, record.Path), "\ufffd")
		}
		records[i] = record
	}
	return records
}

// fill puts into a record what the columns keep of a row. The error is the image's, or of a number
// that has no meaning or no place in the format.
func (r *recorder) fill(record *Record, row classify.Row, failure error) error {
	if failure != nil {
		return failure
	}
	if r.schema.hasTop() {
		top, err := r.top(row)
		if err != nil {
			return err
		}
		record.Classes, record.Scores = make([]int64, len(top)), make([]float32, len(top))
		for i, p := range top {
			record.Classes[i], record.Scores[i] = int64(p.Index), p.Probability
		}
		if r.schema.hasLabels() {
			record.Labels = make([]string, len(top))
			for i, p := range top {
				record.Labels[i] = r.schema.Labels.of(p)
			}
		}
		scores := tensor.Tensor{Data: record.Scores}
		if i := infinite(scores); i >= 0 && r.format == formatJSONL {
			return errInfinite(r.schema.score(), i)
		}
	}
	for i, v := range r.values {
		t, err := r.value(v, row)
		if err != nil {
			return err
		}
		column := r.schema.Outputs[i]
		if err := column.check(t); err != nil {
			return err
		}
		if at := infinite(t); at >= 0 && r.format == formatJSONL {
			return errInfinite(column.Name, at)
		}
		record.Values = append(record.Values, t)
	}
	return nil
}

func errInfinite(column string, at int) error {
	return fmt.Errorf("column %q: number %d is infinite, for which JSON has no number: .parquet, "+
		".npz and .csv hold it", column, at)
}

// value returns the row of a column, in which no number is NaN.
func (r *recorder) value(v value, row classify.Row) (tensor.Tensor, error) {
	if v.probabilities {
		values, err := r.classifier.Probabilities(row)
		if err != nil {
			return tensor.Tensor{}, err
		}
		if row[0].Shape[0] == 1 { // of a binary output it has both
			values = values[len(values)-1:]
		}
		return tensor.New(tensor.Shape{int64(len(values))}, values)
	}
	o := contract.Output{Name: r.classifier.Outputs()[v.place].Name, Kind: contract.Tensor}
	answer, err := classify.AnswerOf(o, nil, row[v.place], 1)
	if err != nil {
		return tensor.Tensor{}, err
	}
	return toWrite(answer.Values)
}

// top returns the classes of a row, with their probabilities or, with Logits, their logits.
func (r *recorder) top(row classify.Row) ([]labels.Prediction, error) {
	if r.schema.Logits {
		values, err := row[0].ConvertFloat32()
		if err != nil {
			return nil, err
		}
		l := r.classifier.Labels()
		if len(l) != len(values) {
			l = nil
		}
		return labels.Top(values, r.schema.Top, l)
	}
	answer, err := r.classifier.AnswerRow(row, cmp.Or(r.schema.Top, 1))
	return answer.Predictions, err
}
