// Package codec holds what the decoders of preprocess have in common.
package codec

// A Config is the size of an image in pixels, as its headers declare it.
type Config struct{ Width, Height int }

// An UnsupportedError names a legal feature of a format that its decoder lacks. Every other error
// of a decoder means that the file is malformed.
type UnsupportedError string

func (e UnsupportedError) Error() string { return string(e) }
