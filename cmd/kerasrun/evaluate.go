package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kerasrun/contract"
	"kerasrun/evaluate"
	"kerasrun/internal/atomicfile"
	"kerasrun/score"
	"kerasrun/tensor"
)

// evaluateFlags are the command line of evaluate.
type evaluateFlags struct {
	model         modelFlags
	top           int
	filenames     string
	labels        []string
	separator     separatorFlag
	labelType     *choice
	format        *choice
	html, junit   string
	min           evaluate.Thresholds
	thresholds    []*thresholdFlag
	quiet         bool
	tableFlagsSet bool
}

// thresholdFlag is a flag of a metric, for models of some kinds.
type thresholdFlag struct {
	name, usage string
	kinds       []string
	top         float64 // the largest value that means something
	min         func(*evaluate.Thresholds) **float64
	value       float64
}

func thresholdFlags() []*thresholdFlag {
	classes := []string{contract.Probabilities, contract.Binary}
	sets := []string{contract.Multilabel}
	numbers := []string{contract.Regression}
	type of = *evaluate.Thresholds
	return []*thresholdFlag{
		{"min-top1", "the least top-1 accuracy, 0 to 1", classes, 1,
			func(t of) **float64 { return &t.Top1 }, 0},
		{"min-topk", "the least top-k accuracy, 0 to 1", classes, 1,
			func(t of) **float64 { return &t.TopK }, 0},
		{"min-macro-recall", "the least macro recall, 0 to 1", append(sets, classes...), 1,
			func(t of) **float64 { return &t.MacroRecall }, 0},
		{"min-subset-accuracy", "of several labels: the least share of images without a wrong one",
			sets, 1, func(t of) **float64 { return &t.SubsetAccuracy }, 0},
		{"min-micro-f1", "of several labels: the least micro F1, 0 to 1", sets, 1,
			func(t of) **float64 { return &t.MicroF1 }, 0},
		{"min-macro-f1", "of several labels: the least macro F1, 0 to 1", sets, 1,
			func(t of) **float64 { return &t.MacroF1 }, 0},
		{"min-average-precision", "of several labels: the least macro average precision, 0 to 1",
			sets, 1, func(t of) **float64 { return &t.MeanPrecision }, 0},
		{"max-mae", "of numbers: the largest mean absolute error", numbers, math.MaxFloat64,
			func(t of) **float64 { return &t.MAE }, 0},
		{"max-rmse", "of numbers: the largest root mean squared error", numbers, math.MaxFloat64,
			func(t of) **float64 { return &t.RMSE }, 0},
		{"min-r2", "of numbers: the least R2, up to 1", numbers, 1,
			func(t of) **float64 { return &t.R2 }, 0},
	}
}

