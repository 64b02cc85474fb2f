package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"kerasrun/runner"
	"kerasrun/score"
	"kerasrun/worker"
)

// outputExtensions are the endings of what score writes.
var outputExtensions = []string{"jsonl", "csv", "parquet", "npz"}

// scoreFlags are the command line of score.
type scoreFlags struct {
	model     modelFlags
	isolated  isolation
	output    string
	arrow     bool
	filesFrom string
	null      bool
	column    string
	separator separatorFlag
	keep      []string
	feature   string
	shard     string
	batch     int
	top       int
	separate  bool
	quiet     bool
	failures  limitFlag
	empty     bool
	outputs   []string
	values    *choice
	labels    *choice
	onError   *choice
	failed    string
}

func newScoreCommand() *cobra.Command {
	var f scoreFlags
	cmd := &cobra.Command{
		Use:   "score --output OUT INPUT...",
		Short: "Classify any number of images, resumably",
		Long: `Classify images offline and write a row for each, in the order of the input. An INPUT is an
image, a directory, a glob, an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst; WebDataset
shards), a TFRecord file (plain, GZIP or ZLIB) of examples with a --feature, a table (.csv, .tsv,
.parquet, .arrow, .feather) with a --column of paths, of images' bytes, or of Hugging Face's {bytes,
path}, or - for a list of paths on standard input; x@10 is the shards x-00000-of-00010 and so on.
Texts are UTF-8, or UTF-16 with its byte order mark. Each may be an address, s3://bucket/key,
gs://bucket/key, az://container/key, file:///path or http(s)://, and so may OUT, but for http(s).

OUT ends in .jsonl, .csv, .parquet or .npz, or is - for a pipe. It appears under its name only when
it is complete, with OUT.manifest.json beside it and OUT.report.html, which says how the run went:
failures by reason, what was skipped, classes, confidence, the slowest images (OUT.report.json holds
the same). Until then OUT.journal holds the finished rows.
Whatever stops the run, even kill -9, the same command goes on from there and ends with the same
bytes. An image that cannot be classified is a row with its error.

Exit status: 0 every image was classified, 3 the output is complete with images that failed, 1 the
run failed, or more images than --max-failures, 2 wrong usage, 129, 130 or 143 stopped by
SIGHUP (a closed terminal), ^C or SIGTERM. A run that is complete, started again, ends with the
status that it ended with.

Of a directory or an archive every entry is an image, an error, or counted as skipped by its reason
in the summary. Images are told by their endings, and else by their first bytes. Links to
directories are followed, each target once.

In path a byte that is not UTF-8, a zero byte and a carriage return are \xNN, and a backslash before
such a text is \x5c.

Columns: index, path, what --keep names, class, label, probability (lists of the k best; class_0,
label_0, probability_0, ... in csv or with --results-separate-col), what --outputs names, and error.
A binary model's classes are both, the one decided for first; those of a model with several labels
an image are all over their thresholds. With --output-type logit the numbers are logits.

--outputs probs keeps every class's probability too. A NAME keeps that output's numbers, whatever
their shape: lists in jsonl, lists in row-major order in parquet, NAME_0, NAME_1, ... in csv, arrays
in npz. Without top or probs the classes are left out.

With --arrow-stream the input is a table in Arrow's stream format on standard input, whose --column
holds paths, images' bytes or {bytes, path}, and standard output is such a stream with the columns
of .parquet. Each record batch is answered by one of as many rows, in their order, before the next
is waited for, so that one process serves a worker of Spark or Ray from Python: see kerasrun_batch.`,
		Example: `  kerasrun score --output scores.jsonl photos
  kerasrun score --output scores.parquet --outputs probs --files-from list.txt
  kerasrun score --output scores.parquet --column file --keep id,label=truth table.csv
  kerasrun score --output vectors.npz --outputs features photos
  kerasrun score --output s3://bucket/scores.csv s3://bucket/photos
  kerasrun score --output scores.csv --shard 0/4 shards/*.tar
  kerasrun merge --output scores.csv scores-0*-of-00004.csv`,
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "",
		"the output `file`: OUT.jsonl, OUT.csv, OUT.parquet, OUT.npz, or -")
	flags.BoolVar(&f.arrow, "arrow-stream", false,
		"answer a table in Arrow's stream format on standard input with another on standard output")
	flags.StringVar(&f.filesFrom, "files-from", "",
		"a `file` with a path on each line, or - for standard input, in place of INPUTs")
	flags.BoolVarP(&f.null, "null", "0", false,
		"paths in the list end with a zero byte, as find -print0 writes them")
	flags.StringVar(&f.column, "column", "", "the column of paths or images in tables")
	f.separator.register(cmd)
	flags.StringVar(&f.feature, "feature", "",
		"the feature of TFRecords that holds the image (default image/encoded, or image)")
	flags.StringSliceVar(&f.keep, "keep", nil,
		"`COLUMNS` of tables, TFRecord features, or WebDataset endings, to carry to the output; "+
			"COLUMN=NAME gives another name")
	flags.IntVar(&f.batch, "batch", 32, "images that run together")
	flags.IntVar(&f.top, "topk", 5, "classes an image")
	flags.StringSliceVar(&f.outputs, "outputs", nil,
		"what to keep of an image: top, probs, features and `NAMES` of outputs of the model "+
			"(default top, or the answer where it tells no classes)")
	completeWords(cmd, "outputs", score.Top, score.Probs, score.Features)
	f.values = addChoice(cmd, "output-type", "the numbers of the classes", "prob", "logit")
	f.labels = addChoice(cmd, "label-type", "what the label columns hold", "name", "id", "both",
		"none")
	flags.BoolVar(&f.separate, "results-separate-col", false,
		"a column for each of the best classes, in place of lists")
	flags.StringVar(&f.shard, "shard", "",
		"classify shard `I/N` of the batches, or /N with I from JOB_COMPLETION_INDEX")
	f.onError = addChoice(cmd, "on-error", "what an image that cannot be classified does",
		"record", "skip", "stop")
	flags.Var(&f.failures, "max-failures",
		"fail when more images than `N`, or P% of them, cannot be classified (default all may)")
	flags.StringVar(&f.failed, "failures", "",
		"write the index, path and error of each image that cannot be classified to a CSV `file`")
	flags.BoolVar(&f.empty, "allow-empty", false,
		"inputs without an image are an output without rows; standard input may always be empty")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors")
	must(cmd.MarkFlagFilename("output", outputExtensions...))
	must(cmd.MarkFlagFilename("files-from"))
	f.model.register(cmd)
	f.isolated.register(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if f.batch < 1 || f.top < 1 {
			return fmt.Errorf("--batch, --topk: expected 1 or more, got %d, %d", f.batch, f.top)
		}
		if f.arrow {
			return f.checkStream(cmd, args)
		}
		switch {
		case f.output == "":
			return fmt.Errorf("missing --output")
		case len(args) == 0 && f.filesFrom == "":
			return fmt.Errorf("missing INPUT")
		case f.null && f.filesFrom == "" && !slices.Equal(args, []string{"-"}):
			return fmt.Errorf("--null: expected a list, --files-from or -, got none")
		case len(args) > 0 && f.filesFrom != "":
			return fmt.Errorf("expected INPUTs or --files-from, got both")
		case f.failed != "" && f.output == "-":
			return fmt.Errorf("--failures: expected an --output FILE, got -, which is not kept")
		}
		return score.CheckOutput(f.output)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) }
	return cmd
}

