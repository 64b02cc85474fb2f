package main

import (
	"errors"
	"fmt"
	"io"
	"os"
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
	labels        string
	separator     separatorFlag
	labelType     *choice
	format        *choice
	html, junit   string
	min           evaluate.Thresholds
	top1, topK    float64
	macroRecall   float64
	quiet         bool
	tableFlagsSet bool
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

An image that cannot be read or decoded is named on standard error, counted apart, and in none of
the numbers.

--html writes one file that needs no network: the numbers, the images that went wrong, the confusion
matrix and the reliability diagram. --junit writes a test case for each --min flag.

Exit status: 0 all well, 1 a --min flag was missed or the run failed, 2 wrong usage, 3 done, with
failed images.`,
		Example: `  kerasrun evaluate --model models/mine --html report.html test-images
  kerasrun evaluate --model models/mine --min-top1 0.9 --junit evaluate.xml test-images
  kerasrun evaluate --label-col wnid --filename-col file --format json test.csv`,
	}
	flags := cmd.Flags()
	flags.IntVar(&f.top, "topk", 5, "the k of top-k; all classes where there are fewer")
	flags.StringVar(&f.filenames, "filename-col", "filename", "the `column` of paths in a table")
	flags.StringVar(&f.labels, "label-col", "label", "the `column` of labels in a table")
	f.separator.register(cmd)
	var types []string
	for _, t := range evaluate.LabelTypes {
		types = append(types, string(t))
	}
	f.labelType = addChoice(cmd, "label-type", "what the labels are", types...)
	f.format = addFormat(cmd, "text", "json")
	flags.StringVar(&f.html, "html", "", "write a page to this `file`")
	flags.StringVar(&f.junit, "junit", "", "write JUnit's XML to this `file`")
	flags.Float64Var(&f.top1, "min-top1", 0, "the least top-1 accuracy, 0 to 1")
	flags.Float64Var(&f.topK, "min-topk", 0, "the least top-k accuracy, 0 to 1")
	flags.Float64Var(&f.macroRecall, "min-macro-recall", 0, "the least macro recall, 0 to 1")
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
		for _, threshold := range []struct {
			flag  string
			value *float64
			min   **float64
		}{
			{"min-top1", &f.top1, &f.min.Top1}, {"min-topk", &f.topK, &f.min.TopK},
			{"min-macro-recall", &f.macroRecall, &f.min.MacroRecall},
		} {
			if !flags.Changed(threshold.flag) {
				continue
			}
			if v := *threshold.value; !(v >= 0 && v <= 1) {
				return fmt.Errorf("--%s: expected 0 to 1, got %v", threshold.flag, v)
			}
			*threshold.min = threshold.value
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
	data, err := f.data(path, skipped)
	if err != nil {
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
	if err := checkEvaluated(classifier.Outputs()[0], classifier.Shape(0)); err != nil {
		return fmt.Errorf("%s: %w", f.model.dir, err)
	}
	n := max(classifier.Classes(), len(model.Labels()))
	if f.min.TopK != nil && f.top >= n {
		return usagef("--min-topk: expected a --topk under the model's %d classes, got %d, which "+
			"every answer reaches", n, f.top)
	}
	shown := newProgress(stderr, f.quiet, "reading the images")
	shown.update(score.Counts{Images: data.Images()})
	report, err := evaluate.Run(cmd.Context(), classifier, model.Labels(), data, evaluate.Options{
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
	})
	shown.close()
	if err != nil {
		return err
	}
	report.Model = f.model.dir
	if !f.quiet {
		noteSkipped(stderr, skipped)
		if len(data.Passed) > 0 {
			fmt.Fprintf(stderr, "kerasrun: %s: passed over %d entries that are no class's folder: %s\n",
				path, len(data.Passed), evaluate.Few(data.Passed))
		}
	}
	return f.write(cmd, report)
}

// checkEvaluated refuses a model whose answer is not one of several classes. shape is that of an
// image's row.
func checkEvaluated(out contract.Output, shape tensor.Shape) error {
	switch out.ActivatedKind(shape) {
	case contract.Probabilities, contract.Binary:
		return nil
	}
	what := out.Kind
	if out.Kind == contract.Logits {
		what = "a sigmoid for each class"
	}
	return fmt.Errorf("output %q: expected one class an image, from probabilities, logits or one "+
		"sigmoid, got %s, which cannot be evaluated; `kerasrun score` writes the answers", out.Name,
		what)
}

// data reads what images there are and their labels.
func (f *evaluateFlags) data(path string, skipped *score.Skipped) (*evaluate.Data, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir() && f.tableFlagsSet:
		return nil, usagef("--filename-col, --label-col, --separator: expected a table, got the folder "+
			"%s", path)
	case info.IsDir():
		return evaluate.Folders(path, skipped)
	case !score.IsTable(path):
		return nil, usagef("expected a folder, or a table that ends in .csv, .tsv or .parquet, got %s",
			path)
	}
	return evaluate.Table(path, f.separator.rune, f.filenames, f.labels)
}

func (f *evaluateFlags) write(cmd *cobra.Command, report *evaluate.Report) error {
	checks := f.min.Checks(report)
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
	if report.Failed > 0 {
		return errFailedImages
	}
	return nil
}
