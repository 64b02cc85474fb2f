// Package cvimage computes what OpenCV 5.0's Python wheel (opencv-python-headless 5.0.0.93) does
// for uint8 images, bit for bit: cv2.imread, cv2.cvtColor to grey and cv2.resize.
//
// Images are uint8, height x width x channels, row-major, with 1, 3 or 4 channels. The formulas
// follow the sources of the wheel (modules/imgproc/src/resize.cpp, modules/imgcodecs/src), with
// OpenCV's own names for them. Everything but INTER_CUBIC is OpenCV's own integer or float32
// arithmetic, which does not depend on the processor.
package cvimage
