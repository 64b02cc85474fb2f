// Package savedmodel reads a TensorFlow SavedModel directory without TensorFlow: its graphs and
// signatures, variables, files and, where the directory has one, the manifest of kerasrun's
// exporter.
//
// [Open] reads the structure and none of the weights, so that a graph of hundreds of megabytes of
// constants is described in milliseconds. [Model.Validate] holds the directory against itself and
// its manifest, and lists all that is wrong. [Model.Scan] adds the safety of what the graph would
// do when TensorFlow runs it: a model is a program, and TensorFlow is no sandbox.
//
// Nothing in the directory is trusted: no number in a file decides how much memory is taken, and
// malformed files are errors.
package savedmodel
