package golden

import (
	"fmt"
	"math"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/tensor"
)

// Agreement counts whose classes are the reference's.
type Agreement struct {
	// Of says what is counted: "classes", cases by their best class and their K best in order;
	// "decisions", cases by which of their values are over the thresholds; "pixels", each by its
	// class.
	Of    string `json:"of"`
	K     int    `json:"k"` // 1 but of classes
	Cases int    `json:"cases"`
	Top1  int    `json:"top_1"`
	TopK  int    `json:"top_k"`
}

// share is the part of the cases whose class is the reference's.
func (a *Agreement) share() float64 { return float64(a.Top1) / float64(a.Cases) }

// count counts one case, or pixel.
func (a *Agreement) count(top1, topK bool) {
	a.Cases++
	if top1 {
		a.Top1++
	}
	if topK {
		a.TopK++
	}
}

// agreed says what of an output of a shape, without the batch, agrees; "" where it has no classes.
func agreed(o contract.Output, shape tensor.Shape) string {
	switch {
	case o.Kind == contract.Map && len(shape) == 3 && shape[2] > 0:
		return "pixels"
	case len(shape) != 1 || shape[0] == 0:
		return ""
	}
	switch o.ActivatedKind(shape) {
	case contract.Probabilities:
		return "classes"
	case contract.Binary, contract.Multilabel:
		return "decisions"
	}
	return ""
}

// agree counts whether the classes of one case are the reference's. Those that are not are a
// failure, but where the tolerance itself leaves them open; unit is what it is relative to.
func (s *stage) agree(o contract.Output, name string, got, want tensor.Tensor, k int,
	unit float64) {
	of := agreed(o, want.Shape)
	if of == "" {
		return
	}
	g, err := numbers(got)
	if err != nil {
		s.fail(name, err)
		return
	}
	w, err := numbers(want)
	if err != nil {
		s.fail(name, err)
		return
	}
	if s.Agreement == nil {
		s.Agreement = &Agreement{Of: of, K: 1}
	}
	switch of {
	case "pixels":
		s.pixels(int(want.Shape[2]), g, w)
	case "decisions":
		s.decisions(o, name, g, w, unit)
	default:
		s.rank(name, narrowed(g), narrowed(w), k, unit)
	}
}

// rank counts whether the best class and the best k, in their order, are the reference's. Two
// classes may change places where the reference has them within twice the tolerance.
func (s *stage) rank(name string, got, want []float32, k int, unit float64) {
	k = min(k, len(want))
	s.Agreement.K = k
	ranked, err := labels.Top(got, k, nil)
	if err != nil {
		s.Agreement.count(false, false)
		s.fail(name, err)
		return
	}
	wanted, err := labels.Top(want, k, nil)
	if err != nil {
		s.Agreement.count(false, false)
		s.fail(name, fmt.Errorf("reference: %w", err))
		return
	}
	same := 0
	for same < k && ranked[same].Index == wanted[same].Index {
		same++
	}
	s.Agreement.count(same > 0, same == k)
	for i := same; i < k; i++ {
		g, w := ranked[i].Index, wanted[i].Index
		apart := math.Abs(float64(want[g])-float64(want[w])) / unit
		if g != w && !(apart <= 2*s.Tolerance) {
			s.fail(name, fmt.Errorf("expected class %d in place %d, got class %d", w, i+1, g))
			return
		}
	}
}

// decisions counts whether the same values are over their thresholds, as Keras's BinaryAccuracy has
// it. One may be on the other side where the reference is within the tolerance of its threshold.
func (s *stage) decisions(o contract.Output, name string, got, want []float64, unit float64) {
	threshold := func(i int) float64 {
		switch {
		case o.Kind == contract.Logits: // whose sigmoid is 0.5
			return 0
		case i < len(o.Thresholds):
			return o.Thresholds[i]
		}
		return o.Thresholds[0]
	}
	same := true
	for i, w := range want {
		t := threshold(i)
		if got[i] > t == (w > t) {
			continue
		}
		same = false
		if !(math.Abs(w-t)/unit <= s.Tolerance) {
			s.fail(name, fmt.Errorf("expected value %d on the side of its threshold %v on which "+
				"%.6g is, got %.6g", i, t, w, got[i]))
		}
	}
	s.Agreement.count(same, same)
}

// pixels counts the pixels of the same class: that of the largest of their values, or whether the
// only one is over 0.5.
func (s *stage) pixels(classes int, got, want []float64) {
	class := func(values []float64) int {
		if classes == 1 {
			if values[0] > 0.5 {
				return 1
			}
			return 0
		}
		best := 0
		for c, x := range values {
			if x > values[best] {
				best = c
			}
		}
		return best
	}
	for at := 0; at < len(want); at += classes {
		same := class(got[at:at+classes]) == class(want[at:at+classes])
		s.Agreement.count(same, same)
	}
}

func narrowed(values []float64) []float32 {
	narrow := make([]float32, len(values))
	for i, x := range values {
		narrow[i] = float32(x)
	}
	return narrow
}
