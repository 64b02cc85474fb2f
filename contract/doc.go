// Package contract reads the manifest of an exported model: what the model takes and gives, where
// its weights came from, and the SHA-256 of each of its files. The exporter writes it beside the
// SavedModel, at [ManifestPath].
//
// [Parse] reads and checks a manifest. [Input.Pipeline] returns the preprocessing that turns an
// image file into the model's tensor. Package savedmodel compares a directory with its manifest.
//
// A [Manifest] is plain data: it can be read from many goroutines, and nothing has to be closed.
package contract
