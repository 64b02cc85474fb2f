package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kerasrun/preprocess"
)

// contractFlags say how pictures are prepared: the model's contract, or flags, or both.
type contractFlags struct {
	model      modelDir
	size       string
	mode       *choice
	resample   *choice
	keepAspect bool
	centerCrop bool
}

func (c *contractFlags) register(cmd *cobra.Command) {
	c.model.register(cmd)
	cmd.Flags().StringVar(&c.size, "size", "224x224", "height and width, HxW")
	c.mode = addChoice(cmd, "mode", "how RGB becomes float32", "caffe", "tf", "torch", "none")
	c.resample = addChoice(cmd, "resample", "filter of the resizing",
		"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
	cmd.Flags().BoolVar(&c.keepAspect, "keep-aspect-ratio", false, "crop to the size's ratio before resizing, as Keras does")
	cmd.Flags().BoolVar(&c.centerCrop, "center-crop", false, "resize the short side, then crop the centre")
	cmd.MarkFlagsMutuallyExclusive("keep-aspect-ratio", "center-crop")
}

// pipeline is that of the model, changed by the flags that were given. It reads no model where there are such flags and no --model.
func (c *contractFlags) pipeline(cmd *cobra.Command) (*preprocess.Pipeline, error) {
	given := map[string]bool{}
	for _, name := range []string{"size", "mode", "resample", "keep-aspect-ratio", "center-crop"} {
		if cmd.Flags().Changed(name) {
			given[name] = true
		}
	}
	p := &preprocess.Pipeline{Width: 224, Height: 224, Filter: preprocess.Nearest, Fit: preprocess.Stretch, Mode: preprocess.Caffe}
	if cmd.Flags().Changed("model") || len(given) == 0 {
		var err error
		if p, err = c.model.pipeline(); err != nil {
			return nil, err
		}
	}
	var err error
	if given["size"] {
		if p.Height, p.Width, err = parseSize(c.size); err != nil {
			return nil, err
		}
	}
	if given["mode"] {
		if p.Mode, err = preprocess.ParseMode(c.mode.value); err != nil {
			return nil, err
		}
	}
	if given["resample"] {
		if p.Filter, err = preprocess.ParseFilter(c.resample.value); err != nil {
			return nil, err
		}
	}
	if given["keep-aspect-ratio"] || given["center-crop"] {
		switch {
		case c.keepAspect:
			p.Fit = preprocess.KeepAspectRatio
		case c.centerCrop:
			p.Fit = preprocess.CenterCrop
		default:
			p.Fit = preprocess.Stretch
		}
	}
	if err := p.Validate(); err != nil {
		return nil, usagef("%v", err)
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
		return 0, 0, usagef("--size: want HxW, such as 224x224, got %q", size)
	}
	return height, width, nil
}