func newEvaluateCommand() *cobra.Command {
	var f evaluateFlags
	cmd := &cobra.Command{
		Use:   "evaluate DIR|TABLE",
		Short: "Measure how good a model is on labelled images",
		Long: `Classify labelled images and compare the answers with their labels: top-1 and top-k,
precision, recall and F1 of each class with their means, which classes are confused, and
calibration. Every number is scikit-learn's, with zero_division=0.

DIR has a folder for each class, DIR/CLASS/IMAGE, as Keras's image_dataset_from_directory takes it.
TABLE is a .csv, .tsv or .parquet file with a column of paths, relative to the table's own folder,
and a column of labels. Labels are names, ids (WordNet's where the classes are ImageNet's) or
indices of the model's classes. Which they are is found from the model's classes; before any image
is read, a label that is of no class, or of different classes as name and as index, is an error.

A model that gives an image several labels (multilabel) takes a table alone: its column has labels
separated by |, as in cat|dog, and is empty where an image has none; or --label-col comes once for
each class, with columns of 0 and 1. Then the numbers are subset accuracy, Hamming loss, precision,
recall, F1 and average precision. A model of numbers (regression) takes a table with a column of
them, or one for each value in their order: MAE, RMSE and R2.

An image that cannot be read or decoded is named on standard error, counted apart, and in none of
the numbers.

--html writes one file that needs no network: the numbers, the images that went wrong, the confusion
matrix and the reliability diagram. --junit writes a test case for each --min and --max flag.

Exit status: 0 all well, 1 a --min or --max flag was missed or the run failed, 2 wrong usage,
3 done, with failed images.`,
		Example: `  kerasrun evaluate --model models/mine --html report.html test-images
  kerasrun evaluate --model models/mine --min-top1 0.9 --junit evaluate.xml test-images
  kerasrun evaluate --label-col wnid --filename-col file --format json test.csv`,
	}
	flags := cmd.Flags()
	flags.IntVar(&f.top, "topk", 5, "the k of top-k; all classes where there are fewer")
	flags.StringVar(&f.filenames, "filename-col", "filename", "the `column` of paths in a table")
	flags.StringArrayVar(&f.labels, "label-col", []string{"label"},
		"the `column` of labels in a table; again for more columns")
	f.separator.register(cmd)
	var types []string
	for _, t := range evaluate.LabelTypes {
		types = append(types, string(t))
	}
	f.labelType = addChoice(cmd, "label-type", "what the labels are", types...)
	f.format = addFormat(cmd, "text", "json")
	flags.StringVar(&f.html, "html", "", "write a page to this `file`")
	flags.StringVar(&f.junit, "junit", "", "write JUnit's XML to this `file`")
	f.thresholds = thresholdFlags()
	for _, t := range f.thresholds {
		flags.Float64Var(&t.value, t.name, 0, t.usage)
	}
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	must(cmd.MarkFlagFilename("html", "html"))
	must(cmd.MarkFlagFilename("junit", "xml"))
	f.model.register(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("expected one DIR or TABLE, got %q", args)
		}
		if f.top < 1 {
			return fmt.Errorf("--topk: expected 1 or more, got %d", f.top)
		}
		for _, t := range f.thresholds {
			if !flags.Changed(t.name) {
				continue
			}
			if v := t.value; !(v >= 0 || t.name == "min-r2") || v > t.top || v != v {
				if t.top == 1 {
					return fmt.Errorf("--%s: expected 0 to 1, got %v", t.name, v)
				}
				return fmt.Errorf("--%s: expected a number from 0 on, got %v", t.name, v)
			}
			*t.min(&f.min) = &t.value
		}
		f.tableFlagsSet = flags.Changed("filename-col") || flags.Changed("label-col") ||
			flags.Changed("separator")
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) }
	return cmd
}

func (f *evaluateFlags) run(cmd *cobra.Command, path string) error {
	skipped := new(score.Skipped)
	if err := f.checkPath(path); err != nil {
		return err
	}
	model, err := f.model.open(cmd.Context())
	if err != nil {
		return err
	}
	defer model.Close()
	stderr := cmd.ErrOrStderr()
	if !f.quiet {
		noteSynthetic(stderr, model.SavedModel())
	}
	classifier, err := model.Classifier()
	if err != nil {
		return err
	}
	kind, err := evaluatedKind(classifier.Outputs()[0], classifier.Shape(0))
	if err != nil {
		return fmt.Errorf("%s: %w", f.model.dir, err)
	}
	if err := f.checkThresholds(kind); err != nil {
		return err
	}
	data, err := f.data(path, kind, skipped)
	if err != nil {
		return err
	}
	n := max(classifier.Classes(), len(model.Labels()))
	if f.min.TopK != nil && f.top >= n {
		return usagef("--min-topk: expected a --topk under the model's %d classes, got %d, which "+
			"every answer reaches", n, f.top)
	}
	shown := newProgress(stderr, f.quiet, "reading the images")
	shown.update(score.Counts{Images: data.Images()})
	options := evaluate.Options{
		TopK: f.top, LabelType: evaluate.LabelType(f.labelType.value),
		Failed: func(path string, err error) {
			if !strings.Contains(err.Error(), path) {
				err = fmt.Errorf("%s: %w", path, err)
			}
			reportError(stderr, err)
		},
		Progress: func(answered, failed int64) {
			shown.update(score.Counts{Images: data.Images(), Answered: answered, Failed: failed})
		},
	}
	var report report
	switch ctx, names := cmd.Context(), classifier.Labels(); kind {
	case contract.Multilabel:
		report, err = evaluate.RunMultilabel(ctx, classifier, names, data, options)
	case contract.Regression:
		report, err = evaluate.RunRegression(ctx, classifier, names, data, options)
	default:
		report, err = evaluate.Run(ctx, classifier, model.Labels(), data, options)
	}
	shown.close()
	if err != nil {
		return err
	}
	report.Common().Model = f.model.dir
	if !f.quiet {
		noteSkipped(stderr, skipped)
		if len(data.Passed) > 0 {
			fmt.Fprintf(stderr, "kerasrun: %s: passed over %d entries that are no class's folder: "+
				"%s\n", path, len(data.Passed), evaluate.Few(data.Passed))
		}
	}
	return f.write(cmd, report)
}

