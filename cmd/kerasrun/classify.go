package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kerasrun/runner"
)

// classifyBatches is how many batches of Classify are read and printed at a time: several, so that it can prepare one while another runs.
const classifyBatches = 4

func newClassifyCommand() *cobra.Command {
	var model modelFlags
	var top int
	cmd := &cobra.Command{
		Use:   "classify IMAGE...",
		Short: "Print the most probable classes of pictures",
		Long: `Print the most probable classes of JPEG, PNG, GIF, BMP and WebP pictures, as Keras's decode_predictions gives them.

An IMAGE is a file, a directory, of which every picture below it is taken, or - for standard input. A picture that cannot be
read or decoded is named on standard error with the reason; the others are answered all the same, and the exit status is 1.

` + predictionsHelp,
		Example: `  kerasrun classify cat.jpg
  kerasrun classify --top 1 --format csv photos > photos.csv
  curl -s https://example.com/cat.jpg | kerasrun classify --format jsonl -`,
		Args: imageArgs,
	}
	model.register(cmd)
	cmd.Flags().IntVar(&top, "top", 5, "classes a picture; all of them where there are fewer")
	format := addChoice(cmd, "format", "what to print", "text", "json", "jsonl", "csv")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if top < 1 {
			return usagef("--top: want 1 or more, got %d", top)
		}
		m, err := model.open(cmd.Context())
		if err != nil {
			return err
		}
		defer m.Close()
		if format.value == "text" {
			noteSynthetic(cmd.ErrOrStderr(), m.SavedModel())
		}
		c := &classification{
			model: m, top: top, out: newPredictionWriter(cmd.OutOrStdout(), format.value), stderr: cmd.ErrOrStderr(),
		}
		return c.run(cmd.Context(), args, cmd.InOrStdin())
	}
	return cmd
}

// imageArgs wants one or more pictures, and standard input not twice.
func imageArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("want one or more pictures")
	}
	inputs := 0
	for _, arg := range args {
		if arg == "-" {
			inputs++
		}
	}
	if inputs > 1 {
		return errors.New("want standard input (-) once")
	}
	return nil
}

// classification is one call of classify.
type classification struct {
	model  *runner.Model
	top    int
	out    predictionWriter
	stderr io.Writer

	paths  []string // of the batch that is being read
	images [][]byte
	failed bool
}

func (c *classification) run(ctx context.Context, args []string, stdin io.Reader) error {
	for path, err := range walkImages(args) {
		var image []byte
		if err == nil {
			image, err = readImage(path, stdin)
		}
		if err != nil {
			c.bad(err)
			continue
		}
		c.paths, c.images = append(c.paths, path), append(c.images, image)
		if len(c.paths) == classifyBatches*len(c.model.Devices())*c.model.BatchSize() {
			if err := c.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := c.flush(ctx); err != nil {
		return err
	}
	if err := c.out.close(); err != nil {
		return err
	}
	if c.failed {
		return errReported
	}
	return nil
}

// bad reports a picture without ending the run.
func (c *classification) bad(err error) {
	reportError(c.stderr, err)
	c.failed = true
}

// flush classifies the batch and prints its predictions.
func (c *classification) flush(ctx context.Context) error {
	if len(c.images) == 0 {
		return nil
	}
	rows, err := c.model.Classify(ctx, c.top, c.images...)
	bad, err := imageErrors(err)
	if err != nil {
		return err
	}
	for i, path := range c.paths {
		if reason := bad[i]; reason != nil {
			c.bad(fmt.Errorf("%s: %w", path, reason))
			continue
		}
		if err := c.out.write(path, rows[i]); err != nil {
			return err
		}
	}
	c.paths, c.images = c.paths[:0], c.images[:0]
	return nil
}

// imageErrors takes the error of runner.Model.Classify apart: what is wrong with single pictures, by index, and what else is wrong.
func imageErrors(err error) (bad map[int]error, rest error) {
	bad = map[int]error{}
	var others []error
	var take func(error)
	take = func(err error) {
		if image, ok := err.(*runner.ImageError); ok {
			bad[image.Index] = image.Err
		} else if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, each := range joined.Unwrap() {
				take(each)
			}
		} else if err != nil {
			others = append(others, err)
		}
	}
	take(err)
	return bad, errors.Join(others...)
}
