package main

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"kerasrun/object"
	"kerasrun/savedmodel"
)

// modelStore serves models from an object store, by copies in the user's cache.
type modelStore struct{}

func (modelStore) ReadDir(ctx context.Context, dir string) ([]string, error) {
	entries, err := object.ReadDir(ctx, dir)
	if err == nil && len(entries) == 0 {
		err = &object.Error{Path: dir, Err: fs.ErrNotExist,
			Reason: "expected a SavedModel or the versions 1, 2, ... of one, found nothing"}
	}
	var names []string
	for _, e := range entries {
		name := object.Base(e.Path)
		if e.Directory {
			name += "/"
		}
		names = append(names, name)
	}
	return names, err
}

func (modelStore) Fingerprint(ctx context.Context, dir string) (string, error) {
	return object.Fingerprint(ctx, dir)
}

// Fetch copies no version whose graph is not there yet: a store shows an upload half done.
func (modelStore) Fetch(ctx context.Context, dir string) (string, error) {
	graph := strings.TrimSuffix(dir, "/") + "/" + savedmodel.GraphPath
	if _, err := object.Stat(ctx, graph); err != nil {
		return "", fmt.Errorf("the version is not whole: %w", err)
	}
	return object.CopyDirectory(ctx, dir)
}
