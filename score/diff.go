package score

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
)

// Difference is what two outputs over the same images disagree in.
type Difference struct {
	Images int64 `json:"pictures"` // in both
	OnlyA  int64 `json:"only_a"`
	OnlyB  int64 `json:"only_b"`
	Errors int64 `json:"errors"` // answered in one, failed in the other
	// TopFlips are images whose best class is another, or, of a model with several labels an image,
	// whose labels are others.
	TopFlips int64 `json:"top_flips"`
	SetFlips int64 `json:"set_flips"` // the same top class, other classes among the top k
	// Flips says how often each class became each other, the most frequent first.
	Flips []Flip  `json:"flips"`
	Max   float64 `json:"max_difference"`
	Mean  float64 `json:"mean_difference"` // of each image's largest difference
	// Outputs has the largest difference of a number of each output by name, and of the classes'
	// probabilities or logits.
	Outputs map[string]float64 `json:"outputs"`
	// Histogram counts images by their largest difference, in powers of ten.
	Histogram []DifferenceStep `json:"histogram"`
	Worst     []Case           `json:"worst"` // the images that differ most, worst first
	Tolerance float64          `json:"tolerance"`
	MaxFlips  Limit            `json:"-"` // how many images may flip
}

// Class is a class with its label; without labels that is "".
type Class struct {
	Index int64  `json:"class"` // -1: none
	Label string `json:"label"`
}

// Flip is a class that became another. With several labels an image one side is none: the class was
// lost, or came.
type Flip struct {
	From   Class `json:"from"`
	To     Class `json:"to"`
	Images int64 `json:"pictures"`
}

// DifferenceStep is how many images differ by more than the step before and at most UpTo.
type DifferenceStep struct {
	UpTo   float64 `json:"up_to"`
	Images int64   `json:"images"`
}

// Case is one image in two outputs.
type Case struct {
	Index  int64   `json:"index"`
	Path   string  `json:"path"`
	TopA   int64   `json:"top_a"` // -1 where there is none
	TopB   int64   `json:"top_b"`
	LabelA string  `json:"label_a"`
	LabelB string  `json:"label_b"`
	ScoreA float32 `json:"score_a"` // the probability, or logit, of each one's best class
	ScoreB float32 `json:"score_b"`
	// the largest, over the probabilities of the best classes, and over the outputs' numbers
	Difference float64 `json:"difference"`
	Flipped    bool    `json:"flipped"` // see Difference.TopFlips
	ErrorA     string  `json:"error_a"` // why an output has no answer; "" where it has one
	ErrorB     string  `json:"error_b"`
}

// OK tells whether the outputs agree: the same images answered, no more top classes flipped than
// MaxFlips allows, nothing beyond the tolerance, no NaN.
func (d Difference) OK() bool {
	return d.OnlyA == 0 && d.OnlyB == 0 && d.Errors == 0 &&
		!d.MaxFlips.Exceeded(d.TopFlips, d.Images) && d.Max <= d.Tolerance
}

const worstCases = 10

// differenceSteps end those of the histogram. A NaN is in the last.
var differenceSteps = []float64{
	0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, math.MaxFloat64,
}

// Diff compares two outputs, of any of the formats, that hold the same columns. Both are read once,
// side by side, in the order of the images' indices. It calls each, if that is not nil, with every
// image of either.
func Diff(a, b string, tolerance float64, each func(Case) error) (d Difference, err error) {
	d.Tolerance, d.Outputs, d.Flips = tolerance, map[string]float64{}, []Flip{}
	for _, step := range differenceSteps {
		d.Histogram = append(d.Histogram, DifferenceStep{UpTo: step})
	}
	if each == nil {
		each = func(Case) error { return nil }
	}
	schemaA, recordsA, err := ReadOutput(a)
	if err != nil {
		return d, err
	}
	schemaB, recordsB, err := ReadOutput(b)
	if err != nil {
		return d, err
	}
	if x, y := comparable(schemaA), comparable(schemaB); !slices.Equal(x, y) {
		return d, fmt.Errorf("expected outputs of the same columns; %s has %q, %s has %q", a, x, b, y)
	}
	m := measure{Difference: &d, schema: schemaA, flips: map[[2]Class]int64{}}
	nextA, stopA := iter.Pull2(recordsA)
	defer stopA()
	nextB, stopB := iter.Pull2(recordsB)
	defer stopB()
	var sum float64
	ra, err, okA := nextA()
	if err != nil {
		return d, err
	}
	rb, err, okB := nextB()
	if err != nil {
		return d, err
	}
	for okA || okB {
		order := cmp.Compare(ra.Index, rb.Index)
		switch {
		case !okB || okA && order < 0:
			d.OnlyA++
			if err := each(Case{Index: ra.Index, Path: ra.Path, TopA: ra.class(0).Index, TopB: -1,
				ErrorB: "not in " + b}); err != nil {
				return d, err
			}
			ra, err, okA = nextA()
		case !okA || order > 0:
			d.OnlyB++
			if err := each(Case{Index: rb.Index, Path: rb.Path, TopA: -1, TopB: rb.class(0).Index,
				ErrorA: "not in " + a}); err != nil {
				return d, err
			}
			rb, err, okB = nextB()
		default:
			if ra.Path != rb.Path {
				return d, fmt.Errorf(
					"image %d: %s has %s, %s has %s: not outputs over the same input", ra.Index, a,
					ra.Path, b, rb.Path)
			}
			c, fault := m.add(ra, rb)
			if fault = cmp.Or(fault, each(c)); fault != nil {
				return d, fault
			}
			sum += c.Difference
			if ra, err, okA = nextA(); err == nil {
				rb, err, okB = nextB()
			}
		}
		if err != nil {
			return d, err
		}
	}
	if d.Images > 0 {
		d.Mean = sum / float64(d.Images)
	}
	m.listFlips()
	return d, nil
}

