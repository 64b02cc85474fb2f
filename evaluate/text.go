package evaluate

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"kerasrun/internal/page"
)

// String is what a class is called: its name, else its id or index, on one line.
func (c ClassName) String() string {
	return printable(cmp.Or(c.Name, c.ID, fmt.Sprintf("class %d", c.Index)))
}

// printable is a text on one line that drives no terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// How much of a report its text shows; JSON has all of it.
const (
	textClasses  = 50
	textConfused = 10
	textWrong    = 10
	textAbsent   = 10
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s: %s\n", r.Model, r.Data, r.counted(r.Images))
	if absent := absent(r.Classes); absent != "" {
		fmt.Fprintln(&b, absent)
	}
	b.WriteString("\n")
	r.writeSummary(&b)
	r.writeClasses(&b)
	r.writeConfused(&b)
	r.writeWrong(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// counted says how many images there were, and what their labels are.
func (r *Outcome) counted(images int64) string {
	text := fmt.Sprintf("%d images answered, %d failed", images, r.Failed)
	types := map[LabelType]string{LabelName: "names", LabelID: "ids", LabelIndex: "indices"}
	if of := types[r.LabelType]; of != "" {
		text += fmt.Sprintf("; labels are %s of classes", of)
	}
	return text
}

// absent says which classes of the model no image has.
func absent(classes []Class) string {
	var names []string
	for _, c := range classes {
		if c.Support == 0 {
			names = append(names, c.ClassName.String())
		}
	}
	if len(names) == 0 {
		return ""
	}
	list := strings.Join(names[:min(textAbsent, len(names))], ", ")
	if more := len(names) - textAbsent; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("no image of %d of the model's %d classes: %s", len(names), len(classes),
		list)
}

// right is how many images have a share.
func right(share float64, images int64) string {
	return fmt.Sprintf("%.4f  %.0f of %d", share, share*float64(images), images)
}

// namedScores are means by their names.
type namedScores struct {
	Name string
	Scores
}

func writeMeans(w io.Writer, means []namedScores) {
	for _, mean := range means {
		fmt.Fprintf(w, "%s precision, recall, F1\t%.4f  %.4f  %.4f\n", mean.Name, mean.Precision,
			mean.Recall, mean.F1)
	}
}

func (r *Report) writeSummary(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "top-1\t%s\n", right(r.Top1, r.Images))
	fmt.Fprintf(t, "top-%d\t%s\n", r.K, right(r.TopK, r.Images))
	writeMeans(t, []namedScores{{"macro", r.Macro}, {"weighted", r.Weighted}})
	fmt.Fprintf(t, "expected calibration error\t%.4f\n", r.Calibration.ExpectedError)
	fmt.Fprintf(t, "log loss\t%.4f\n", r.Calibration.LogLoss)
	fmt.Fprintf(t, "Brier score\t%.4f\n", r.Calibration.Brier)
	t.Flush()
}

// occurring are the classes that an image has or was answered with.
func (r *Report) occurring() []Class {
	return slices.DeleteFunc(slices.Clone(r.Classes), func(c Class) bool { return !c.occurs() })
}

// lowest are the classes that occur, and of more than so many those with the lowest F1, with a note
// that says so.
func (r *Report) lowest(most int) (classes []Class, note string) {
	classes = r.occurring()
	if all := len(classes); all > most {
		slices.SortStableFunc(classes, func(x, y Class) int { return cmp.Compare(x.F1, y.F1) })
		classes = classes[:most]
		note = fmt.Sprintf(", the %d with the lowest F1 of %d", most, all)
	}
	return classes, note
}

func (r *Report) writeClasses(b *strings.Builder) {
	classes, note := r.lowest(textClasses)
	fmt.Fprintf(b, "\nclasses%s\n", note)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  class\tprecision\trecall\tF1\timages\tanswers\n")
	for _, c := range classes {
		fmt.Fprintf(t, "  %v\t%.4f\t%.4f\t%.4f\t%d\t%d\n", c.ClassName, c.Precision, c.Recall, c.F1,
			c.Support, c.Answered)
	}
	t.Flush()
}

func (r *Report) writeConfused(b *strings.Builder) {
	all := r.Confused(len(r.Confusion))
	if len(all) == 0 {
		return
	}
	shown := all[:min(textConfused, len(all))]
	fmt.Fprintf(b, "\nconfused%s\n", page.ShownOf(len(shown), len(all)))
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  truth\tanswer\timages\n")
	for _, c := range shown {
		fmt.Fprintf(t, "  %v\t%v\t%d\n", r.Classes[c.Truth].ClassName,
			r.Classes[c.Answer].ClassName, c.Images)
	}
	t.Flush()
}

func (r *Report) writeWrong(b *strings.Builder) {
	if len(r.Wrong) == 0 {
		return
	}
	shown := r.Wrong[:min(textWrong, len(r.Wrong))]
	fmt.Fprintf(b, "\nwrong, the most confident first%s\n",
		page.ShownOf(len(shown), r.wrongImages()))
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  answer\tprobability\ttruth\tprobability\timage\n")
	for _, w := range shown {
		fmt.Fprintf(t, "  %v\t%.4f\t%v\t%.4f\t%s\n", w.Answer, w.Probability, w.Truth,
			w.TruthProbability, printable(w.Path))
	}
	t.Flush()
}

// wrongImages is how many images were answered wrongly.
func (r *Report) wrongImages() int {
	var right int64
	for _, c := range r.Classes {
		right += c.Correct
	}
	return int(r.Images - right)
}
