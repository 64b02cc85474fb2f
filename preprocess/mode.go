package preprocess

import "fmt"

// KerasMode returns what keras.applications.imagenet_utils.preprocess_input computes in a mode, and
// the channels that the tensor then has: "caffe" (blue, green, red less 103.939, 116.779, 123.68),
// "tf" (x / 127.5 - 1), "torch" (x / 255, less 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225)
// or "none" (as img_to_array returns them).
func KerasMode(name string) (Color, Normalize, error) {
	step := func(op Op, values ...float64) Step { return Step{op, values} }
	steps := func(s ...Step) Normalize { return Normalize{Steps: s} }
	switch name {
	case "caffe":
		return BGR, steps(step(Subtract, 103.939, 116.779, 123.68)), nil
	case "tf":
		return RGB, steps(step(Divide, 127.5), step(Subtract, 1)), nil
	case "torch":
		return RGB, steps(step(Divide, 255), step(Subtract, 0.485, 0.456, 0.406),
			step(Divide, 0.229, 0.224, 0.225)), nil
	case "none":
		return RGB, Normalize{}, nil
	}
	return 0, Normalize{}, fmt.Errorf("preprocess: expected the mode to be one of caffe, tf, "+
		"torch, none, got %q", name)
}
