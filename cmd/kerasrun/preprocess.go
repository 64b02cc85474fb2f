package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"kerasrun/internal/atomicfile"
	"kerasrun/preprocess"
	"kerasrun/score"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

func newPreprocessCommand() *cobra.Command {
	var preprocessing preprocessingFlags
	var output string
	cmd := &cobra.Command{
		Use:   "preprocess -o OUT.npy IMAGE...",
		Short: "Write images as the tensors that Keras makes of them",
		Long: `Write the tensors that training code makes of images, by Pillow's, TensorFlow's or
OpenCV's own arithmetic.

Images are preprocessed as the manifest of --model says, or a file that kerasrun-contract wrote,
changed by the flags that are given. With such flags and neither of these, no model is read, and
what no flag says is ResNeXt50's: 224x224, nearest, stretched, caffe.

    --stage decode   uint8, height x width x channels, of each image's own size
    --stage resize   of the model's size: uint8, or float32 where TensorFlow's resize gives floats
    --stage tensor   as the model takes it: normalised, of its type and layout

OUT.npy gets all images as one array, N x an image's shape, in the order of the arguments. Images of
different sizes do not fit into one and are an error. OUT.npz gets an array an image, under the
image's path.

An IMAGE is a file, a directory, which stands for every image below it, or - for standard input. An
image that cannot be read or decoded is left out and named on standard error with the reason, and
the exit status is 1.`,
		Example: `  kerasrun preprocess -o x.npy cat.jpg dog.jpg
  kerasrun preprocess --mode tf --image-size 299x299 --resample bilinear -o x.npy photos
  kerasrun preprocess --stage decode -o decoded.npz photos`,
		Args: imageArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "npy or npz `file` to write")
	must(cmd.MarkFlagRequired("output"))
	must(cmd.MarkFlagFilename("output", "npy", "npz"))
	stage := addChoice(cmd, "stage", "how far to go", "tensor", "resize", "decode")
	preprocessing.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		extension := filepath.Ext(output)
		if extension != ".npy" && extension != ".npz" {
			return usagef("--output: expected a file name that ends in .npy or .npz, got %q", output)
		}
		pipeline, err := preprocessing.pipeline(cmd)
		if err != nil {
			return err
		}
		skipped := new(score.Skipped)
		images, bad := preprocessAll(
			cmd.Context(), pipeline, stage.value, args, cmd.InOrStdin(), skipped)
		noteSkipped(cmd.ErrOrStderr(), skipped)
		for _, err := range bad {
			reportError(cmd.ErrOrStderr(), err)
		}
		if len(images) == 0 {
			return errReported
		}
		if err := saveImages(cmd.OutOrStdout(), output, images); err != nil {
			return err
		}
		if len(bad) > 0 {
			return errReported
		}
		return nil
	}
	return cmd
}

// preprocessed is one image's array.
type preprocessed struct {
	path  string
	array tensor.Tensor
}

// preprocessAll takes every image as far as stage, on every core. It returns those that can be, in
// the order of args, and the errors of the others.
func preprocessAll(
	ctx context.Context, p *preprocess.Pipeline, stage string, args []string, stdin io.Reader,
	skipped *score.Skipped,
) ([]preprocessed, []error) {
	type result struct {
		preprocessed
		err error
	}
	var results []*result
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for path, err := range walkImages(ctx, args, skipped) {
		r := &result{preprocessed{path: path}, err}
		results = append(results, r)
		if err != nil {
			continue
		}
		group.Go(func() error {
			image, err := readImage(ctx, path, stdin)
			if err == nil {
				if r.array, err = stageArray(p, stage, image); err != nil {
					err = fmt.Errorf("%s: %w", path, err)
				}
			}
			r.err = err
			return nil
		})
	}
	group.Wait() // no image ends the others
	var good []preprocessed
	var bad []error
	for _, r := range results {
		if r.err != nil {
			bad = append(bad, r.err)
			continue
		}
		good = append(good, r.preprocessed)
	}
	return good, bad
}

func stageArray(p *preprocess.Pipeline, stage string, image []byte) (tensor.Tensor, error) {
	read := p.Image
	if stage == "decode" {
		read = p.DecodeImage
	}
	m, err := read(image)
	if err != nil {
		return tensor.Tensor{}, err
	}
	if stage == "tensor" {
		return p.Tensor(m)
	}
	shape := tensor.Shape{int64(m.Height), int64(m.Width), int64(m.Channels)}
	if len(m.Values) > 0 {
		return tensor.New(shape, m.Values)
	}
	return tensor.New(shape, m.Pix)
}

// saveImages writes an npy or npz file and prints what is in it.
func saveImages(stdout io.Writer, output string, images []preprocessed) error {
	if filepath.Ext(output) == ".npz" {
		arrays := map[string]tensor.Tensor{}
		for _, p := range images {
			arrays[filepath.ToSlash(p.path)] = p.array
		}
		if len(arrays) < len(images) {
			return fmt.Errorf("%s: expected every image once, got the same path twice", output)
		}
		write := func(w io.Writer) error { return npy.WriteZip(w, arrays) }
		if err := atomicfile.Write(output, write); err != nil {
			return err
		}
		_, err := fmt.Fprintf(stdout, "%s: %d arrays of %v\n",
			output, len(arrays), images[0].array.DType)
		return err
	}
	first := images[0]
	for _, p := range images {
		if !slices.Equal(p.array.Shape, first.array.Shape) {
			return fmt.Errorf("%s: expected images of one size, got %v of %s and %v of %s; "+
				"an npz file takes them all", output, first.array.Shape, first.path, p.array.Shape, p.path)
		}
	}
	batch, err := stack(images)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error { return npy.Write(w, batch) }
	if err := atomicfile.Write(output, write); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %v %v\n", output, batch.DType, batch.Shape)
	return err
}

// stack makes one array of arrays of one shape and type, with a first dimension for the images.
func stack(images []preprocessed) (tensor.Tensor, error) {
	rows := make([]tensor.Tensor, len(images))
	for i, p := range images {
		rows[i] = p.array
		rows[i].Shape = slices.Concat(tensor.Shape{1}, p.array.Shape)
	}
	return tensor.Concat(rows)
}
