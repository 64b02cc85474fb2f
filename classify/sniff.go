package classify

import (
	"errors"
	"strings"

	"kerasrun/preprocess"
)

// DefaultImagePixels is what [Limits].ImagePixels is where it is 0.
const DefaultImagePixels = preprocess.DefaultMaxPixels

// IsImage tells by its first 512 bytes whether a file is an image, also one of a format that Keras
// reads and this package does not.
func IsImage(head []byte) bool {
	_, err := preprocess.DecodeConfig(head)
	var malformed *preprocess.FormatError
	var unsupported *preprocess.UnsupportedError
	switch {
	case errors.As(err, &malformed):
		// two letters are no proof of a BMP
		return malformed.Format != "" && malformed.Format != "BMP"
	case errors.As(err, &unsupported):
		switch unsupported.Format {
		case "TIFF", "BigTIFF", "AVIF", "JPEG 2000":
			return true
		case "PNM":
			return len(head) > 2 && strings.ContainsRune(" \t\r\n", rune(head[2]))
		}
		return unsupported.Reason != ""
	}
	return err == nil
}

// BeginsAsImage tells whether there is a reason to read on after the first 512 bytes of what should
// be an image: if not, decoding the whole says the same as decoding them.
func BeginsAsImage(head []byte) bool {
	_, err := preprocess.DecodeConfig(head)
	var malformed *preprocess.FormatError
	return !errors.As(err, &malformed) || malformed.Format != ""
}
