package score

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"kerasrun/object"
)

// Report says how a run went, for people. It stands beside the output as OUT.report.json and, to be
// looked at, as OUT.report.html. Of a run that was resumed it counts every image, but the time and
// the slowest images are those of the process that finished it.
type Report struct {
	Output        string            `json:"output"`
	Model         string            `json:"model"` // its directory
	ModelID       string            `json:"model_sha256"`
	Preprocessing string            `json:"preprocessing"`
	Machine       string            `json:"machine"`
	Versions      map[string]string `json:"versions"`
	Shard         string            `json:"shard"` // I/N

	Images   int64 `json:"images"`
	Answered int64 `json:"answered"`
	Failed   int64 `json:"failed"`
	LeftOut  int64 `json:"left_out"` // of the failed ones, with --on-error skip
	Resumed  int64 `json:"resumed"`  // what earlier processes had done

	Started  time.Time `json:"started"` // of the first process
	Finished time.Time `json:"finished"`
	Seconds  float64   `json:"seconds"` // that the last process took, without loading the model

	Reasons []Reason         `json:"reasons"` // of failures, the most frequent first
	Skipped map[string]int64 `json:"skipped"` // entries of the inputs that are no images, by reason
	// Classes says how many images have each class as their best, the most frequent first.
	Classes []ClassCount `json:"classes"`
	// Confidence counts images by the probability of their best class, in 20 steps of 0.05; none
	// where the output holds no probabilities.
	Confidence []int64 `json:"confidence"`
	Slowest    []Slow  `json:"slowest"` // to read and decode
}

// Reason is a kind of failure.
type Reason struct {
	// Reason is the error without what differs from image to image: N stands for a number, … for
	// the image's path.
	Reason   string    `json:"reason"`
	Images   int64     `json:"images"`
	Examples []Failure `json:"examples"` // the first three
}

// Failure is an image without an answer.
type Failure struct {
	Path  string `json:"path"` // as [EscapePath] writes it
	Error string `json:"error"`
}

// ClassCount is how often a class answers an image.
type ClassCount struct {
	Class
	Images int64 `json:"images"`
}

// Slow is an image that took long to read and decode.
type Slow struct {
	Path    string  `json:"path"`
	Seconds float64 `json:"seconds"`
}

// Milliseconds is the time.
func (s Slow) Milliseconds() float64 { return 1000 * s.Seconds }

const (
	reasonExamples   = 3
	maxReasonKinds   = 100 // more are counted as one
	confidenceSteps  = 20
	slowestImages    = 10
	otherReasons     = "other reasons"
	reportSuffix     = ".report.json"
	reportPageSuffix = ".report.html"
)

// ReportPath is where the report of an output stands; its page ends in .html.
func ReportPath(output string) string { return output + reportSuffix }

// Page is where the page of the report is.
func (r *Report) Page() string { return r.Output + reportPageSuffix }

// Rate is how many images a second the last process answered; 0 where it answered none.
func (r *Report) Rate() float64 {
	if done := r.Images - r.Resumed; done > 0 && r.Seconds > 0 {
		return float64(done) / r.Seconds
	}
	return 0
}

// Summary is the run in one sentence.
func (r *Report) Summary() string {
	words := fmt.Sprintf("%d images, %d scored, %d failed", r.Images, r.Answered, r.Failed)
	if skipped := describeSkipped(r.Skipped); skipped != "" {
		words += ", " + skipped
	}
	if rate := r.Rate(); rate > 0 {
		words += fmt.Sprintf(", in %s (%.1f/s)", readable(r.Seconds), rate)
	}
	return words
}

// readable is a time as people read it.
func readable(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", seconds)
	}
	return d.Round(time.Second).String()
}

// reporter makes a report from the rows of an output.
type reporter struct {
	schema  Schema
	report  Report
	reasons map[string]*Reason
	classes map[Class]int64
}

func newReporter(s Schema) *reporter {
	r := &reporter{schema: s, reasons: map[string]*Reason{}, classes: map[Class]int64{}}
	if s.hasTop() && !s.Logits {
		r.report.Confidence = make([]int64, confidenceSteps)
	}
	return r
}

