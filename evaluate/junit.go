package evaluate

import (
	"fmt"
	"io"

	"kerasrun/internal/junit"
)

// Thresholds are the least values that a model must reach, each from 0 to 1. What is nil is not
// asked for.
type Thresholds struct {
	Top1, TopK, MacroRecall *float64
}

// Check is one threshold with what was reached.
type Check struct {
	Name string // of the metric
	Min  float64
	Got  float64
}

// OK says whether the threshold is reached.
func (c Check) OK() bool { return c.Got >= c.Min }

// String says what was expected and what came.
func (c Check) String() string {
	return fmt.Sprintf("%s: expected at least %g, got %.6g", c.Name, c.Min, c.Got)
}

// Checks compares a report with thresholds.
func (t Thresholds) Checks(r *Report) (checks []Check) {
	for _, one := range []struct {
		name string
		min  *float64
		got  float64
	}{
		{"top-1", t.Top1, r.Top1},
		{fmt.Sprintf("top-%d", r.K), t.TopK, r.TopK},
		{"macro recall", t.MacroRecall, r.Macro.Recall},
	} {
		if one.min != nil {
			checks = append(checks, Check{one.name, *one.min, one.got})
		}
	}
	return checks
}

// WriteJUnit writes JUnit's XML, for what reads test results in a CI: a test case for each
// threshold, and one for whether every image was answered.
func (r *Report) WriteJUnit(w io.Writer, checks []Check) error {
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
			"first: %s", r.Failed, r.Failed+r.Images, r.firstFailure())
	}
	add("every image answered", fmt.Sprintf("%d answered, %d failed", r.Images, r.Failed),
		unanswered)
	for _, c := range checks {
		missed := ""
		if !c.OK() {
			missed = fmt.Sprintf("%v over %d images", c, r.Images)
		}
		add(fmt.Sprintf("%s is at least %g", c.Name, c.Min),
			fmt.Sprintf("%s: %.6g", c.Name, c.Got), missed)
	}
	return junit.Write(w, suite)
}