// comparable names the columns that two outputs must have in common.
func comparable(s Schema) []string {
	var names []string
	if s.hasTop() {
		names = append(names, s.score())
	}
	for _, c := range s.Outputs {
		names = append(names, c.Name)
	}
	return names
}

// measure takes the images of two outputs one by one.
type measure struct {
	*Difference
	schema Schema
	flips  map[[2]Class]int64
}

// add counts one image.
func (m *measure) add(a, b Record) (Case, error) {
	m.Images++
	c := Case{Index: a.Index, Path: a.Path, ScoreA: at(a.Scores, 0), ScoreB: at(b.Scores, 0),
		ErrorA: a.Error, ErrorB: b.Error}
	bestA, bestB := a.class(0), b.class(0)
	c.TopA, c.LabelA, c.TopB, c.LabelB = bestA.Index, bestA.Label, bestB.Index, bestB.Label
	if a.Error != "" || b.Error != "" {
		if (a.Error == "") != (b.Error == "") {
			m.Errors++
		}
		return c, nil
	}
	if m.schema.hasTop() {
		m.found("", classesDiffer(a, b, m.schema), &c)
	}
	for i, column := range m.schema.Outputs {
		x, y := a.Values[i], b.Values[i]
		if !slices.Equal(x.Shape, y.Shape) {
			return c, fmt.Errorf("image %d, %s: output %q: expected one shape in both, got %v and %v",
				a.Index, a.Path, column.Name, x.Shape, y.Shape)
		}
		m.found(column.Name, largest(floats(x), floats(y)), &c)
	}
	c.Flipped = m.countFlips(a, b)
	step := slices.IndexFunc(m.Histogram,
		func(s DifferenceStep) bool { return c.Difference <= s.UpTo })
	if step < 0 { // NaN
		step = len(m.Histogram) - 1
	}
	m.Histogram[step].Images++
	if c.Difference != 0 || c.Flipped {
		m.Worst = append(m.Worst, c)
		slices.SortStableFunc(m.Worst,
			func(x, y Case) int { return cmp.Compare(y.Difference, x.Difference) })
		m.Worst = m.Worst[:min(len(m.Worst), worstCases)]
	}
	return c, nil
}

// found notes a difference of an output, or of the classes' numbers. The built-in max keeps a NaN,
// which is within no tolerance.
func (m *measure) found(output string, difference float64, c *Case) {
	output = cmp.Or(output, m.schema.score())
	m.Outputs[output] = max(m.Outputs[output], difference)
	c.Difference = max(c.Difference, difference)
	m.Max = max(m.Max, difference)
}

// countFlips says whether an image's classes flipped.
func (m *measure) countFlips(a, b Record) bool {
	if m.schema.severalLabels() {
		lost, came := missingFrom(b, a), missingFrom(a, b)
		for _, class := range lost {
			m.flips[[2]Class{class, noClass}]++
		}
		for _, class := range came {
			m.flips[[2]Class{noClass, class}]++
		}
		if len(lost)+len(came) == 0 {
			return false
		}
		m.TopFlips++
		return true
	}
	if x, y := a.class(0), b.class(0); x.Index != y.Index {
		m.TopFlips++
		m.flips[[2]Class{x, y}]++
		return true
	}
	if !sameSet(a.Classes, b.Classes) {
		m.SetFlips++
	}
	return false
}

// listFlips sorts the flips that were counted.
func (m *measure) listFlips() {
	for pair, n := range m.flips {
		m.Flips = append(m.Flips, Flip{pair[0], pair[1], n})
	}
	slices.SortFunc(m.Flips, func(x, y Flip) int {
		return cmp.Or(cmp.Compare(y.Images, x.Images), cmp.Compare(x.From.Index, y.From.Index),
			cmp.Compare(x.To.Index, y.To.Index))
	})
}

var noClass = Class{Index: -1}

// class is a record's k-th class.
func (r Record) class(k int) Class {
	if k >= len(r.Classes) {
		return noClass
	}
	return Class{r.Classes[k], at(r.Labels, k)}
}

// missingFrom are the classes of b that a does not have.
func missingFrom(a, b Record) (classes []Class) {
	for k, class := range b.Classes {
		if !slices.Contains(a.Classes, class) {
			classes = append(classes, b.class(k))
		}
	}
	return classes
}

func sameSet(a, b []int64) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// largest is the largest difference of two rows of one length, and no larger than JSON's numbers.
func largest(a, b []float64) (worst float64) {
	for i, x := range a {
		if x != b[i] { // two infinite numbers of one sign have no difference
			worst = max(worst, min(math.Abs(x-b[i]), math.MaxFloat64))
		}
	}
	return worst
}

// classesDiffer is the largest difference of probability over the classes that both have among
// their best. A class that one does not have is at most its last there, but for several labels an
// image, where it may be anything under its threshold: what is known to have moved counts.
func classesDiffer(a, b Record, s Schema) (worst float64) {
	for _, pair := range [][2]Record{{a, b}, {b, a}} {
		has, other := pair[0], pair[1]
		for i, class := range has.Classes {
			k := slices.Index(other.Classes, class)
			switch {
			case k >= 0:
				worst = max(worst, largest([]float64{float64(has.Scores[i])},
					[]float64{float64(other.Scores[k])}))
			case !s.severalLabels() && len(other.Scores) > 0:
				last := float64(other.Scores[len(other.Scores)-1])
				worst = max(worst, float64(has.Scores[i])-last)
			}
		}
	}
	return worst
}
