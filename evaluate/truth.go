package evaluate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kerasrun/labels"
)

// LabelType says what the labels of a data set are.
type LabelType string

const (
	LabelAuto  LabelType = "auto"  // what the model's classes show them to be
	LabelName  LabelType = "name"  // names of classes, tabby
	LabelID    LabelType = "id"    // WordNet ids, n02123045
	LabelIndex LabelType = "index" // places in the model's output, 281
)

// LabelTypes are all of them.
var LabelTypes = []LabelType{LabelAuto, LabelName, LabelID, LabelIndex}

// truth is the class that each label means.
type truth struct {
	as      LabelType
	classes map[string]int
}

// resolve finds the class of each label among the model's classes, which are named by l, or where
// it is nil have no names. It takes the type of label of which all labels are. Where they are of
// several and mean other classes by them, or are of none, it is an error.
func (d *Data) resolve(classes int, l labels.Labels, as LabelType) (truth, error) {
	var possible, all []candidate
	for _, t := range LabelTypes[1:] {
		if as != LabelAuto && as != t {
			continue
		}
		c := newCandidate(t, classes, l, d.labels)
		all = append(all, c)
		if len(c.unknown) == 0 {
			possible = append(possible, c)
		}
	}
	if len(possible) == 0 {
		return truth{}, d.unknownLabels(all, classes, l)
	}
	first := possible[0]
	for _, other := range possible[1:] {
		for _, label := range d.labels {
			if first.classes[label] != other.classes[label] {
				return truth{}, d.contradiction(label, first.truth, other.truth)
			}
		}
	}
	if as == LabelAuto && first.as == LabelIndex && d.unit == "folder" && classes > 10 {
		return truth{}, d.numbered()
	}
	return first.truth, nil
}

// contradiction says of a label that it means one class as one type, and another as another.
func (d *Data) contradiction(label string, a, b truth) error {
	return fmt.Errorf("%s: every label is the %s and the %s of a class, but not of the same one: "+
		"%q is the %s of class %d and the %s of class %d; --label-type says which is meant", d.Name, a.as,
		b.as, label, a.as, a.classes[label], b.as, b.classes[label])
}

// numbered says that folders may be numbered otherwise than the model's output.
func (d *Data) numbered() error {
	return fmt.Errorf("%s: the folders are numbers, %s, and the model's classes have no such names; "+
		"image_dataset_from_directory counts folders in the order of their names, in which "+
		`"10" stands before "2", so that these may be no indices of the model's output; `+
		"--label-type index says that they are", d.Name, Few(d.labels))
}

// candidate is one type of label, with what it makes of a data set's labels.
type candidate struct {
	truth
	unknown   []string // labels that are of no class
	ambiguous string   // why one of them is: the classes that share a name
}

func newCandidate(as LabelType, classes int, l labels.Labels, given []string) candidate {
	c := candidate{truth: truth{as, map[string]int{}}}
	known := map[string]int{}
	shared := map[string][]int{}
	for i, class := range l {
		text := map[LabelType]string{LabelName: class.Name, LabelID: class.ID}[as]
		if as == LabelIndex || text == "" {
			continue
		}
		if first, twice := known[text]; twice {
			shared[text] = append(shared[text], first, i)
		}
		known[text] = i
	}
	for _, label := range given {
		class, ok := known[label]
		if as == LabelIndex {
			class, ok = parseIndex(label, classes)
		}
		if same := shared[label]; same != nil {
			slices.Sort(same)
			ok = false
			c.ambiguous = fmt.Sprintf("; %q is the %s of classes %v, so it says not which", label,
				as, slices.Compact(same))
		}
		if !ok {
			c.unknown = append(c.unknown, label)
			continue
		}
		c.classes[label] = class
	}
	return c
}

// parseIndex reads a number as it is written without need: "7", not "007".
func parseIndex(text string, classes int) (int, bool) {
	i, err := strconv.Atoi(text)
	return i, err == nil && i >= 0 && i < classes && strconv.Itoa(i) == text
}

// unknownLabels says which labels are of no class, by the type of which most are, and which classes
// there are.
func (d *Data) unknownLabels(all []candidate, classes int, l labels.Labels) error {
	best := slices.MinFunc(all, func(a, b candidate) int { return len(a.unknown) - len(b.unknown) })
	var expected string
	switch {
	case best.as == LabelIndex && len(all) == 1:
		expected = fmt.Sprintf("an index from 0 to %d", classes-1)
	case l == nil:
		expected = fmt.Sprintf("an index from 0 to %d, as the model's classes have no names",
			classes-1)
	default:
		of := "name"
		names := make([]string, len(l))
		for i, class := range l {
			names[i] = class.Name
		}
		if best.as == LabelID {
			of = "id"
			for i, class := range l {
				names[i] = class.ID
			}
		}
		expected = fmt.Sprintf("the %s of one of the model's %d classes, %s", of, len(l),
			Few(names))
	}
	what := "each label to be "
	if d.unit == "folder" {
		what = "each folder to be named by "
	}
	return fmt.Errorf("%s: expected %s%s; %d of %d labels are not: %s%s; rename them, or leave "+
		"out what is of no class", d.Name, what, expected, len(best.unknown), len(d.labels),
		Few(best.unknown), best.ambiguous)
}

// Few lists texts for a message, not more than fit one.
func Few(texts []string) string {
	const most = 20
	quoted := make([]string, 0, most)
	for _, text := range texts[:min(most, len(texts))] {
		quoted = append(quoted, strconv.Quote(text))
	}
	list := strings.Join(quoted, ", ")
	if more := len(texts) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
