// Images is preprocessing alone in the comparison with Pillow and numpy: the bytes of an image file
// to a tensor, on one thread.
//
//	images FILE FILTER WIDTH HEIGHT
package main

import (
	"fmt"
	"os"
	"strconv"

	"gopeers/turns"

	"kerasrun/preprocess"
	"kerasrun/tensor"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("expected four arguments, got %q", args)
	}
	file, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	method, err := preprocess.ParseMethod(args[1])
	if err != nil {
		return err
	}
	width, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	height, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	return turns.Serve(1, func() (turns.Predict, error) {
		p := &preprocess.Pipeline{
			Decode: preprocess.Decode{Color: preprocess.BGR},
			Resize: preprocess.Resize{Method: method},
			Normalize: preprocess.Normalize{Steps: []preprocess.Step{
				{Op: preprocess.Subtract, Values: []float64{103.939, 116.779, 123.68}}}},
			Width: width, Height: height, DType: tensor.Float32,
		}
		image, x := new(preprocess.Image), make([]float32, 0, 3*width*height)
		return func() ([]float32, error) {
			if err := p.ReadImage(image, file); err != nil {
				return nil, err
			}
			return p.AppendFloat32(x, image)
		}, nil
	})
}
