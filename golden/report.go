package golden

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"kerasrun/internal/junit"
)

// Report is what [Verify] found. Its JSON form is what `kerasrun verify --format json` prints.
type Report struct {
	Pack string `json:"pack"`
	// Precision is that of the model's arithmetic, where the caller sets it.
	Precision string `json:"precision,omitempty"`
	Reference string `json:"reference"`
	// ReferenceKind is the pack's: FunctionReference or ManifestReference.
	ReferenceKind string            `json:"reference_kind"`
	Command       string            `json:"command"`
	Versions      map[string]string `json:"versions"`
	Cases         int               `json:"cases"`
	Stages        []Stage           `json:"stages"`
	Images        []CaseReport      `json:"images"` // of each case, in the pack's order
	Seconds       float64           `json:"seconds"`
	OK            bool              `json:"ok"`
	// Diagnosis says in a sentence what a failure looks like; "" where all is well.
	Diagnosis string `json:"diagnosis,omitempty"`
}

// CaseReport says in which stages a case differs by more than the tolerance, or has another fault.
type CaseReport struct {
	Name   string   `json:"name"`
	Faults []string `json:"faults,omitempty"`
}

// Stage is the comparison of one stage over all cases. Differences are absolute ones between
// elements. Where Relative, they are divided by the largest absolute value of the reference in that
// case, or by 1 where that is less, but of logits and embeddings.
type Stage struct {
	Name string `json:"stage"`
	// Run is how an output was computed: "alone", "batched" or "padded"; "across" compares these
	// three with each other. It is empty for stages of the preprocessing.
	Run   string  `json:"run,omitempty"`
	Cases int     `json:"cases"`
	Max   float64 `json:"max"`
	Mean  float64 `json:"mean"`
	// P99 is the difference that 99 % of the elements do not exceed, rounded up by at most 1/128.
	P99 float64 `json:"p99"`
	// Tolerance is infinite where differences are measured and not judged.
	Tolerance float64    `json:"tolerance"`
	Relative  bool       `json:"relative"`
	Worst     *Worst     `json:"worst,omitempty"`     // the element with the difference Max
	Agreement *Agreement `json:"agreement,omitempty"` // of an output with one value per class
	// Errors are what else is wrong, each with its case's name.
	Errors []string `json:"errors,omitempty"`
	OK     bool     `json:"ok"`
}

// stageJSON is a Stage with numbers that JSON can hold.
type (
	plainStage Stage // without Stage's methods
	stageJSON  struct {
		plainStage
		Max       number `json:"max"`
		Mean      number `json:"mean"`
		P99       number `json:"p99"`
		Tolerance number `json:"tolerance"`
	}
)

