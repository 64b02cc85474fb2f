// Package evaluate says how good a model is on labelled images: how often it is right, in which
// classes, what it confuses, and whether its probabilities are what they say.
//
// [Folders] and [Table] read what class each image has, [Run] has a classifier answer the images
// and compares, and a [Report] is written as text, as JSON, as JUnit's XML with thresholds, or as a
// page. Memory does not grow with the number of images. The metrics are scikit-learn's.
//
// The package does not import TensorFlow.
package evaluate
