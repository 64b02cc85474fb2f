package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kerasrun/internal/atomicfile"
	"kerasrun/score"
)

func newDiffCommand() *cobra.Command {
	var tolerance float64
	var maxFlips limitFlag
	var rows, html string
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare what two runs of score wrote",
		Long: `Compare what score wrote in two runs over the same images, such as on CPU and GPU, or with
one TensorFlow and the next: top classes that flipped and to which, how far probabilities and the
numbers of other outputs moved, and the images that moved most, with both classes and probabilities.
Of a model with several labels an image a flip is a label that was lost or came.

--rows writes every image: index, path, then class, label and score of its best class in A and in B,
the largest difference, whether it flipped, and the errors. --html shows the images that flipped.

Exit status: 1 when more images flipped than --max-flips, an image has a result in only one run, or
a number moved by more than the tolerance.`,
		Example: `  kerasrun diff --tolerance 1e-4 cpu.parquet gpu.parquet
  kerasrun diff --max-flips 0.5% --tolerance 1 float.jsonl quantized.jsonl
  kerasrun diff --rows moved.csv --html flips.html before.parquet after.parquet`,
		Args: twoOutputs,
	}
	cmd.Flags().Float64Var(&tolerance, "tolerance", 1e-5,
		"how far a probability, or a number of another output, may move")
	cmd.Flags().Var(&maxFlips, "max-flips", "how many images may change their class: `N` or P%")
	cmd.Flags().StringVar(&rows, "rows", "",
		"write a row for each image to a `file`, .csv or .parquet")
	cmd.Flags().StringVar(&html, "html", "",
		"write a page with the images that flipped to a `file`")
	format := addFormat(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := diff(args[0], args[1], tolerance, rows, html)
		if err != nil {
			return asUsage(err)
		}
		d.MaxFlips = maxFlips.Limit
		if format.value == "json" {
			err = writeJSON(cmd.OutOrStdout(), d)
		} else {
			err = writeDifference(cmd.OutOrStdout(), d)
		}
		if err != nil {
			return err
		}
		if !d.OK() {
			return fmt.Errorf("%s and %s differ: %s", args[0], args[1], strings.Join(faults(d), ", "))
		}
		return nil
	}
	return cmd
}

// diff compares two outputs, and writes the rows and the page where they have a file.
func diff(a, b string, tolerance float64, rows, html string) (d score.Difference, err error) {
	page := new(score.DifferencePage)
	each := page.Add
	compare := func() (err error) {
		d, err = score.Diff(a, b, tolerance, each)
		return err
	}
	if rows == "" {
		err = compare()
	} else {
		err = atomicfile.Write(rows, func(w io.Writer) error {
			out, err := score.NewCaseWriter(w, rows)
			if err != nil {
				return err
			}
			each = func(c score.Case) error { return errors.Join(out.Write(c), page.Add(c)) }
			return errors.Join(compare(), out.Close())
		})
	}
	if err == nil && html != "" {
		err = atomicfile.Write(html, func(w io.Writer) error { return page.Write(w, a, b, d) })
	}
	return d, err
}

// twoOutputs allows two arguments.
func twoOutputs(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("expected the outputs A and B, got %d arguments", len(args))
	}
	return nil
}

// faults says why two outputs do not agree.
func faults(d score.Difference) []string {
	var words []string
	if n := d.OnlyA + d.OnlyB + d.Errors; n > 0 {
		words = append(words, fmt.Sprintf("%d images have a result in one only", n))
	}
	if d.MaxFlips.Exceeded(d.TopFlips, d.Images) {
		words = append(words, fmt.Sprintf("%d of %d images flipped, with --max-flips %v", d.TopFlips,
			d.Images, d.MaxFlips))
	}
	if !(d.Max <= d.Tolerance) {
		words = append(words, fmt.Sprintf("a number moved by %.3g, with --tolerance %g", d.Max,
			d.Tolerance))
	}
	return words
}

// shownFlips is how many kinds of flips the text names.
const shownFlips = 10

func writeDifference(w io.Writer, d score.Difference) error {
	out := bufio.NewWriter(w)
	line := func(name string, value any) { fmt.Fprintf(out, "%-27s %v\n", name, value) }
	share := 0.0
	if d.Images > 0 {
		share = 100 * float64(d.TopFlips) / float64(d.Images)
	}
	line("images in both", d.Images)
	line("only in the first", d.OnlyA)
	line("only in the second", d.OnlyB)
	line("with a result in one only", d.Errors)
	line("top class flipped", fmt.Sprintf("%d (%.3g %%)", d.TopFlips, share))
	line("other classes in the top", d.SetFlips)
	line("largest difference", fmt.Sprintf("%.3g", d.Max))
	line("mean of largest differences", fmt.Sprintf("%.3g", d.Mean))
	line("tolerance", fmt.Sprintf("%.3g", d.Tolerance))
	if len(d.Outputs) > 1 {
		for _, name := range slices.Sorted(maps.Keys(d.Outputs)) {
			fmt.Fprintf(out, "  %-10.3g %s\n", d.Outputs[name], printableLine(name))
		}
	}
	if len(d.Flips) > 0 {
		fmt.Fprintln(out, "\nflips")
	}
	for i, flip := range d.Flips {
		if i == shownFlips {
			fmt.Fprintf(out, "  and %d other kinds\n", len(d.Flips)-i)
			break
		}
		fmt.Fprintf(out, "  %-10d %s -> %s\n", flip.Images, className(flip.From), className(flip.To))
	}
	if len(d.Worst) > 0 {
		fmt.Fprintln(out, "\nworst")
	}
	for _, c := range d.Worst {
		classes := ""
		if c.TopA >= 0 || c.TopB >= 0 {
			classes = fmt.Sprintf("%s %.6g -> %s %.6g  ",
				className(score.Class{Index: c.TopA, Label: c.LabelA}), c.ScoreA,
				className(score.Class{Index: c.TopB, Label: c.LabelB}), c.ScoreB)
		}
		fmt.Fprintf(out, "  %-10.3g %s%s\n", c.Difference, classes, printableLine(c.Path))
	}
	return out.Flush()
}

// className is how people read a class.
func className(c score.Class) string {
	switch {
	case c.Index < 0:
		return "none"
	case c.Label == "":
		return fmt.Sprintf("class %d", c.Index)
	}
	return fmt.Sprintf("%d %s", c.Index, printableLine(c.Label))
}