func (f *scoreFlags) run(cmd *cobra.Command, args []string) error {
	if f.arrow {
		return f.stream(cmd)
	}
	var shard score.Shard
	var err error
	if f.shard != "" {
		if shard, err = score.ParseShard(f.shard); err != nil {
			return usagef("--%v", err)
		}
	}
	stderr := cmd.ErrOrStderr()
	skipped := new(score.Skipped)
	source, kept, err := f.source(cmd.Context(), args, cmd.InOrStdin(), skipped)
	if err != nil {
		if cmd.Context().Err() != nil {
			return fmt.Errorf("stopped before the list ended, with no image scored; " +
				"the same command with the same list goes on")
		}
		return asUsage(err)
	}
	shown := newProgress(stderr, f.quiet, "loading the model")
	defer shown.close()
	model, err := f.isolated.open(cmd.Context(), f.model, worker.Config{
		Stderr: func(line string) { shown.line("%s\n", line) },
	})
	if err != nil {
		if cmd.Context().Err() != nil {
			return fmt.Errorf("stopped while the model was loaded; the same command goes on from where " +
				"it was")
		}
		return err
	}
	defer func() {
		// Close waits for the batch in TensorFlow, which the end of the process need not.
		if cmd.Context().Err() == nil {
			_ = model.Close()
		}
	}()
	scored, err := score.NewModel(model, f.model.dir, f.model.precision.value)
	if err != nil {
		return err
	}
	summary, err := score.Run(cmd.Context(), score.Config{
		Model: scored, Source: source, Output: f.output, Stdout: cmd.OutOrStdout(),
		Columns: f.columns(), Kept: kept,
		Batch: f.batch, Concurrency: len(model.Devices()), Workers: runtime.GOMAXPROCS(0), Shard: shard,
		OnError: score.OnError(f.onError.value), AllowEmpty: f.empty || f.fromStdin(args),
		MaxFailures: f.failures.orNil(),
		Failures:    f.failed,
		Versions:    versions(), Machine: thisMachine().String(), Skipped: skipped,
		Warn:     func(message string) { shown.line("kerasrun: %s\n", message) },
		Progress: shown.update,
	})
	shown.close()
	if err != nil {
		if cmd.Context().Err() != nil {
			goesOn := "the same command goes on from there"
			if f.output == "-" {
				goesOn = "a pipe begins anew, an --output FILE can go on"
			}
			return fmt.Errorf("stopped after %d of %d images; %s", summary.Answered+summary.Failed,
				summary.Images, goesOn)
		}
		var many *score.FailuresError
		if errors.As(err, &many) && f.output != "-" && !summary.Already {
			return fmt.Errorf("%w; --max-failures allows more, and the same command goes on; remove "+
				"%s.journal to try those that failed again", err, summary.Output)
		}
		return asUsage(err)
	}
	if !f.quiet {
		noteSynthetic(stderr, model.SavedModel())
		r := &score.Report{Output: summary.Output, Images: summary.Images,
			Answered: summary.Answered, Failed: summary.Failed, Skipped: skipped.Reasons()}
		page := ""
		if summary.Report != nil {
			r = summary.Report
			page = ", report " + r.Page()
		}
		words := fmt.Sprintf("%s: %s%s", r.Summary(), r.Output, page)
		if summary.Already {
			words += ", complete before"
		}
		fmt.Fprintln(stderr, "kerasrun:", words)
	}
	if summary.Failed > 0 {
		return errFailedImages
	}
	return nil
}

