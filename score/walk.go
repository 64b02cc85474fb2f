package score

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"kerasrun/classify"
)

// Images yields the image files below a directory, which may be the address of one, in lexical
// order: those that an image's ending or their first bytes show as such, and that do not begin with
// a dot. Links to directories are followed, each target once. What cannot be read is yielded with
// its error; what is passed over is counted in skipped, which may be nil.
func Images(ctx context.Context, root string, skipped *Skipped) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		part := skipped.part()
		part.reset()
		walkAny(ctx, root, part, func(item Item) bool { return yield(item.Path, item.failure) })
	}
}

func walkImages(root string, skipped *skippedPart, yield func(string, error) bool) {
	w := walk{skipped: skipped, yield: yield, linked: map[string]bool{}}
	if real, err := filepath.EvalSymlinks(root); err == nil {
		if real, err = filepath.Abs(real); err == nil {
			w.linked[real] = true
		}
	}
	// The slash makes it follow a root that is a link.
	w.directory(root + string(filepath.Separator))
}

// walk goes through a directory, and through others that it has links to.
type walk struct {
	skipped *skippedPart
	yield   func(string, error) bool
	linked  map[string]bool // the directories that were gone into by a link
}

// directory returns false when the caller wants no more.
func (w *walk) directory(root string) bool {
	more := true
	// It reads one directory at a time. The function itself returns no error.
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			more = w.yield(path, err)
		} else {
			more = w.entry(path, entry)
		}
		if !more {
			return fs.SkipAll
		}
		return nil
	})
	return more
}

func (w *walk) entry(path string, entry fs.DirEntry) bool {
	mode := entry.Type()
	link := mode&fs.ModeSymlink != 0
	if link {
		info, err := os.Stat(path)
		switch {
		case err == nil:
			mode = info.Mode().Type()
		case hasImageName(path) && !isHidden(path):
			return w.yield(path, nil) // reading it says what is wrong
		default:
			w.skipped.add("broken links")
			return true
		}
	}
	switch {
	case mode.IsDir():
		if link {
			return w.follow(path)
		}
		return true
	case isHidden(path):
		w.skipped.add("hidden")
		return true
	case !mode.IsRegular():
		return w.yield(path, checkRegular(path, mode))
	case hasImageName(path):
		return w.yield(path, nil)
	}
	head, err := readHead(path)
	if err != nil {
		return w.yield(path, err)
	}
	if !classify.IsImage(head) {
		w.skipped.add(skippedName(path))
		return true
	}
	return w.yield(path, nil)
}

// follow goes into a directory by a link, unless it leads back to a directory that the link is
// below, or another link has led there.
func (w *walk) follow(path string) bool {
	target, err := filepath.EvalSymlinks(path)
	if err == nil {
		target, err = filepath.Abs(target)
	}
	here, err2 := filepath.EvalSymlinks(filepath.Dir(path))
	if err2 == nil {
		here, err2 = filepath.Abs(here)
	}
	if err := errors.Join(err, err2); err != nil {
		return w.yield(path, err)
	}
	below := strings.TrimSuffix(target, string(filepath.Separator)) + string(filepath.Separator)
	switch {
	case here == target || strings.HasPrefix(here, below):
		w.skipped.add("links that lead back")
		return true
	case w.linked[target]:
		w.skipped.add("links to a directory that was followed")
		return true
	}
	w.linked[target] = true
	return w.directory(path + string(filepath.Separator))
}
