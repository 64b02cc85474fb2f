// Package contract reads the manifest of an exported model: what the model takes and gives, where
// its weights came from, and the SHA-256 of each of its files. The exporter writes it beside the
// SavedModel, at [ManifestPath].
//
// [Parse] reads a manifest, and [Input.Pipeline] makes of its input the preprocessing that turns an
// image file into the model's tensor. Package savedmodel holds a directory against its manifest.
package contract