func (f *scoreFlags) columns() score.Columns {
	return score.Columns{
		Outputs: f.outputs, Top: f.top, Labels: score.LabelType(f.labels.value),
		Logits: f.values.value == "logit", Separate: f.separate,
	}
}

// fromStdin says whether the inputs are a list on standard input.
func (f *scoreFlags) fromStdin(args []string) bool {
	return f.filesFrom == "-" || slices.Equal(args, []string{"-"})
}

func (f *scoreFlags) source(
	ctx context.Context, args []string, stdin io.Reader, skipped *score.Skipped,
) (score.Source, []score.Kept, error) {
	keep, err := f.kept(args)
	if err != nil {
		return nil, nil, err
	}
	read := score.List
	if f.null {
		read = score.ListNull
	}
	switch {
	case f.fromStdin(args):
		source, err := read(stdin)
		return source, nil, err
	case f.filesFrom == "":
		return score.Open(ctx, args, score.InputOptions{Column: f.column, Separator: f.separator.rune,
			Feature: f.feature, Keep: keep, Skipped: skipped, AllowEmpty: f.empty})
	}
	list, err := openFile(ctx, f.filesFrom)
	if err != nil {
		return nil, nil, err
	}
	defer list.Close()
	source, err := read(newReader(ctx, list))
	return source, nil, err
}

// kept are the columns that --keep names.
func (f *scoreFlags) kept(args []string) ([]score.Keep, error) {
	if len(f.keep) > 0 && (f.filesFrom != "" || f.fromStdin(args)) {
		return nil, usagef("--keep: expected inputs with columns, such as a table, got a list of " +
			"paths")
	}
	var keep []score.Keep
	for _, text := range f.keep {
		k, err := score.ParseKeep(text)
		if err != nil {
			return nil, usagef("--%v", err)
		}
		keep = append(keep, k)
	}
	return keep, nil
}

func versions() map[string]string {
	v := map[string]string{"tensorflow": runner.Version(), "go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v["kerasrun"] = info.Main.Version
	}
	return v
}
