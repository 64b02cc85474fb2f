package object

import (
	"context"
	"path"
	"strings"
)

// Glob returns the addresses in a store that match a pattern of path.Match, in the order of their
// keys. It lists from the last slash before the pattern's first special character on.
func Glob(ctx context.Context, pattern string) ([]string, error) {
	base := bucketName(pattern) + "/"
	special := strings.IndexAny(pattern[len(base):], "*?[")
	fixed := pattern[:len(base)+special]
	var matching []string
	for entry, err := range List(ctx, fixed[:strings.LastIndex(fixed, "/")+1]) {
		if err != nil {
			return nil, err
		}
		ok, err := path.Match(pattern[len(base):], entry.Path[len(base):])
		if err != nil {
			return nil, err
		}
		if ok {
			matching = append(matching, entry.Path)
		}
	}
	return matching, nil
}
