package evaluate

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"kerasrun/classify"
	"kerasrun/labels"
	"kerasrun/score"
)

// RegressionMetrics say how near a model's numbers are. Each is that of scikit-learn's function of
// the same name, in float64; over several values the mean of theirs.
type RegressionMetrics struct {
	Images int64 `json:"images"` // that were answered
	Errors
	Values []Value `json:"values"` // of the model, in the order of its output
}

// Errors are the differences of numbers from the truth.
type Errors struct {
	MAE  float64 `json:"mae"`  // mean_absolute_error
	RMSE float64 `json:"rmse"` // root_mean_squared_error
	// r2_score: 1 where all is right, 0 where it is no better than the mean of the truth. Nil of
	// fewer than two images, of which it is not defined.
	R2 *float64 `json:"r2"`
}

// Value is one number of the model's answer.
type Value struct {
	ClassName
	Errors
}

// RegressionCounts keeps the numbers of each image.
type RegressionCounts struct{ got, truth [][]float64 } // of each value, by image

// NewRegressionCounts returns counts over so many values an image.
func NewRegressionCounts(values int) *RegressionCounts {
	return &RegressionCounts{make([][]float64, values), make([][]float64, values)}
}

// Add counts one image: the model's numbers, and those that are true.
func (c *RegressionCounts) Add(got []float32, truth []float64) error {
	if len(got) != len(c.got) || len(truth) != len(c.got) {
		return fmt.Errorf("expected %d numbers, got %d of the model and %d that are true",
			len(c.got), len(got), len(truth))
	}
	for i := range c.got {
		c.got[i] = append(c.got[i], float64(got[i]))
		c.truth[i] = append(c.truth[i], truth[i])
	}
	return nil
}

// Metrics returns the metrics of what was added. Values have names where there are as many labels.
func (c *RegressionCounts) Metrics(l labels.Labels) RegressionMetrics {
	m := RegressionMetrics{Images: int64(len(c.got[0]))}
	n := float64(len(c.got))
	if len(l) != len(c.got) {
		l = nil
	}
	total := 0.0
	for i := range c.got {
		e := errorsOf(c.got[i], c.truth[i])
		m.MAE, m.RMSE = m.MAE+e.MAE/n, m.RMSE+e.RMSE/n
		if e.R2 != nil {
			total += *e.R2 / n
			m.R2 = &total
		}
		m.Values = append(m.Values, Value{className(l, i), e})
	}
	return m
}

func errorsOf(got, truth []float64) (e Errors) {
	n := float64(len(got))
	if n == 0 {
		return e
	}
	var squares, mean, spread float64
	for i, x := range truth {
		d := got[i] - x
		e.MAE += math.Abs(d) / n
		squares += d * d
		mean += x / n
	}
	e.RMSE = math.Sqrt(squares / n)
	for _, x := range truth {
		spread += (x - mean) * (x - mean)
	}
	if n < 2 {
		return e
	}
	r2 := 0.0
	switch {
	case squares == 0:
		r2 = 1
	case spread > 0:
		r2 = 1 - squares/spread
	}
	e.R2 = &r2
	return e
}

// RegressionReport is what an evaluation of numbers found.
type RegressionReport struct {
	Outcome
	RegressionMetrics
	Wrong []WrongNumbers `json:"wrong"` // the images with the largest differences, these first
}

// WrongNumbers is an image with the model's numbers and those that are true.
type WrongNumbers struct {
	Path       string    `json:"path"` // as [score.EscapePath] writes it
	Answer     []float32 `json:"answer"`
	Truth      []float64 `json:"truth"`
	Difference float64   `json:"difference"` // the largest

	file  string
	order int64
}

func (w WrongNumbers) rank() (float64, int64) { return w.Difference, w.order }

// RunRegression is [Run] for a model that answers with numbers, on the data of [Numbers].
func RunRegression(
	ctx context.Context, c *classify.Classifier, l labels.Labels, d *Data, o Options,
) (*RegressionReport, error) {
	values := len(d.columns)
	if shape := c.Shape(0); len(shape) == 1 && shape[0] >= 0 && shape[0] != int64(values) {
		return nil, fmt.Errorf("%s: expected a column of numbers for each of the model's %d "+
			"values, in their order, got %d: %q", d.Name, shape[0], values, d.columns)
	}
	counts := NewRegressionCounts(values)
	wrong := worst[WrongNumbers]{most: cmp.Or(o.Wrong, 50)}
	r := &RegressionReport{Outcome: Outcome{Data: d.Name, Failures: []Failure{}}}
	number := int64(-1)
	index := func(labelled) (int64, bool) {
		number++
		return number, number < int64(len(d.numbers))
	}
	add := func(image classify.Image, given classify.Row) (failure, err error) {
		answer, err := c.AnswerRow(given, 0)
		if err != nil {
			return err, nil
		}
		got, err := answer.Values.ConvertFloat32()
		if err != nil {
			return nil, err
		}
		truth := d.numbers[image.Index]
		if len(got) != len(truth) {
			return nil, fmt.Errorf("%s: expected a column of numbers for each of the model's %d "+
				"values, in their order, got %d: %q", d.Name, len(got), len(truth), d.columns)
		}
		w := WrongNumbers{Path: score.EscapePath(image.Name), Answer: got, Truth: truth,
			file: image.Name, order: image.Index}
		for i, x := range truth {
			w.Difference = max(w.Difference, math.Abs(float64(got[i])-x))
		}
		if math.IsInf(w.Difference, 0) {
			return fmt.Errorf("expected finite numbers, got %v", got), nil
		}
		if w.Difference > 0 {
			wrong.add(w)
		}
		return nil, counts.Add(got, truth)
	}
	if err := r.answer(ctx, c, d, o, index, add); err != nil {
		return nil, err
	}
	r.RegressionMetrics = counts.Metrics(l)
	r.Wrong = wrong.sorted()
	return r, nil
}
