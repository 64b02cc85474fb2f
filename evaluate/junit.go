package evaluate

import (
	"fmt"
	"io"
	"math"

	"kerasrun/internal/junit"
)

// Thresholds are the values that a model must reach: each at least, but for MAE and RMSE, which are
// at most. What is nil is not asked for.
type Thresholds struct {
	Top1, TopK, MacroRecall                         *float64
	SubsetAccuracy, MicroF1, MacroF1, MeanPrecision *float64
	MAE, RMSE, R2                                   *float64
}

// Check is one threshold with what was reached.
type Check struct {
	Name   string // of the metric
	Min    float64
	Got    float64
	AtMost bool // Min is the largest that is allowed
}

// OK says whether the threshold is reached.
func (c Check) OK() bool {
	if c.AtMost {
		return c.Got <= c.Min
	}
	return c.Got >= c.Min
}

// Bound is the threshold in words.
func (c Check) Bound() string {
	if c.AtMost {
		return fmt.Sprintf("at most %g", c.Min)
	}
	return fmt.Sprintf("at least %g", c.Min)
}

// String says what was expected and what came.
func (c Check) String() string {
	return fmt.Sprintf("%s: expected %s, got %.6g", c.Name, c.Bound(), c.Got)
}

// Checks compares a report with thresholds.
func (r *Report) Checks(t Thresholds) []Check {
	return checks(
		threshold{"top-1", t.Top1, r.Top1, false},
		threshold{fmt.Sprintf("top-%d", r.K), t.TopK, r.TopK, false},
		threshold{"macro recall", t.MacroRecall, r.Macro.Recall, false},
	)
}

// Checks compares a report with thresholds.
func (r *MultilabelReport) Checks(t Thresholds) []Check {
	return checks(
		threshold{"subset accuracy", t.SubsetAccuracy, r.SubsetAccuracy, false},
		threshold{"micro F1", t.MicroF1, r.Micro.F1, false},
		threshold{"macro F1", t.MacroF1, r.Macro.F1, false},
		threshold{"macro recall", t.MacroRecall, r.Macro.Recall, false},
		threshold{"mean average precision", t.MeanPrecision, r.MacroAveragePrecision, false},
	)
}

// Checks compares a report with thresholds. An R2 that is not defined reaches none.
func (r *RegressionReport) Checks(t Thresholds) []Check {
	r2 := math.Inf(-1)
	if r.R2 != nil {
		r2 = *r.R2
	}
	return checks(
		threshold{"MAE", t.MAE, r.MAE, true}, threshold{"RMSE", t.RMSE, r.RMSE, true},
		threshold{"R2", t.R2, r2, false},
	)
}

type threshold struct {
	name   string
	bound  *float64
	got    float64
	atMost bool
}

// checks are those that are asked for.
func checks(all ...threshold) (checks []Check) {
	for _, t := range all {
		if t.bound != nil {
			checks = append(checks, Check{t.name, *t.bound, t.got, t.atMost})
		}
	}
	return checks
}

// WriteJUnit writes JUnit's XML, for what reads test results in a CI: a test case for each
// threshold, and one for whether every image was answered.
func (r *Report) WriteJUnit(w io.Writer, checks []Check) error {
	return r.writeJUnit(w, r.Images, checks)
}

// WriteJUnit writes JUnit's XML as [Report.WriteJUnit] does.
func (r *MultilabelReport) WriteJUnit(w io.Writer, checks []Check) error {
	return r.writeJUnit(w, r.Images, checks)
}

// WriteJUnit writes JUnit's XML as [Report.WriteJUnit] does.
func (r *RegressionReport) WriteJUnit(w io.Writer, checks []Check) error {
	return r.writeJUnit(w, r.Images, checks)
}

func (r *Outcome) writeJUnit(w io.Writer, images int64, checks []Check) error {
	suite := junit.Suite{Name: r.Model + " on " + r.Data}
	add := func(name, output, failed string) {
		c := junit.Case{Class: "kerasrun.evaluate", Name: name, Output: output}
		if failed != "" {
			c.Failure = &junit.Failure{Message: failed}
		}
		suite.Cases = append(suite.Cases, c)
	}
	unanswered := ""
	if r.Failed > 0 {
		unanswered = fmt.Sprintf("expected an answer to every image, got none to %d of %d; the "+
			"first: %s", r.Failed, r.Failed+images, r.firstFailure())
	}
	add("every image answered", fmt.Sprintf("%d answered, %d failed", images, r.Failed),
		unanswered)
	for _, c := range checks {
		missed := ""
		if !c.OK() {
			missed = fmt.Sprintf("%v over %d images", c, images)
		}
		add(fmt.Sprintf("%s is %s", c.Name, c.Bound()),
			fmt.Sprintf("%s: %.6g", c.Name, c.Got), missed)
	}
	return junit.Write(w, suite)
}
