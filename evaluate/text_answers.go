package evaluate

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"kerasrun/internal/page"
)

// WriteText writes the report for people.
func (r *MultilabelReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s: %s\n", r.Model, r.Data, r.counted(r.Images))
	if absent := absent(r.plainClasses()); absent != "" {
		fmt.Fprintln(&b, absent)
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "subset accuracy\t%s\n", right(r.SubsetAccuracy, r.Images))
	fmt.Fprintf(t, "Hamming loss\t%.4f\n", r.HammingLoss)
	writeMeans(t, r.means())
	fmt.Fprintf(t, "micro, macro average precision\t%.4f  %.4f\n", r.MicroAveragePrecision,
		r.MacroAveragePrecision)
	t.Flush()
	fmt.Fprintf(&b, "\nclasses%s\n", page.ShownOf(min(textClasses, len(r.Classes)), len(r.Classes)))
	fmt.Fprintf(t, "  class\tprecision\trecall\tF1\taverage precision\timages\tanswers\n")
	for _, c := range r.Classes[:min(textClasses, len(r.Classes))] {
		fmt.Fprintf(t, "  %v\t%.4f\t%.4f\t%.4f\t%.4f\t%d\t%d\n", c.ClassName, c.Precision, c.Recall,
			c.F1, c.AveragePrecision, c.Support, c.Answered)
	}
	t.Flush()
	if shown := r.Wrong[:min(textWrong, len(r.Wrong))]; len(shown) > 0 {
		fmt.Fprintf(&b, "\nwrong, the most confident first%s\n",
			page.ShownOf(len(shown), r.wrongImages()))
		fmt.Fprintf(t, "  missed\ttoo many\tdifference\timage\n")
		for _, w := range shown {
			fmt.Fprintf(t, "  %s\t%s\t%.4f\t%s\n", list(w.Missed), list(w.Extra), w.Difference,
				printable(w.Path))
		}
		t.Flush()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteText writes the report for people.
func (r *RegressionReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s: %s\n\n", r.Model, r.Data, r.counted(r.Images))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "MAE\t%.6g\nRMSE\t%.6g\nR2\t%s\n", r.MAE, r.RMSE, r.Errors.r2())
	t.Flush()
	if len(r.Values) > 1 {
		fmt.Fprintf(&b, "\nvalues%s\n",
			page.ShownOf(min(textClasses, len(r.Values)), len(r.Values)))
		fmt.Fprintf(t, "  value\tMAE\tRMSE\tR2\n")
		for _, v := range r.Values[:min(textClasses, len(r.Values))] {
			fmt.Fprintf(t, "  %s\t%.6g\t%.6g\t%s\n", v.called(), v.MAE, v.RMSE, v.r2())
		}
		t.Flush()
	}
	if shown := r.Wrong[:min(textWrong, len(r.Wrong))]; len(shown) > 0 {
		fmt.Fprintf(&b, "\nthe largest differences\n")
		fmt.Fprintf(t, "  answer\ttruth\tdifference\timage\n")
		for _, w := range shown {
			fmt.Fprintf(t, "  %s\t%s\t%.6g\t%s\n", w.answer(), w.truth(), w.Difference,
				printable(w.Path))
		}
		t.Flush()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *MultilabelReport) means() []namedScores {
	return []namedScores{{"micro", r.Micro}, {"macro", r.Macro}, {"weighted", r.Weighted}}
}

func (r *MultilabelReport) plainClasses() (classes []Class) {
	for _, c := range r.Classes {
		classes = append(classes, c.Class)
	}
	return classes
}

// wrongImages is how many images have a wrong label.
func (r *MultilabelReport) wrongImages() int {
	return int(float64(r.Images)*(1-r.SubsetAccuracy) + 0.5)
}

func list(classes []ClassName) string {
	if len(classes) == 0 {
		return "-"
	}
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
}

// r2 is R2 as text.
func (e Errors) r2() string {
	if e.R2 == nil {
		return "-"
	}
	return fmt.Sprintf("%.6g", *e.R2)
}

// called is the value's name, else its number.
func (v Value) called() string {
	if v.Name == "" && v.ID == "" {
		return fmt.Sprintf("value %d", v.Index)
	}
	return v.ClassName.String()
}

// numbersShown is how many numbers of an image a report for people shows.
const numbersShown = 4

func (w WrongNumbers) answer() string {
	return numbers(len(w.Answer), func(i int) string { return fmt.Sprintf("%.6g", w.Answer[i]) })
}

func (w WrongNumbers) truth() string {
	return numbers(len(w.Truth), func(i int) string {
		return strconv.FormatFloat(w.Truth[i], 'g', 6, 64)
	})
}

func numbers(n int, text func(i int) string) string {
	var texts []string
	for i := range min(n, numbersShown) {
		texts = append(texts, text(i))
	}
	if n > numbersShown {
		texts = append(texts, "...")
	}
	return strings.Join(texts, ", ")
}
