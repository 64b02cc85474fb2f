// Package preprocess turns the bytes of an image into the float32 tensor that Keras makes of the
// same file, bit for bit:
//
//	img = keras.utils.load_img(path, target_size=(height, width), interpolation=filter, keep_aspect_ratio=...)
//	x = keras.applications.imagenet_utils.preprocess_input(keras.utils.img_to_array(img), mode=mode)
//
// The reference is Keras 3 on Pillow 13. JPEG, PNG, GIF, BMP and WebP are read, whatever the file's
// name; a Pipeline holds what Keras takes as arguments and does the three steps, Decode, Resize and
// Normalize, in one.
//
// As in load_img, an image becomes 8-bit RGB by Image.convert("RGB"): transparency is dropped, not
// composited, the orientation in EXIF data and colour profiles are ignored, and of several frames
// the first is taken.
//
// Images are not trusted. Sizes are read and held against a limit before anything is allocated for
// them, and damaged data is an error exactly where Pillow has one. The package is pure Go and needs
// no TensorFlow.
package preprocess