// report is what each kind of evaluation gives.
type report interface {
	Common() *evaluate.Outcome
	Checks(evaluate.Thresholds) []evaluate.Check
	WriteText(io.Writer) error
	WriteJUnit(io.Writer, []evaluate.Check) error
	WritePage(io.Writer, []evaluate.Check) error
}

// checkThresholds refuses a threshold of what is not measured of a model.
func (f *evaluateFlags) checkThresholds(kind string) error {
	for _, t := range f.thresholds {
		if *t.min(&f.min) != nil && !slices.Contains(t.kinds, kind) {
			return usagef("--%s: expected a model of %s, got %s", t.name,
				strings.Join(t.kinds, " or "), kind)
		}
	}
	return nil
}

// evaluatedKind is the kind of a model's answer that is evaluated: one of several classes, several
// labels, or numbers. shape is that of an image's row.
func evaluatedKind(out contract.Output, shape tensor.Shape) (string, error) {
	kind := out.ActivatedKind(shape)
	switch kind {
	case contract.Probabilities, contract.Binary, contract.Multilabel, contract.Regression:
		return kind, nil
	}
	return "", fmt.Errorf("output %q: expected classes or numbers, from probabilities, logits, "+
		"binary, multilabel or regression, got %s, which cannot be evaluated; `kerasrun score` "+
		"writes the answers", out.Name, out.Kind)
}

// checkPath refuses what is no folder and no table.
func (f *evaluateFlags) checkPath(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir() && f.tableFlagsSet:
		return usagef("--filename-col, --label-col, --separator: expected a table, "+
			"got the folder %s", path)
	case !info.IsDir() && !score.IsTable(path):
		return usagef("expected a folder, or a table that ends in .csv, .tsv or .parquet, got %s",
			path)
	}
	return nil
}

// data reads what images there are and their labels.
func (f *evaluateFlags) data(path, kind string, skipped *score.Skipped) (*evaluate.Data, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir() && kind == contract.Multilabel:
		return nil, usagef("%s: expected a table for a model of several labels an image, as "+
			"folders say one: a file whose column --label-col has labels separated by |, or with "+
			"a column of 0 and 1 for each class, got a folder", path)
	case info.IsDir() && kind == contract.Regression:
		return nil, usagef("%s: expected a table for a model of numbers, with a column "+
			"--label-col of numbers for each value, got a folder", path)
	case info.IsDir():
		return evaluate.Folders(path, skipped)
	case kind == contract.Multilabel:
		return evaluate.Sets(path, f.separator.rune, f.filenames, f.labels...)
	case kind == contract.Regression:
		return evaluate.Numbers(path, f.separator.rune, f.filenames, f.labels...)
	case len(f.labels) > 1:
		return nil, usagef("--label-col: expected one column for a model that answers with one "+
			"class, got %d", len(f.labels))
	}
	return evaluate.Table(path, f.separator.rune, f.filenames, f.labels[0])
}

func (f *evaluateFlags) write(cmd *cobra.Command, report report) error {
	checks := report.Checks(f.min)
	for _, out := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{f.html, func(w io.Writer) error { return report.WritePage(w, checks) }},
		{f.junit, func(w io.Writer) error { return report.WriteJUnit(w, checks) }},
	} {
		if out.path != "" {
			if err := atomicfile.Write(out.path, out.write); err != nil {
				return err
			}
		}
	}
	var err error
	if f.format.value == "json" {
		err = writeJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
	var missed []error
	for _, c := range checks {
		if !c.OK() {
			missed = append(missed, fmt.Errorf("%v", c))
		}
	}
	if len(missed) > 0 {
		return errors.Join(missed...)
	}
	if report.Common().Failed > 0 {
		return errFailedImages
	}
	return nil
}
