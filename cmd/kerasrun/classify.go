package main

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/internal/atomicfile"
	"kerasrun/score"
)

func newClassifyCommand() *cobra.Command {
	var model modelFlags
	var top int
	var maps string
	cmd := &cobra.Command{
		Use:   "classify IMAGE...",
		Short: "Print the most probable classes of images",
		Long: `Print the most probable classes of images, in the order of Keras's decode_predictions, or what
else the model says of an image. JPEG, PNG, GIF, BMP and WebP are read, and PNM and TIFF where
Pillow decodes.

An IMAGE is a file, a directory, which stands for every image below it, or - for standard input. An
image that cannot be read or decoded is named on standard error with the reason. The others are
classified all the same, and the exit status is 1.

` + predictionsHelp,
		Example: `  kerasrun classify cat.jpg
  kerasrun classify --topk 1 --format csv photos > photos.csv
  curl -s https://example.com/cat.jpg | kerasrun classify --format jsonl -`,
		Args: imageArgs,
	}
	cmd.Flags().IntVar(&top, "topk", 5, "classes an image; all of them where there are fewer")
	cmd.Flags().StringVar(&maps, "map-dir", "",
		"`directory` for the map of each image, PATH.png with a palette, of the map's own size")
	must(cmd.MarkFlagDirname("map-dir"))
	format := addFormat(cmd, "text", "json", "jsonl", "csv")
	model.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if top < 1 {
			return usagef("--topk: expected 1 or more, got %d", top)
		}
		m, err := model.open(cmd.Context())
		if err != nil {
			return err
		}
		defer m.Close()
		if format.value == "text" {
			noteSynthetic(cmd.ErrOrStderr(), m.SavedModel())
		}
		c, err := m.Classifier()
		if err != nil {
			return err
		}
		output := c.Outputs()[0]
		if maps != "" && output.Kind != contract.Map {
			return usagef("--map-dir: expected a model that answers with a map, got %s of the output %q",
				output.Kind, output.Name)
		}
		skipped := new(score.Skipped)
		results := c.Stream(cmd.Context(), top, images(cmd.Context(), args, cmd.InOrStdin(), skipped))
		out := newPredictionWriter(cmd.OutOrStdout(), format.value, output)
		if maps != "" {
			out = &mapFiles{out, maps, map[string]bool{}}
		}
		err = printPredictions(results, out, cmd.ErrOrStderr())
		noteSkipped(cmd.ErrOrStderr(), skipped)
		return err
	}
	return cmd
}

// imageArgs allows one or more images, and standard input once.
func imageArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("missing IMAGE")
	}
	inputs := 0
	for _, arg := range args {
		if arg == "-" {
			inputs++
		}
	}
	if inputs > 1 {
		return fmt.Errorf("expected standard input (-) once, got it %d times", inputs)
	}
	return nil
}

// images yields the images that args name, as walkImages does.
func images(
	ctx context.Context, args []string, stdin io.Reader, skipped *score.Skipped,
) iter.Seq[classify.Image] {
	return func(yield func(classify.Image) bool) {
		for path, err := range walkImages(args, skipped) {
			read := func() ([]byte, error) {
				data, err := []byte(nil), err
				if err == nil {
					data, err = readImage(ctx, path, stdin)
				}
				if err != nil {
					return nil, &readError{err}
				}
				return data, nil
			}
			if !yield(classify.Image{Name: path, Read: read}) {
				return
			}
		}
	}
}

// readError is of a file that cannot be read; it names the file.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// printPredictions prints results as they come. An image without predictions is named on stderr,
// and does not end the run.
func printPredictions(
	results iter.Seq2[classify.Result, error], out predictionWriter, stderr io.Writer,
) error {
	failed := false
	for result, err := range results {
		if err != nil {
			return err
		}
		if result.Err != nil {
			var named *readError
			if !errors.As(result.Err, &named) {
				result.Err = fmt.Errorf("%s: %w", result.Image.Name, result.Err)
			}
			reportError(stderr, result.Err)
			failed = true
			continue
		}
		if err := out.write(score.EscapePath(result.Image.Name), result.Answer); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	if failed {
		return errReported
	}
	return nil
}

// mapFiles writes the map of each image beside what its predictionWriter prints.
type mapFiles struct {
	predictionWriter
	dir     string
	written map[string]bool
}

func (m *mapFiles) write(path string, a classify.Answer) error {
	// Below dir, whatever the path: of / and of .. nothing is left.
	file := filepath.Join(m.dir, filepath.Clean("/"+path)) + ".png"
	if m.written[file] {
		return fmt.Errorf("%s: expected every map once, got another for %s: give paths that differ "+
			"below --map-dir", file, path)
	}
	m.written[file] = true
	img, err := a.Map.Image()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	if err := atomicfile.Write(file, func(w io.Writer) error { return png.Encode(w, img) }); err != nil {
		return err
	}
	return m.predictionWriter.write(path, a)
}
