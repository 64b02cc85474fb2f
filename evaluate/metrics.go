package evaluate

import (
	"cmp"
	"math"
	"slices"

	"kerasrun/labels"
)

// Metrics say how good a model's answers are. Each number is that of scikit-learn's function of the
// same name, with zero_division=0.
type Metrics struct {
	Images int64   `json:"images"` // that were answered; all numbers are over these
	Top1   float64 `json:"top1"`   // accuracy_score
	K      int     `json:"k"`
	TopK   float64 `json:"topk"` // top_k_accuracy_score
	// Means over the classes that an image has or was answered with: each class counts the same.
	Macro Scores `json:"macro"`
	// Means over the images: each class counts as often as images have it.
	Weighted    Scores      `json:"weighted"`
	Calibration Calibration `json:"calibration"`
	Classes     []Class     `json:"classes"` // every class of the model, in the order of its output
	// Confusion has the places of the confusion matrix that are not 0, ordered by truth, answer.
	Confusion []Confusion `json:"confusion"`
}

// Scores are precision_recall_fscore_support.
type Scores struct {
	Precision float64 `json:"precision"` // of the answers with the class, how many are right
	Recall    float64 `json:"recall"`    // of the images of the class, how many got this answer
	F1        float64 `json:"f1"`        // the harmonic mean of the two
}

// Class is one class of the model.
type Class struct {
	ClassName
	Scores
	Support  int64 `json:"support"`  // images that have the class
	Answered int64 `json:"answered"` // images that the model answered with it
	Correct  int64 `json:"correct"`  // images that are both
}

// occurs says whether an image has the class or was answered with it.
func (c Class) occurs() bool { return c.Support > 0 || c.Answered > 0 }

// ClassName is a class by its index in the model's output, with the id and name that it has.
type ClassName struct {
	Index int    `json:"index"`
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
}

// Confusion is how many images of one class were answered with one class.
type Confusion struct {
	Truth  int   `json:"truth"` // index of the class
	Answer int   `json:"answer"`
	Images int64 `json:"images"`
}

// Calibration says how far the probability of an answer is the share of such answers that are
// right.
type Calibration struct {
	// The mean over the images of |accuracy - confidence| of their bin, the sums of
	// calibration_curve with 15 uniform bins over the answer's probability.
	ExpectedError float64 `json:"expected_calibration_error"`
	LogLoss       float64 `json:"log_loss"` // log_loss of float32 probabilities
	Brier         float64 `json:"brier"`    // brier_score_loss
	Bins          []Bin   `json:"bins"`     // all of them, also those without an image
}

// Bin is the answers whose probability is over From and up to To.
type Bin struct {
	From       float64 `json:"from"`
	To         float64 `json:"to"`
	Images     int64   `json:"images"`
	Confidence float64 `json:"confidence"` // mean probability of the answers; 0 without images
	Accuracy   float64 `json:"accuracy"`   // share of the answers that are right; 0 without images
}

// Metrics returns the metrics of what was added. Without an image all are 0. Classes have names
// where there are as many labels.
func (c *Counts) Metrics(l labels.Labels) Metrics {
	m := Metrics{Images: c.images, K: c.topK, Calibration: c.calibration()}
	var right int64
	for i, support := range c.support {
		class := Class{
			ClassName: className(l, i), Support: support, Answered: c.answered[i],
			Correct: c.correct[i], Scores: scores(c.correct[i], c.answered[i], support),
		}
		right += c.correct[i]
		m.Classes = append(m.Classes, class)
	}
	m.Top1, m.TopK = ratio(right, c.images), ratio(c.correctK, c.images)
	m.Macro = mean(m.Classes, func(c Class) float64 {
		if c.occurs() {
			return 1
		}
		return 0
	})
	m.Weighted = mean(m.Classes, func(c Class) float64 { return float64(c.Support) })
	m.Confusion = make([]Confusion, 0, len(c.confusion))
	for at, images := range c.confusion {
		m.Confusion = append(m.Confusion, Confusion{at.truth, at.answer, images})
	}
	slices.SortFunc(m.Confusion, func(a, b Confusion) int {
		return cmp.Or(cmp.Compare(a.Truth, b.Truth), cmp.Compare(a.Answer, b.Answer))
	})
	return m
}

func className(l labels.Labels, i int) ClassName {
	if i >= len(l) {
		return ClassName{Index: i}
	}
	return ClassName{i, l[i].ID, l[i].Name}
}

func scores(correct, answered, support int64) Scores {
	return Scores{
		Precision: ratio(correct, answered), Recall: ratio(correct, support),
		F1: ratio(2*correct, answered+support),
	}
}

// ratio is a / b, and 0 where b is 0.
func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// mean is the mean of the classes' scores, each with its weight.
func mean(classes []Class, weight func(Class) float64) (s Scores) {
	var all float64
	for _, c := range classes {
		w := weight(c)
		all += w
		s.Precision += w * c.Precision
		s.Recall += w * c.Recall
		s.F1 += w * c.F1
	}
	if all > 0 {
		s.Precision, s.Recall, s.F1 = s.Precision/all, s.Recall/all, s.F1/all
	}
	return s
}

func (c *Counts) calibration() Calibration {
	var k Calibration
	for i, b := range c.bins {
		out := Bin{From: float64(i) / Bins, To: float64(i+1) / Bins, Images: b.images}
		if b.images > 0 {
			out.Confidence = b.confidence / float64(b.images)
			out.Accuracy = ratio(b.correct, b.images)
			share := ratio(b.images, c.images)
			k.ExpectedError += share * math.Abs(out.Accuracy-out.Confidence)
		}
		k.Bins = append(k.Bins, out)
	}
	if c.images > 0 {
		k.LogLoss = c.logLoss / float64(c.images)
		k.Brier = c.brier / float64(c.images)
	}
	if len(c.support) == 2 {
		k.Brier /= 2 // scikit-learn's scale_by_half="auto"
	}
	return k
}

// Confused returns the largest places off the diagonal of the confusion matrix, at most n, the
// largest first; equals are in the order of truth, answer.
func (m Metrics) Confused(n int) []Confusion {
	wrong := slices.DeleteFunc(slices.Clone(m.Confusion), func(c Confusion) bool {
		return c.Truth == c.Answer
	})
	slices.SortStableFunc(wrong, func(a, b Confusion) int {
		return cmp.Compare(b.Images, a.Images)
	})
	return wrong[:min(n, len(wrong))]
}
