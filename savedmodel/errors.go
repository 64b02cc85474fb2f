package savedmodel

import (
	"fmt"
	"io/fs"
)

// FormatError says that a file of the directory is malformed: that no program could read it.
type FormatError struct {
	File string // in the directory, with slashes
	Err  error
}

func (e *FormatError) Error() string { return fmt.Sprintf("%s is malformed: %v", e.File, e.Err) }
func (e *FormatError) Unwrap() error { return e.Err }

// UnsupportedError says that a file is, or may be, well-formed but of a kind that this package does
// not read.
type UnsupportedError struct {
	File   string // in the directory, with slashes
	Reason string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s is not supported: %s", e.File, e.Reason)
}

// missingError says that there is no SavedModel: it is an [fs.ErrNotExist].
type missingError struct{ found string }

func (e *missingError) Error() string        { return "expected a SavedModel, found " + e.found }
func (e *missingError) Is(target error) bool { return target == fs.ErrNotExist }
