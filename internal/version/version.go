// Package version says which release this is. The file VERSION beside it is the one place.
package version

import (
	_ "embed"
	"strings"
)

//go:embed VERSION
var text string

// String is the release as in its tag, without the tag's "v": "0.1.0".
func String() string { return strings.TrimSpace(text) }
