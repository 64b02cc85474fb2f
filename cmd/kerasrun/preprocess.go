package main

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"kerasrun/internal/atomicfile"
	"kerasrun/preprocess"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

func newPreprocessCommand() *cobra.Command {
	var contract contractFlags
	var output string
	cmd := &cobra.Command{
		Use:   "preprocess -o OUT.npy IMAGE...",
		Short: "Write the tensors that Keras would make of pictures",
		Long: `Write what Keras makes of pictures: keras.utils.load_img, then preprocess_input.

Pictures are prepared as the model in --model asks for, changed by the flags that are given. With such flags and no --model, no
model is read, and what no flag says is ResNeXt50's: 224x224, nearest, stretched, caffe.

  --stage decode   uint8 RGB, height x width x 3, of each picture's own size
  --stage resize   uint8 RGB of the model's size
  --stage tensor   float32 of the model's size, normalised

OUT.npy gets all pictures as one array, N x height x width x 3, in the order of the arguments; decoded pictures of different size do
not fit into one and are an error. OUT.npz gets an array a picture, under the picture's path.

An IMAGE is a file, a directory, of which every picture below it is taken, or - for standard input. A picture that cannot be
read or decoded is left out and named on standard error with the reason, and the exit status is 1.`,
		Example: `  kerasrun preprocess -o x.npy cat.jpg dog.jpg
  kerasrun preprocess --mode tf --size 299x299 --resample bilinear -o x.npy photos
  kerasrun preprocess --stage decode -o decoded.npz photos`,
		Args: imageArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "npy or npz file to write")
	cmd.MarkFlagRequired("output")
	stage := addChoice(cmd, "stage", "how far to go", "tensor", "resize", "decode")
	contract.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		extension := filepath.Ext(output)
		if extension != ".npy" && extension != ".npz" {
			return usagef("--output: want a file name that ends in .npy or .npz, got %q", output)
		}
		pipeline, err := contract.pipeline(cmd)
		if err != nil {
			return err
		}
		pictures, bad := prepare(pipeline, stage.value, args, cmd.InOrStdin())
		for _, err := range bad {
			reportError(cmd.ErrOrStderr(), err)
		}
		if len(pictures) == 0 {
			return errReported
		}
		if err := savePictures(cmd.OutOrStdout(), output, pictures); err != nil {
			return err
		}
		if len(bad) > 0 {
			return errReported
		}
		return nil
	}
	return cmd
}

// prepared is one picture's array, height x width x 3.
type prepared struct {
	path  string
	array tensor.Tensor
}

// prepare takes every picture as far as stage, on every core, and returns those that can be, in the order of args, and the errors of
// the others.
func prepare(p *preprocess.Pipeline, stage string, args []string, stdin io.Reader) ([]prepared, []error) {
	type result struct {
		prepared
		err error
	}
	var results []*result
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for path, err := range walkImages(args) {
		r := &result{prepared{path: path}, err}
		results = append(results, r)
		if err != nil {
			continue
		}
		group.Go(func() error {
			image, err := readImage(path, stdin)
			if err == nil {
				if r.array, err = stageArray(p, stage, image); err != nil {
					err = fmt.Errorf("%s: %w", path, err)
				}
			}
			r.err = err
			return nil
		})
	}
	group.Wait() // no picture ends the others
	var good []prepared
	var bad []error
	for _, r := range results {
		if r.err != nil {
			bad = append(bad, r.err)
			continue
		}
		good = append(good, r.prepared)
	}
	return good, bad
}

func stageArray(p *preprocess.Pipeline, stage string, image []byte) (tensor.Tensor, error) {
	if stage == "tensor" {
		values, err := p.Append(nil, image)
		if err != nil {
			return tensor.Tensor{}, err
		}
		return tensor.New(tensor.Shape{int64(p.Height), int64(p.Width), 3}, values)
	}
	rgb, err := preprocess.Decode(image, p.MaxPixels)
	if err == nil && stage == "resize" {
		rgb, err = p.Resize(rgb)
	}
	if err != nil {
		return tensor.Tensor{}, err
	}
	return tensor.New(tensor.Shape{int64(rgb.Height), int64(rgb.Width), 3}, rgb.Pix)
}

// savePictures writes an npy or npz file and says what is in it.
func savePictures(stdout io.Writer, output string, pictures []prepared) error {
	if filepath.Ext(output) == ".npz" {
		arrays := map[string]tensor.Tensor{}
		for _, p := range pictures {
			arrays[filepath.ToSlash(p.path)] = p.array
		}
		if len(arrays) < len(pictures) {
			return fmt.Errorf("%s: want every picture once, got the same path twice", output)
		}
		if err := atomicfile.Write(output, func(w io.Writer) error { return npy.WriteZip(w, arrays) }); err != nil {
			return err
		}
		_, err := fmt.Fprintf(stdout, "%s: %d arrays of %v\n", output, len(arrays), pictures[0].array.DType)
		return err
	}
	first := pictures[0]
	for _, p := range pictures {
		if !slices.Equal(p.array.Shape, first.array.Shape) {
			return fmt.Errorf("%s: want pictures of one size, got %v of %s and %v of %s; an npz file takes them all",
				output, first.array.Shape, first.path, p.array.Shape, p.path)
		}
	}
	batch, err := stack(pictures)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(output, func(w io.Writer) error { return npy.Write(w, batch) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %v %v\n", output, batch.DType, batch.Shape)
	return err
}

// stack makes one array, N x height x width x 3, of arrays of one shape and type.
func stack(pictures []prepared) (tensor.Tensor, error) {
	shape := slices.Concat(tensor.Shape{int64(len(pictures))}, pictures[0].array.Shape)
	if pictures[0].array.DType == tensor.Uint8 {
		return tensor.New(shape, concat[uint8](pictures))
	}
	return tensor.New(shape, concat[float32](pictures))
}

func concat[T tensor.Element](pictures []prepared) []T {
	parts := make([][]T, len(pictures))
	for i, p := range pictures {
		parts[i] = p.array.Data.([]T)
	}
	return slices.Concat(parts...)
}
