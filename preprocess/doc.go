// Package preprocess turns the bytes of an image into the tensor that Python makes of the same
// file, bit for bit: with Pillow, as keras.utils.load_img does, with TensorFlow's
// tf.io.decode_image and tf.image.resize, or with OpenCV's cv2.imread and cv2.resize.
//
// A [Pipeline] says which library, and what it is asked for. [Pipeline.Tensor] does all: it
// decodes, resizes, normalises, casts to a type and lays the values out. [Pipeline.Image] stops
// after the resize. JPEG, PNG, GIF, BMP and WebP are read, as Pillow also PNM and TIFF; the format
// is told from the bytes, not from the file's name.
//
// What a library does with transparency, colour profiles, 16-bit images and damaged files is done
// here too, and differs between them; docs/parity.md has what was compared and what is refused.
// Orientation in EXIF data is applied where Decode.EXIF says so. Of several frames the first is
// taken.
//
// Images are not trusted. Sizes are compared with a limit before memory is allocated for them.
//
// A Pipeline can be used from many goroutines. The slices that its methods return are the caller's.
// The package is pure Go and needs no TensorFlow.
package preprocess
