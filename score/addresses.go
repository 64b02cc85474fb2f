package score

import (
	"context"
	"iter"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"kerasrun/classify"
	"kerasrun/object"
)

// walkAny yields the images below a directory, on this machine or in a store.
func walkAny(
	ctx context.Context, root string, skipped *skippedPart, yield func(Item) bool,
) {
	if object.IsStore(root) {
		walkStore(ctx, root, skipped, yield)
		return
	}
	local, err := object.Local(root)
	if err != nil {
		yield(Item{Path: root, failure: err})
		return
	}
	walkImages(local, skipped, func(path string, err error) bool {
		return yield(Item{Path: addressIn(root, local, path), failure: err})
	})
}

// addressIn is the name of a file below a directory, as the directory was named: by its path, which
// is local, or as file://.
func addressIn(dir, local, file string) string {
	below, err := filepath.Rel(local, file)
	if dir == local || err != nil {
		return file
	}
	return strings.TrimSuffix(dir, "/") + "/" + (&url.URL{Path: filepath.ToSlash(below)}).EscapedPath()
}

// walkStore yields the images below a prefix, as walkImages does those of a directory: what does
// not end as one is told by its first bytes.
func walkStore(
	ctx context.Context, root string, skipped *skippedPart, yield func(Item) bool,
) {
	type listed struct {
		item Item
		skip string // why it is passed over
	}
	var listing error
	entries := func(yield func(object.Entry) bool) {
		for entry, err := range object.List(ctx, root) {
			if err != nil {
				listing = err
				return
			}
			if !yield(entry) {
				return
			}
		}
	}
	look := func(entry object.Entry) listed {
		item := Item{Path: entry.Path, Size: entry.Size, version: entry.Version}
		switch {
		case isHidden(entry.Path):
			return listed{skip: "hidden"}
		case hasImageName(entry.Path):
			return listed{item: item}
		}
		head, err := object.ReadHead(ctx, entry.Path, headBytes)
		if err == nil && !classify.IsImage(head) {
			return listed{skip: skippedName(path.Base(entry.Path))}
		}
		item.failure = err
		return listed{item: item}
	}
	for l := range ahead(entries, requests, look) {
		if l.skip != "" {
			skipped.add(l.skip)
		} else if !yield(l.item) {
			return
		}
	}
	if listing != nil {
		yield(Item{Path: root, failure: listing})
	}
}

// ahead calls f for each of a sequence, n at a time, and yields what it returns in their order.
func ahead[T, R any](all iter.Seq[T], n int, f func(T) R) iter.Seq[R] {
	return func(yield func(R) bool) {
		var waiting []chan R
		next := func() (more bool) {
			result := <-waiting[0]
			waiting = waiting[1:]
			return yield(result)
		}
		for one := range all {
			if len(waiting) == n && !next() {
				return
			}
			done := make(chan R, 1)
			waiting = append(waiting, done)
			go func() { done <- f(one) }()
		}
		for len(waiting) > 0 {
			if !next() {
				return
			}
		}
	}
}