// add counts a row.
func (r *reporter) add(record Record) {
	if record.Error != "" {
		r.fail(Failure{record.Path, record.Error})
		return
	}
	if !r.schema.hasTop() {
		return
	}
	r.classes[record.class(0)]++
	if r.report.Confidence != nil && len(record.Scores) > 0 {
		step := int(record.Scores[0] * confidenceSteps)
		r.report.Confidence[min(max(step, 0), confidenceSteps-1)]++
	}
}

var digits = regexp.MustCompile(`[0-9]+`)

// fail counts a failure by its reason.
func (r *reporter) fail(f Failure) {
	reason := digits.ReplaceAllString(strings.ReplaceAll(f.Error, f.Path, "…"), "N")
	if r.reasons[reason] == nil && len(r.reasons) >= maxReasonKinds {
		reason = otherReasons
	}
	r.count(Reason{reason, 1, []Failure{f}})
}

// count adds failures to those of their reason.
func (r *reporter) count(more Reason) {
	known := r.reasons[more.Reason]
	if known == nil {
		known = &Reason{Reason: more.Reason}
		r.reasons[more.Reason] = known
	}
	known.Images += more.Images
	missing := min(reasonExamples-len(known.Examples), len(more.Examples))
	known.Examples = append(known.Examples, more.Examples[:missing]...)
}

// merge adds what the report of a shard has. Its entries that were passed over are those of the
// whole input, which every shard goes through.
func (r *reporter) merge(shard Report) {
	for _, reason := range shard.Reasons {
		r.count(reason)
	}
	for _, c := range shard.Classes {
		r.classes[c.Class] += c.Images
	}
	for i := range r.report.Confidence {
		r.report.Confidence[i] += at(shard.Confidence, i)
	}
	r.report.Slowest = slowest(append(r.report.Slowest, shard.Slowest...))
	r.report.Model, r.report.Machine, r.report.Skipped = shard.Model, shard.Machine, shard.Skipped
	r.report.Seconds += shard.Seconds
	r.report.Resumed += shard.Resumed
}

// done is the report with everything that was counted, the most frequent first.
func (r *reporter) done() *Report {
	report := &r.report
	report.Reasons, report.Classes = []Reason{}, []ClassCount{}
	for _, reason := range r.reasons {
		report.Reasons = append(report.Reasons, *reason)
	}
	slices.SortFunc(report.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Images, a.Images), cmp.Compare(a.Reason, b.Reason))
	})
	for class, n := range r.classes {
		report.Classes = append(report.Classes, ClassCount{class, n})
	}
	slices.SortFunc(report.Classes, func(a, b ClassCount) int {
		return cmp.Or(cmp.Compare(b.Images, a.Images), cmp.Compare(a.Index, b.Index))
	})
	if report.Slowest == nil {
		report.Slowest = []Slow{}
	}
	return report
}

// describe takes over what the output's manifest says.
func (r *Report) describe(output string, m Manifest) {
	r.Output, r.ModelID, r.Preprocessing = output, m.Header.Model, m.Header.Preprocessing
	r.Shard, r.Started, r.Finished, r.Versions = m.Header.Shard, m.Header.Started, m.Finished,
		m.Versions
	r.Images, r.Answered, r.Failed, r.LeftOut = m.Images, m.Answered, m.Failed, m.Skipped
}

// slowest sorts images by their time and keeps the first few.
func slowest(images []Slow) []Slow {
	slices.SortStableFunc(images, func(a, b Slow) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return images[:min(len(images), slowestImages)]
}

// write writes the report beside its output, as JSON and as a page.
func (r *Report) write() error {
	err := object.Write(context.Background(), r.Output+reportSuffix, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	})
	if err != nil {
		return err
	}
	return object.Write(context.Background(), r.Output+reportPageSuffix, r.WritePage)
}

// ReadReport reads the report of an output.
func ReadReport(output string) (*Report, error) {
	data, err := object.ReadFile(context.Background(), ReportPath(output))
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", ReportPath(output), err)
	}
	return r, nil
}
