// Package savedmodel reads a TensorFlow SavedModel directory without TensorFlow: its graphs and
// signatures, variables, files and, where there is one, the manifest of kerasrun's exporter.
//
// [Open] reads the structure and none of the weights: a graph with hundreds of megabytes of
// constants takes milliseconds. [Model.Validate] compares the directory with itself and with its
// manifest, and lists everything that is wrong. [Model.Scan] also lists what is unsafe in the
// graph: a model is a program, and TensorFlow is no sandbox.
//
// Nothing in the directory is trusted. No number in a file decides how much memory is taken, and
// malformed files are errors.
//
// A [Model] is not changed by its methods and can be used from many goroutines. It keeps the
// directory open until it is garbage; there is nothing to close.
package savedmodel
