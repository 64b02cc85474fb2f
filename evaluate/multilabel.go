package evaluate

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"kerasrun/classify"
	"kerasrun/labels"
	"kerasrun/score"
)

// MultilabelMetrics say how good answers of several labels an image are. Each number is that of
// scikit-learn's function of the same name over (images, classes), with zero_division=0.
type MultilabelMetrics struct {
	Images         int64   `json:"images"`          // that were answered
	SubsetAccuracy float64 `json:"subset_accuracy"` // accuracy_score: all labels right, none more
	HammingLoss    float64 `json:"hamming_loss"`    // hamming_loss: labels that are wrong
	Micro          Scores  `json:"micro"`           // of all labels of all images
	Macro          Scores  `json:"macro"`           // means over the classes
	Weighted       Scores  `json:"weighted"`        // means over the labels that images have
	// average_precision_score with average="micro" and "macro", of probabilities. A class that no
	// image has counts as 0.
	MicroAveragePrecision float64           `json:"micro_average_precision"`
	MacroAveragePrecision float64           `json:"macro_average_precision"`
	Classes               []MultilabelClass `json:"classes"` // in the order of the output
}

// MultilabelClass is one class of the model.
type MultilabelClass struct {
	Class
	AveragePrecision float64 `json:"average_precision"` // average_precision_score
}

// MultilabelCounts keeps what [MultilabelCounts.Metrics] needs: 5 bytes for each class of each
// image, for average precision is of all probabilities in their order.
type MultilabelCounts struct {
	images, subset           int64
	probabilities            [][]float32 // of each class, by image
	truth                    [][]bool
	support, answered, right []int64
}

// NewMultilabelCounts returns counts over so many classes.
func NewMultilabelCounts(classes int) *MultilabelCounts {
	return &MultilabelCounts{
		probabilities: make([][]float32, classes), truth: make([][]bool, classes),
		support: make([]int64, classes), answered: make([]int64, classes),
		right: make([]int64, classes),
	}
}

// Add counts one image: the probability of each class, whether the model answers it, and whether
// the image has it.
func (c *MultilabelCounts) Add(probabilities []float32, answer, truth []bool) error {
	classes := len(c.support)
	for _, n := range []int{len(probabilities), len(answer), len(truth)} {
		if n != classes {
			return fmt.Errorf("expected %d values, one a class, got %d", classes, n)
		}
	}
	c.images++
	if slices.Equal(answer, truth) {
		c.subset++
	}
	for i := range classes {
		c.probabilities[i] = append(c.probabilities[i], probabilities[i])
		c.truth[i] = append(c.truth[i], truth[i])
		c.support[i] += one(truth[i])
		c.answered[i] += one(answer[i])
		c.right[i] += one(truth[i] && answer[i])
	}
	return nil
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// Metrics returns the metrics of what was added. Without an image all are 0. Classes have names
// where there are as many labels.
func (c *MultilabelCounts) Metrics(l labels.Labels) MultilabelMetrics {
	m := MultilabelMetrics{Images: c.images, SubsetAccuracy: ratio(c.subset, c.images)}
	var support, answered, correct int64
	var all []Class
	for i := range c.support {
		class := Class{
			ClassName: className(l, i), Support: c.support[i], Answered: c.answered[i],
			Correct: c.right[i], Scores: scores(c.right[i], c.answered[i], c.support[i]),
		}
		support, answered = support+class.Support, answered+class.Answered
		correct += class.Correct
		all = append(all, class)
		precision := averagePrecision(c.probabilities[i], c.truth[i])
		m.MacroAveragePrecision += precision / float64(len(c.support))
		m.Classes = append(m.Classes, MultilabelClass{class, precision})
	}
	m.Micro = scores(correct, answered, support)
	m.Macro = mean(all, func(Class) float64 { return 1 })
	m.Weighted = mean(all, func(c Class) float64 { return float64(c.Support) })
	m.HammingLoss = ratio(support+answered-2*correct, c.images*int64(len(c.support)))
	m.MicroAveragePrecision = averagePrecision(slices.Concat(c.probabilities...),
		slices.Concat(c.truth...))
	return m
}

// averagePrecision is average_precision_score: the precision at each different probability, from
// the largest, times the recall that comes with it; 0 where nothing is true.
func averagePrecision(probabilities []float32, truth []bool) (sum float64) {
	order := make([]int, len(truth))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(probabilities[b], probabilities[a])
	})
	var found, before, all int64
	for _, yes := range truth {
		all += one(yes)
	}
	for i, at := range order {
		found += one(truth[at])
		if i+1 < len(order) && probabilities[order[i+1]] == probabilities[at] {
			continue
		}
		sum += ratio(found-before, all) * ratio(found, int64(i+1))
		before = found
	}
	return sum
}

