package serve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kerasrun/savedmodel"
)

// ModelConfig is a model to serve.
type ModelConfig struct {
	Name string
	// of a directory with the versions 1, 2, ... in it, or of one SavedModel, which is then version
	// 1
	Path   string
	Store  Store            // where Path is; nil is this machine
	Policy Policy           // which of the versions
	Labels map[string]int64 // names of versions
}

// Store is where models lie that are not on this machine.
type Store interface {
	// ReadDir returns the names of what is in a directory, those of directories with a slash at
	// their end.
	ReadDir(ctx context.Context, dir string) ([]string, error)
	// Fingerprint changes when a file below a directory does.
	Fingerprint(ctx context.Context, dir string) (string, error)
	// Fetch copies a version's directory to this machine, and returns where it is.
	Fetch(ctx context.Context, dir string) (string, error)
}

// Policy chooses among the versions in a directory. The zero value is the newest one.
type Policy struct {
	Latest   int     // so many of the newest; 0 is 1
	All      bool    // every one
	Specific []int64 // just these
}

// directory is where a version lies.
type directory struct {
	number int64
	path   string
}

// choose returns the wanted versions, ascending. What is wanted but not there is left out.
func (p Policy) choose(found []directory) []directory {
	switch {
	case p.All:
		return found
	case len(p.Specific) > 0:
		return slices.DeleteFunc(found,
			func(d directory) bool { return !slices.Contains(p.Specific, d.number) })
	}
	return found[max(0, len(found)-max(1, p.Latest)):]
}

// directories returns the model's versions, ascending.
func (c ModelConfig) directories(ctx context.Context) ([]directory, error) {
	find := c.onThisMachine
	if c.Store != nil {
		find = func() ([]directory, error) { return c.inStore(ctx) }
	}
	found, err := find()
	slices.SortFunc(found, func(a, b directory) int { return cmp.Compare(a.number, b.number) })
	// 1 and 01
	return slices.CompactFunc(found,
		func(a, b directory) bool { return a.number == b.number }), err
}

func (c ModelConfig) inStore(ctx context.Context) ([]directory, error) {
	names, err := c.Store.ReadDir(ctx, c.Path)
	if err != nil {
		return nil, err
	}
	if slices.Contains(names, savedmodel.GraphPath) {
		return []directory{{1, c.Path}}, nil
	}
	var found []directory
	for _, name := range names {
		name, isDir := strings.CutSuffix(name, "/")
		if number, ok := versionNumber(name); ok && isDir {
			found = append(found, directory{number, strings.TrimSuffix(c.Path, "/") + "/" + name})
		}
	}
	return found, nil
}

func (c ModelConfig) onThisMachine() ([]directory, error) {
	if _, err := os.Stat(filepath.Join(c.Path, savedmodel.GraphPath)); err == nil {
		return []directory{{1, c.Path}}, nil
	}
	entries, err := os.ReadDir(c.Path)
	if err != nil {
		return nil, err
	}
	var found []directory
	for _, e := range entries {
		number, ok := versionNumber(e.Name())
		if !ok {
			continue
		}
		// A link to a version is resolved once: what is checked is what is loaded.
		path, err := filepath.EvalSymlinks(filepath.Join(c.Path, e.Name()))
		if err != nil {
			continue // a link to nothing
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			found = append(found, directory{number, path})
		}
	}
	return found, nil
}

// versionNumber is the number that a directory's name is, if it is one.
func versionNumber(name string) (int64, bool) {
	number, err := strconv.ParseInt(name, 10, 64)
	return number, err == nil && number >= 0
}

// fingerprint changes with the files of a version's directory.
func (c ModelConfig) fingerprint(ctx context.Context, dir string) (string, error) {
	if c.Store != nil {
		return c.Store.Fingerprint(ctx, dir)
	}
	return fingerprint(dir)
}

// fetch returns where a version's directory is on this machine.
func (c ModelConfig) fetch(ctx context.Context, dir string) (string, error) {
	if c.Store != nil {
		return c.Store.Fetch(ctx, dir)
	}
	return dir, nil
}

// fingerprint changes with the files of a directory: their names, sizes and times. A directory that
// is a link is the one that it leads to.
func fingerprint(dir string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			fmt.Fprintf(h, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
