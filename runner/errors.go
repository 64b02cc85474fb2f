package runner

import (
	"errors"
	"fmt"
)

// ErrClosed is returned for what is asked of a Model after Close.
var ErrClosed = errors.New("the model is closed")

// OptionError says that an option of Open has a value that none can have. What a device or a model
// does not have is another error.
type OptionError struct{ Err error }

func (e *OptionError) Error() string { return e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

// ErrUnverified says that no manifest's hashes have been compared with a model's files: see
// [AllowUnverified].
var ErrUnverified = errors.New("expected files that match a manifest's hashes, got unverified ones")

// ErrUnvouched says that nothing vouches for a model's content, and that Open was given no probe:
// see [WithProbe] and [WithModelSHA256].
var ErrUnvouched = errors.New("expected a model that this user has exported, that a probe of " +
	"this user has survived or whose SHA-256 the program names, got one that nothing vouches " +
	"for; `kerasrun verify DIR` probes it once")

// InputError says that tensors were not those of the signature. TensorFlow did not see them.
type InputError struct {
	Signature string
	Input     string // the input's name
	Err       error
}

func (e *InputError) Error() string {
	return fmt.Sprintf("signature %s: input %q: %v", e.Signature, e.Input, e.Err)
}
func (e *InputError) Unwrap() error { return e.Err }
