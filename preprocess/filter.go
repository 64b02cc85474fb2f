package preprocess

import (
	"fmt"
	"strings"
)

// Filter is a resampling filter of Pillow's. The zero value, Nearest, is what load_img uses
// unless told otherwise.
type Filter int

// The filters, by the names that Keras gives them.
const (
	Nearest Filter = iota
	Box
	Bilinear
	Hamming
	Bicubic
	Lanczos
)

var filterNames = []string{"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}

// String returns the filter's name in Keras: "nearest", "box", "bilinear", "hamming", "bicubic" or
// "lanczos".
func (f Filter) String() string { return nameOf("Filter", filterNames, int(f)) }

// ParseFilter returns the filter that load_img knows by name as its interpolation.
func ParseFilter(name string) (Filter, error) {
	i, err := parseName("filter", filterNames, name)
	return Filter(i), err
}

// Fit says how an image of another shape is brought to the size asked for.
type Fit int

const (
	// Stretch resizes the whole image, as load_img does with keep_aspect_ratio=False.
	Stretch Fit = iota
	// KeepAspectRatio resizes the largest centred crop that has the target's shape, as load_img
	// does with keep_aspect_ratio=True.
	KeepAspectRatio
	// CenterCrop resizes the whole image, its shape kept, and then cuts the target out of the
	// middle: the usual way to evaluate on ImageNet, torchvision's Resize(256) and CenterCrop(224)
	// on a Pillow image. See Pipeline.Fit.
	CenterCrop
)

var fitNames = []string{"stretch", "keep_aspect_ratio", "center_crop"}

// String returns "stretch", "keep_aspect_ratio" or "center_crop".
func (f Fit) String() string { return nameOf("Fit", fitNames, int(f)) }

// ParseFit is the inverse of Fit.String.
func ParseFit(name string) (Fit, error) {
	i, err := parseName("fit", fitNames, name)
	return Fit(i), err
}

// Mode is a way of keras.applications.imagenet_utils.preprocess_input to scale and order the
// channels.
type Mode int

const (
	// Caffe orders the channels blue, green, red and subtracts 103.939, 116.779 and 123.68; no
	// scaling.
	Caffe Mode = iota
	// TF scales to -1..1: x / 127.5 - 1.
	TF
	// Torch computes x / 255, subtracts 0.485, 0.456, 0.406 and divides by 0.229, 0.224, 0.225
	// (red, green, blue).
	Torch
	// None keeps red, green and blue from 0 to 255, as img_to_array returns them.
	None
)

var modeNames = []string{"caffe", "tf", "torch", "none"}

// String returns "caffe", "tf", "torch" or "none".
func (m Mode) String() string { return nameOf("Mode", modeNames, int(m)) }

// ParseMode is the inverse of Mode.String.
func ParseMode(name string) (Mode, error) {
	i, err := parseName("mode", modeNames, name)
	return Mode(i), err
}

func nameOf(kind string, names []string, i int) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("%s(%d)", kind, i)
	}
	return names[i]
}

func parseName(kind string, names []string, name string) (int, error) {
	for i, n := range names {
		if n == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("preprocess: expected the %s to be one of %s, got %q", kind,
		strings.Join(names, ", "), name)
}
