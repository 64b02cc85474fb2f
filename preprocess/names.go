package preprocess

import (
	"fmt"
	"strings"
)

// Library is the library whose pixels a step computes, to the bit.
type Library int

// The libraries. Each has decoders and methods of its own; see [Methods] and [Fits].
const (
	Pillow     Library = iota // keras.utils.load_img, PIL.Image
	TensorFlow                // tf.io.decode_image, tf.image.resize
	OpenCV                    // cv2.imread, cv2.resize
)

var libraryNames = []string{"pillow", "tensorflow", "opencv"}

// String returns "pillow", "tensorflow" or "opencv".
func (l Library) String() string { return nameOf("Library", libraryNames, int(l)) }

// ParseLibrary is the inverse of Library.String.
func ParseLibrary(name string) (Library, error) {
	return parse[Library]("library", libraryNames, name)
}

// Color says which channels an image is decoded to, and their order in the tensor.
type Color int

// The colours.
const (
	RGB            Color = iota
	BGR                  // red, green and blue as decoded; blue, green, red in the tensor
	Grayscale            // the decoder's own grey
	GrayscaleOfRGB       // decoded to RGB, then turned grey
	RGBA
)

var colorNames = []string{"rgb", "bgr", "grayscale", "grayscale_of_rgb", "rgba"}

// String returns "rgb", "bgr", "grayscale", "grayscale_of_rgb" or "rgba".
func (c Color) String() string { return nameOf("Color", colorNames, int(c)) }

// ParseColor is the inverse of Color.String.
func ParseColor(name string) (Color, error) { return parse[Color]("color", colorNames, name) }

// Channels returns 1, 3 or 4.
func (c Color) Channels() int {
	switch c {
	case Grayscale, GrayscaleOfRGB:
		return 1
	case RGBA:
		return 4
	}
	return 3
}

// Method is a way to resample. Methods of one name differ between the libraries.
type Method int

// The methods. [Methods] says which library has which.
const (
	Nearest Method = iota
	Box
	Bilinear
	Hamming
	Bicubic
	Lanczos
	Area
	Lanczos3
	Lanczos5
	Gaussian
	MitchellCubic
	Linear
	Cubic
	Lanczos4
)

var methodNames = []string{"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos", "area",
	"lanczos3", "lanczos5", "gaussian", "mitchellcubic", "linear", "cubic", "lanczos4"}

// String returns the method's name in its library: Keras's interpolation, tf.image.ResizeMethod,
// or OpenCV's without INTER_, in lower case.
func (m Method) String() string { return nameOf("Method", methodNames, int(m)) }

// ParseMethod is the inverse of Method.String.
func ParseMethod(name string) (Method, error) { return parse[Method]("method", methodNames, name) }

// Fit says how an image of another shape is brought to the size asked for.
type Fit int

// The fits. [Fits] says which library has which.
const (
	// Stretch resizes the whole image.
	Stretch Fit = iota
	// Crop resizes the largest centred part that has the target's shape: Keras's smart_resize and
	// crop_to_aspect_ratio, load_img's keep_aspect_ratio.
	Crop
	// ImageOpsFit is Pillow's ImageOps.fit.
	ImageOpsFit
	// Pad resizes the whole image, its shape kept, to what fits into the target, and fills the
	// rest: tf.image.resize_with_pad, Pillow's ImageOps.pad.
	Pad
	// PadFirst fills the image up to the target's shape, and resizes that: pad_to_aspect_ratio of
	// Keras's Resizing.
	PadFirst
	// ShortSide resizes the whole image, its shape kept, so that its short side has a given length,
	// and then cuts the target out of the middle: torchvision's Resize(short) and CenterCrop.
	ShortSide
	// NoFit leaves an image as it was decoded.
	NoFit
)

var fitNames = []string{"stretch", "crop", "imageops_fit", "pad", "pad_first", "short_side",
	"none"}

// String returns "stretch", "crop", "imageops_fit", "pad", "pad_first", "short_side" or "none".
func (f Fit) String() string { return nameOf("Fit", fitNames, int(f)) }

// ParseFit is the inverse of Fit.String.
func ParseFit(name string) (Fit, error) { return parse[Fit]("fit", fitNames, name) }

// Op is an operation of a step.
type Op int

// The operations.
const (
	Multiply Op = iota
	Divide
	Add
	Subtract
	Round // to whole numbers, halves to the even one, and to 0 to 255; without values
)

var opNames = []string{"multiply", "divide", "add", "subtract", "round"}

// String returns "multiply", "divide", "add", "subtract" or "round".
func (o Op) String() string { return nameOf("Op", opNames, int(o)) }

// ParseOp is the inverse of Op.String.
func ParseOp(name string) (Op, error) { return parse[Op]("operation", opNames, name) }

// Layout is the order of a tensor's dimensions.
type Layout int

// The layouts, without the batch: height x width x channels, channels x height x width, and height
// x width of one channel.
const (
	NHWC Layout = iota
	NCHW
	NHW
)

var layoutNames = []string{"NHWC", "NCHW", "NHW"}

// String returns "NHWC", "NCHW" or "NHW".
func (l Layout) String() string { return nameOf("Layout", layoutNames, int(l)) }

// ParseLayout is the inverse of Layout.String.
func ParseLayout(name string) (Layout, error) { return parse[Layout]("layout", layoutNames, name) }

func nameOf(kind string, names []string, i int) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("%s(%d)", kind, i)
	}
	return names[i]
}

func parse[T ~int](kind string, names []string, name string) (T, error) {
	for i, n := range names {
		if n == name {
			return T(i), nil
		}
	}
	return 0, fmt.Errorf("preprocess: expected the %s to be one of %s, got %q", kind,
		strings.Join(names, ", "), name)
}