// MarshalJSON writes NaN and infinity, which JSON does not have, as the strings "NaN" and
// "Infinity".
func (s Stage) MarshalJSON() ([]byte, error) {
	return json.Marshal(stageJSON{
		plainStage(s), number(s.Max), number(s.Mean), number(s.P99), number(s.Tolerance),
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Stage) UnmarshalJSON(text []byte) error {
	var in stageJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*s = Stage(in.plainStage)
	s.Max, s.Mean = float64(in.Max), float64(in.Mean)
	s.P99, s.Tolerance = float64(in.P99), float64(in.Tolerance)
	return nil
}

// counted names what is counted.
func (a *Agreement) counted() string {
	if a.Of == "pixels" {
		return "pixels"
	}
	return "cases"
}

// label names the stage and the way it was run.
func (s Stage) label() string { return strings.TrimSpace(s.Name + " " + s.Run) }

// faults are the reasons why the stage is not OK, the first few where there are many.
func (s Stage) faults() []string {
	const few = 5
	faults := slices.Clone(s.Errors)
	if len(faults) > few {
		faults = append(faults[:few], fmt.Sprintf("and %d more like these", len(s.Errors)-few))
	}
	if s.Worst == nil && len(faults) == 0 {
		faults = append(faults, "there was nothing to compare")
	}
	if s.Worst != nil && (!(s.Max <= s.Tolerance) || math.IsInf(s.Max, 1)) {
		faults = append(faults,
			fmt.Sprintf("%s: expected %.9g at %v, got %.9g: differs by %.3g, tolerance %s",
				s.Worst.Case, s.Worst.Want, s.Worst.Index, s.Worst.Got,
				s.Max, s.tolerance()))
	}
	return faults
}

func (s Stage) tolerance() string {
	if math.IsInf(s.Tolerance, 1) {
		return "none"
	}
	if s.Relative && s.Tolerance != 0 {
		return fmt.Sprintf("%.3g of max", s.Tolerance)
	}
	return fmt.Sprintf("%.3g", s.Tolerance)
}

// name tells the report from others.
func (r *Report) name() string { return strings.TrimSpace(r.Pack + " " + r.Precision) }

// origin says whose tensors the reference's are.
func (r *Report) origin() string {
	prepared := slices.ContainsFunc(r.Stages, func(s Stage) bool { return s.Run == "" })
	switch {
	case r.ReferenceKind == FunctionReference:
		return "the reference is your own function " + r.Reference
	case !prepared:
		return "the model takes what the pack holds: nothing was assumed about how images are " +
			"prepared"
	}
	return "the reference's tensors were made from the manifest: it shares the manifest's " +
		"assumption about how images were prepared"
}

// String is the report as a table, with the reasons for what failed under it.
func (r *Report) String() string {
	var b strings.Builder
	r.WriteText(&b) // a strings.Builder does not fail
	return b.String()
}

// WriteText writes the report as a table, with the reasons for what failed under it.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d cases of %s\n%s\n\n", r.name(), r.Cases, r.Reference, r.origin())
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	k := 0
	for _, s := range r.Stages {
		if s.Agreement != nil {
			k = max(k, s.Agreement.K)
		}
	}
	topK := ""
	switch {
	case k > 1:
		topK = fmt.Sprintf("\ttop-1\ttop-%d", k)
	case k == 1:
		topK = "\ttop-1\t"
	}
	fmt.Fprintf(table, "stage\tcases\tmax\tmean\t99 %%\ttolerance%s\tok\n", topK)
	for _, s := range r.Stages {
		agreement, ok := "", "ok"
		if s.Agreement != nil {
			agreement = fmt.Sprintf("\t%d/%d\t", s.Agreement.Top1, s.Agreement.Cases)
			if s.Agreement.K > 1 {
				agreement += fmt.Sprintf("%d/%d", s.Agreement.TopK, s.Agreement.Cases)
			}
		} else if k > 0 {
			agreement = "\t\t"
		}
		if !s.OK {
			ok = "FAILED"
		}
		differences := fmt.Sprintf("%.3g\t%.3g\t%.3g", s.Max, s.Mean,
			s.P99)
		if s.Worst == nil {
			differences = "-\t-\t-" // nothing was compared
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s%s\t%s\n", s.label(), s.Cases, differences, s.tolerance(),
			agreement, ok)
	}
	table.Flush()
	if !r.OK {
		b.WriteString("\n")
		for _, s := range r.Stages {
			for _, fault := range s.faults() {
				fmt.Fprintf(&b, "%s: %s\n", s.label(), fault)
			}
		}
		fmt.Fprintf(&b, "\n%s\n", r.Diagnosis)
		var versions []string
		for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
			versions = append(versions, name+" "+r.Versions[name])
		}
		fmt.Fprintf(&b, "The pack was written by `%s` with %s; if that is not the model's own, "+
			"write it again.\n",
			r.Command, strings.Join(versions, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the report as an indented JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteJUnit writes reports as JUnit's XML, for what reads test results in a CI: a test suite each,
// with a test case a stage and one a case of the pack. The properties say what was verified; those
// of the pack are added.
func WriteJUnit(w io.Writer, properties map[string]string, reports ...*Report) error {
	suites := make([]junit.Suite, len(reports))
	for i, r := range reports {
		suite := &suites[i]
		suite.Name, suite.Seconds = r.name(), r.Seconds
		all := maps.Clone(properties)
		all["pack"], all["pack.reference"], all["pack.command"] = r.Pack, r.Reference, r.Command
		for name, version := range r.Versions {
			all["pack."+name] = version
		}
		suite.Properties = junit.Properties(all)
		for _, s := range r.Stages {
			c := junit.Case{Class: "kerasrun.verify", Name: s.label()}
			c.Output = fmt.Sprintf("%d cases: max %.3g, mean %.3g, 99 %% %.3g, tolerance %s",
				s.Cases, s.Max, s.Mean, s.P99, s.tolerance())
			if !s.OK {
				c.Failure = failure(s.faults())
			}
			suite.Cases = append(suite.Cases, c)
		}
		for _, image := range r.Images {
			c := junit.Case{Class: "kerasrun.verify.images", Name: image.Name}
			if len(image.Faults) > 0 {
				c.Failure = failure(image.Faults)
			}
			suite.Cases = append(suite.Cases, c)
		}
	}
	return junit.Write(w, suites...)
}

func failure(faults []string) *junit.Failure {
	return &junit.Failure{Message: faults[0], Text: strings.Join(faults, "\n")}
}
