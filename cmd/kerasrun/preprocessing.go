package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kerasrun/contract"
	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// preprocessingFlags say how images are preprocessed: as the model's manifest or a contract says,
// changed by the flags that are given.
type preprocessingFlags struct {
	model      modelDir
	contract   string
	size       string
	mode       *choice
	resample   *choice
	keepAspect bool
	centerCrop bool
}

// preprocessingNames are the flags that change what the manifest says.
var preprocessingNames = []string{
	"image-size", "mode", "resample", "keep-aspect-ratio", "center-crop",
}

func (f *preprocessingFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.size, "image-size", "224x224", "height and width, `HxW`")
	f.mode = addChoice(cmd, "mode", "how RGB becomes float32", "caffe", "tf", "torch", "none")
	f.resample = addChoice(cmd, "resample", "filter of the resizing",
		"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
	flags.BoolVar(&f.keepAspect, "keep-aspect-ratio", false,
		"crop to the size's ratio before resizing, as Keras does")
	flags.BoolVar(&f.centerCrop, "center-crop", false,
		"resize the short side, then crop the centre")
	flags.StringVar(&f.contract, "contract", "",
		"in place of a model's manifest: a `file` that kerasrun-contract find --out wrote")
	must(cmd.MarkFlagFilename("contract", "json"))
	cmd.MarkFlagsMutuallyExclusive("keep-aspect-ratio", "center-crop")
	underHeading(cmd, "Preprocessing flags", append([]string{"contract"}, preprocessingNames...)...)
	f.model.register(cmd)
	cmd.MarkFlagsMutuallyExclusive("contract", "model")
}

// pipeline is that of the model, changed by the flags that were given. It reads no model where
// there are such flags and no --model.
func (f *preprocessingFlags) pipeline(cmd *cobra.Command) (*preprocess.Pipeline, error) {
	given := map[string]bool{}
	for _, name := range preprocessingNames {
		if cmd.Flags().Changed(name) {
			given[name] = true
		}
	}
	p := &preprocess.Pipeline{Width: 224, Height: 224, DType: tensor.Float32}
	p.Decode.Color, p.Normalize, _ = preprocess.KerasMode("caffe") // there is one
	var err error
	switch {
	case f.contract != "":
		p, err = readContract(f.contract)
	case cmd.Flags().Changed("model") || len(given) == 0:
		p, err = f.model.pipeline(cmd.Context())
	}
	if err != nil {
		return nil, err
	}
	if given["image-size"] {
		if p.Height, p.Width, err = parseSize(f.size); err != nil {
			return nil, err
		}
	}
	if given["mode"] {
		p.Decode.Color, p.Normalize, err = preprocess.KerasMode(f.mode.value)
		if err != nil {
			return nil, err
		}
	}
	if given["resample"] {
		p.Resize.By = preprocess.Pillow
		if p.Resize.Method, err = preprocess.ParseMethod(f.resample.value); err != nil {
			return nil, err
		}
	}
	if given["keep-aspect-ratio"] || given["center-crop"] {
		switch {
		case f.keepAspect:
			p.Resize.Fit = preprocess.Crop
		case f.centerCrop:
			p.Resize.Fit = preprocess.ShortSide
		default:
			p.Resize.Fit = preprocess.Stretch
		}
	}
	if given["center-crop"] || given["image-size"] && p.Resize.Fit == preprocess.ShortSide {
		p.Resize.ShortSide = max(p.Width, p.Height) * 8 / 7 // the target is 224/256 of it
	}
	if err := p.Validate(); err != nil {
		return nil, usagef("%v", err)
	}
	return p, nil
}

// readContract reads the inputs that kerasrun-contract wrote, as a manifest has them, and returns
// how their one image is made.
func readContract(path string) (*preprocess.Pipeline, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var inputs []contract.Input
	d := json.NewDecoder(io.LimitReader(file, contract.MaxManifestBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(&inputs); err != nil {
		return nil, fmt.Errorf("%s: expected a list of inputs, as kerasrun-contract find --out "+
			"writes it: %w", path, err)
	}
	m := contract.Manifest{Inputs: inputs}
	in := m.Image()
	if in == nil || in.Kind != contract.KindImage {
		return nil, fmt.Errorf("%s: expected one input of the kind image, got %d inputs", path,
			len(inputs))
	}
	p, err := in.Pipeline()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func parseSize(size string) (height, width int, err error) {
	h, w, ok := strings.Cut(size, "x")
	if ok {
		height, err = strconv.Atoi(h)
		if err == nil {
			width, err = strconv.Atoi(w)
		}
	}
	if !ok || err != nil {
		return 0, 0, usagef("--image-size: expected HxW, such as 224x224, got %q", size)
	}
	return height, width, nil
}