// MultilabelReport is what an evaluation of several labels an image found.
type MultilabelReport struct {
	Outcome
	MultilabelMetrics
	Wrong []WrongSet `json:"wrong"` // images with a wrong label, the most confident first
}

// WrongSet is an image whose labels are not those of the answer.
type WrongSet struct {
	Path   string      `json:"path"`   // as [score.EscapePath] writes it
	Missed []ClassName `json:"missed"` // labels that the answer lacks
	Extra  []ClassName `json:"extra"`  // labels of the answer that the image has not
	// The largest difference between a wrong label's probability and 0 or 1, what it should be.
	Difference float32 `json:"difference"`

	file  string
	order int64
}

func (w WrongSet) rank() (float64, int64) { return float64(w.Difference), w.order }

// RunMultilabel is [Run] for a model that gives an image several labels, on the data of [Sets].
// What the model answers are the classes over their thresholds.
func RunMultilabel(
	ctx context.Context, c *classify.Classifier, l labels.Labels, d *Data, o Options,
) (*MultilabelReport, error) {
	classes, err := classesOf(c, l)
	if err != nil {
		return nil, err
	}
	sets, t, err := d.sets(classes, l, cmp.Or(o.LabelType, LabelAuto))
	if err != nil {
		return nil, err
	}
	place := map[string]int64{}
	for i, text := range d.labels {
		place[text] = int64(i)
	}
	counts := NewMultilabelCounts(classes)
	wrong := worst[WrongSet]{most: cmp.Or(o.Wrong, 50)}
	r := &MultilabelReport{Outcome: Outcome{Data: d.Name, LabelType: t.as, Failures: []Failure{}}}
	index := func(image labelled) (int64, bool) {
		i, ok := place[image.label]
		return i, ok
	}
	add := func(image classify.Image, given classify.Row) (failure, err error) {
		row, err := c.Probabilities(given)
		if err != nil {
			return err, nil
		}
		answered, err := c.AnswerRow(given, classes)
		if err != nil {
			return err, nil
		}
		answer, truth := make([]bool, classes), sets[image.Index]
		for _, p := range answered.Predictions {
			answer[p.Index] = true
		}
		w := WrongSet{Path: score.EscapePath(image.Name), Missed: []ClassName{},
			Extra: []ClassName{}, file: image.Name, order: counts.images}
		for class := range classes {
			switch {
			case truth[class] && !answer[class]:
				w.Missed = append(w.Missed, className(l, class))
				w.Difference = max(w.Difference, 1-row[class])
			case answer[class] && !truth[class]:
				w.Extra = append(w.Extra, className(l, class))
				w.Difference = max(w.Difference, row[class])
			}
		}
		if len(w.Missed)+len(w.Extra) > 0 {
			wrong.add(w)
		}
		return nil, counts.Add(row, answer, truth)
	}
	if err := r.answer(ctx, c, d, o, index, add); err != nil {
		return nil, err
	}
	r.MultilabelMetrics = counts.Metrics(l)
	r.Wrong = wrong.sorted()
	return r, nil
}
