// Package preprocess turns the bytes of an image into the float32 tensor that Keras makes of the
// same file, bit for bit:
//
//	img = keras.utils.load_img(path, target_size=(height, width), interpolation=filter)
//	x = keras.utils.img_to_array(img)
//	x = keras.applications.imagenet_utils.preprocess_input(x, mode=mode)
//
// A [Pipeline] has what Keras takes as arguments. [Pipeline.Append] does the three steps in one:
// [Decode], [Pipeline.Resize] and [Pipeline.Normalize]. JPEG, PNG, GIF, BMP and WebP are read; the
// format is told from the bytes, not from the file's name. The reference is Keras 3 on Pillow 13.
//
// As in load_img, an image becomes 8-bit RGB by Image.convert("RGB"). Transparency is dropped, not
// composited. Orientation in EXIF data and colour profiles are ignored. Of several frames the first
// is taken.
//
// Images are not trusted. Sizes are compared with a limit before memory is allocated for them.
// Damaged data is an error exactly where Pillow has one.
//
// A Pipeline can be used from many goroutines. The slices that its methods return are the caller's.
// The package is pure Go and needs no TensorFlow.
package preprocess
