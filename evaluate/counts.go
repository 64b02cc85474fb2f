package evaluate

import (
	"fmt"
	"math"
	"sort"
)

// Bins is the number of equal-width bins of confidence in which calibration is measured.
const Bins = 15

// cell is a place of the confusion matrix.
type cell struct{ truth, answer int }

// bin adds up the images whose confidence lies in one part of 0 to 1.
type bin struct {
	images, correct int64
	confidence      float64 // the sum
}

// Counts adds up what [Counts.Metrics] needs of each image. Its memory grows with the classes and
// with the pairs of classes that are confused, not with the images.
type Counts struct {
	topK                       int
	images, correctK           int64
	support, answered, correct []int64 // of each class
	confusion                  map[cell]int64
	bins                       [Bins]bin
	logLoss, brier             float64 // sums
}

// NewCounts returns counts over so many classes. An image is right in its top k where its class is
// among the k most probable ones.
func NewCounts(classes, k int) *Counts {
	return &Counts{
		topK: k, confusion: map[cell]int64{},
		support: make([]int64, classes), answered: make([]int64, classes),
		correct: make([]int64, classes),
	}
}

// Add counts one image: the probability of each class, the class that the model answers, and the
// class that the image has. The answer is the most probable class, or with two classes the one on
// its side of a threshold.
func (c *Counts) Add(probabilities []float32, answer, truth int) error {
	classes := len(c.support)
	if len(probabilities) != classes {
		return fmt.Errorf("expected %d probabilities, one a class, got %d", classes,
			len(probabilities))
	}
	for _, class := range []int{answer, truth} {
		if class < 0 || class >= classes {
			return fmt.Errorf("expected a class from 0 to %d, got %d", classes-1, class)
		}
	}
	c.images++
	c.support[truth]++
	c.answered[answer]++
	c.confusion[cell{truth, answer}]++
	confidence := float64(probabilities[answer])
	b := &c.bins[binOf(confidence)]
	b.images++
	b.confidence += confidence
	if answer == truth {
		c.correct[truth]++
		b.correct++
	}
	// with a threshold the answer may not be the most probable class
	if answer == truth || c.topK > 1 && rank(probabilities, truth) < c.topK {
		c.correctK++
	}
	c.logLoss += logLoss(probabilities[truth])
	for class, p := range probabilities {
		d := float64(p)
		if class == truth {
			d--
		}
		c.brier += d * d
	}
	return nil
}

// rank is how many classes stand before one in the order of [labels.Top], which is also that of
// scikit-learn's top_k_accuracy_score: of two equals the later class comes first.
func rank(probabilities []float32, class int) (before int) {
	for i, p := range probabilities {
		if p > probabilities[class] || p == probabilities[class] && i > class {
			before++
		}
	}
	return before
}

// innerEdges are where one bin ends and the next begins, as np.linspace(0, 1, Bins+1) has them.
var innerEdges = func() (edges [Bins - 1]float64) {
	for i := range edges {
		edges[i] = float64(i+1) * (1.0 / Bins)
	}
	return edges
}()

// binOf is the bin of a confidence. Its upper edge belongs to a bin, as in scikit-learn's
// calibration_curve.
func binOf(confidence float64) int { return sort.SearchFloat64s(innerEdges[:], confidence) }

// epsilon is float32's: scikit-learn's log_loss keeps probabilities of that type so far from 0 and
// from 1.
const epsilon = 0x1p-23

// logLoss is the loss of one image whose class has that probability.
func logLoss(p float32) float64 {
	return -math.Log(min(max(float64(p), epsilon), 1-epsilon))
}
