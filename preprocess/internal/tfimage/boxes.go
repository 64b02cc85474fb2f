package tfimage

// A Box is a part of an image, or the place of an image in a larger one.
type Box struct{ Top, Left, Height, Width int }

// CropBox is what Keras keeps of an image of size from before it resizes it to size to: the largest
// centred box of to's aspect ratio (crop_to_aspect_ratio of keras.ops.image.resize, of Resizing and
// of image_dataset_from_directory, keras.preprocessing.image.smart_resize).
//
// The quotients are float32, as in a TensorFlow graph. Keras's smart_resize outside of one has
// float64; they can only differ where the product of a side with one of the target's is over 2^24.
func CropBox(from, to Size) Box {
	h := max(min(from.Height, ratio(from.Width, to.Height, to.Width)), 1)
	w := max(min(from.Width, ratio(from.Height, to.Width, to.Height)), 1)
	return Box{(from.Height - h) / 2, (from.Width - w) / 2, h, w}
}

// PadBox is where Keras puts an image of size from in a larger one, filled with a constant, before
// it resizes that to size to (pad_to_aspect_ratio of keras.ops.image.resize and of Resizing), and
// that one's size. image_dataset_from_directory does something else: [ResizeWithPadBox].
//
// Both margins are as wide, so that an image that wants an odd number of rows more gets one less.
func PadBox(from, to Size) (Box, Size) {
	h := max(from.Height, ratio(from.Width, to.Height, to.Width))
	w := max(from.Width, ratio(from.Height, to.Width, to.Height))
	b := Box{(h - from.Height) / 2, (w - from.Width) / 2, from.Height, from.Width}
	return b, Size{from.Height + 2*b.Top, from.Width + 2*b.Left}
}

// ratio is int(float32(side*times) / by).
func ratio(side, times, by int) int { return int(float32(side*times) / float32(by)) }

// ResizeWithPadBox is where tf.image.resize_with_pad puts an image of size from, once it is resized
// to the box's size, among zeros (pad_to_aspect_ratio of image_dataset_from_directory).
func ResizeWithPadBox(from, to Size) Box {
	fh, fw := float32(from.Height), float32(from.Width)
	r := max(fw/float32(to.Width), fh/float32(to.Height))
	h, w := fh/r, fw/r
	return Box{
		Top:    max(0, int(floor((float32(to.Height)-h)/2))),
		Left:   max(0, int(floor((float32(to.Width)-w)/2))),
		Height: int(floor(h)),
		Width:  int(floor(w)),
	}
}
