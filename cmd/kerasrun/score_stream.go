package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"kerasrun/score"
	"kerasrun/worker"
)

// checkStream says what is wrong with a command line with --arrow-stream.
func (f *scoreFlags) checkStream(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("--arrow-stream: expected a table on standard input, got the INPUT %q",
			args[0])
	}
	if f.column == "" {
		return fmt.Errorf("--arrow-stream: expected a --column of paths or images, got none")
	}
	for _, name := range scoreOnly {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--arrow-stream: expected no --%s, which is for an output file, got it",
				name)
		}
	}
	return nil
}

// scoreOnly are the flags of score that mean nothing where a stream is answered.
var scoreOnly = []string{"output", "files-from", "null", "separator", "feature", "keep",
	"results-separate-col", "shard", "on-error", "max-failures", "failures", "allow-empty"}

// stream answers a table in Arrow's stream format on standard input with another on standard
// output.
func (f *scoreFlags) stream(cmd *cobra.Command) error {
	stderr := cmd.ErrOrStderr()
	warn := func(line string) { fmt.Fprintln(stderr, "kerasrun:", printable(line)) }
	model, err := f.isolated.open(cmd.Context(), f.model, worker.Config{
		Stderr: func(line string) { fmt.Fprintln(stderr, printable(line)) },
	})
	if err != nil {
		return err
	}
	scored, err := score.NewModel(model, f.model.dir, f.model.precision.value)
	if err != nil {
		return err
	}
	counts, err := score.Stream(cmd.Context(), score.StreamConfig{
		Model: scored, Columns: f.columns(), Column: f.column, Batch: f.batch,
		Concurrency: len(model.Devices()), Workers: runtime.GOMAXPROCS(0), Warn: warn,
	}, cmd.InOrStdin(), cmd.OutOrStdout())
	if err != nil {
		return asUsage(err) // the end of the process need not wait for a batch in TensorFlow
	}
	if err := model.Close(); err != nil {
		return err
	}
	if !f.quiet {
		noteSynthetic(stderr, model.SavedModel())
		fmt.Fprintf(stderr, "kerasrun: %d images, %d scored, %d failed\n", counts.Images,
			counts.Answered, counts.Failed)
	}
	if counts.Failed > 0 {
		return errFailedImages
	}
	return nil
}
