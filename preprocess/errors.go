package preprocess

import "fmt"

// FormatError says why the bytes are not an image of the format they begin like: damaged, cut
// short or contradictory. Pillow refuses these files too.
type FormatError struct {
	// that of [Config]; empty when the bytes begin like no image at all
	Format string
	Err    error
}

func (e *FormatError) Error() string {
	if e.Format == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("malformed %s: %v", e.Format, e.Err)
}

// Unwrap returns the reason without the format's name.
func (e *FormatError) Unwrap() error { return e.Err }

// UnsupportedError says that the bytes are, or seem to be, an image that this package does not
// read.
type UnsupportedError struct {
	Format string // the format it seems to be
	Reason string // the feature of it that is missing here; empty when the whole format is
	Read   string // where the whole format is missing: the formats that are read, in words
}

func (e *UnsupportedError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("unsupported format: this is %s; %s are read", e.Format, e.Read)
	}
	return fmt.Sprintf("unsupported %s: %s", e.Format, e.Reason)
}

// TooLargeError says that an image declares more pixels than the limit. Nothing was decoded and
// nothing allocated.
type TooLargeError struct {
	Format        string
	Width, Height int // as declared
	MaxPixels     int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s of %d x %d: %d pixels are over the limit of %d", e.Format, e.Width,
		e.Height,
		uint64(e.Width)*uint64(e.Height), e.MaxPixels)
}
