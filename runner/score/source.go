package score

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Item is one picture of the input.
type Item struct {
	Path string // the file's path, or archive/member
	Size int64  // bytes; -1 where the picture cannot be had
	Read func() ([]byte, error)
	// Streamed items must be read before the sequence goes on: what is passed over without Read is skipped, not read.
	Streamed bool
}

// Source is a sequence of pictures, the same each time it is gone through. What cannot be opened is an item too: its Read says why, so
// that it becomes an error record and costs no other picture.
type Source = iter.Seq[Item]

// InputOptions say how arguments that are not simply pictures are read.
type InputOptions struct {
	Column string // the column of paths in .csv and .parquet files; without it such a file is refused
}

// UsageError is an input that is wrong as written, before anything is read.
type UsageError struct{ Reason string }

func (e *UsageError) Error() string { return e.Reason }

// Open makes a source of the arguments of a command line, each a file, a directory (walked, its pictures in lexical order), a glob, an archive
// (.tar, .tar.gz, .tgz, .zip; WebDataset shards are such), a .tfrecord file of tf.train.Example with image/encoded, or a .csv or .parquet file
// with a column of paths.
func Open(args []string, o InputOptions) (Source, error) {
	var all []Source
	for _, arg := range args {
		expanded, err := expand(arg)
		if err != nil {
			return nil, err
		}
		for _, path := range expanded {
			s, err := open(path, o)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
	}
	return concat(all), nil
}

// List makes a source of paths, one a line, each taken as a file.
func List(r io.Reader) (Source, error) {
	var paths []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if path := strings.TrimRight(lines.Text(), "\r"); path != "" {
			paths = append(paths, path)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("list of files, line %d: %w", len(paths)+1, err)
	}
	return listed(paths), nil
}

func listed(paths []string) Source {
	return func(yield func(Item) bool) {
		for _, path := range paths {
			if !yield(fileItem(path)) {
				return
			}
		}
	}
}

func concat(sources []Source) Source {
	return func(yield func(Item) bool) {
		for _, s := range sources {
			for item := range s {
				if !yield(item) {
					return
				}
			}
		}
	}
}

// expand turns a glob into the paths that match it. A path that exists is never a glob.
func expand(arg string) ([]string, error) {
	if _, err := os.Lstat(arg); err == nil || !strings.ContainsAny(arg, "*?[") {
		return []string{arg}, nil
	}
	paths, err := filepath.Glob(arg)
	if err != nil {
		return nil, &UsageError{fmt.Sprintf("%s: %v", arg, err)}
	}
	if len(paths) == 0 {
		return nil, &UsageError{fmt.Sprintf("%s: matches no file", arg)}
	}
	return paths, nil
}

func open(path string, o InputOptions) (Source, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return directory(path), nil
	}
	switch lower := strings.ToLower(path); {
	case strings.HasSuffix(lower, ".tar"), strings.HasSuffix(lower, ".tar.gz"), strings.HasSuffix(lower, ".tgz"):
		return tarArchive(path), nil
	case strings.HasSuffix(lower, ".zip"):
		return zipArchive(path), nil
	case strings.HasSuffix(lower, ".tfrecord"), strings.HasSuffix(lower, ".tfrecords"):
		return tfRecords(path), nil
	case strings.HasSuffix(lower, ".csv"), strings.HasSuffix(lower, ".parquet"):
		if o.Column == "" {
			return nil, &UsageError{fmt.Sprintf("%s: a table of paths needs the name of their column", path)}
		}
		return pathColumn(path, o.Column)
	}
	return listed([]string{path}), nil
}

// IsPicture tells by its name whether a file in a directory or an archive is taken for a picture. Files that are named are always taken.
func IsPicture(name string) bool {
	if strings.HasPrefix(filepath.Base(name), ".") {
		return false
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp":
		return true
	}
	return false
}

func fileItem(path string) Item {
	var size int64 = -1
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	return Item{Path: path, Size: size, Read: func() ([]byte, error) { return os.ReadFile(path) }}
}

func failedItem(path string, err error) Item {
	return Item{Path: path, Size: -1, Read: func() ([]byte, error) { return nil, err }}
}

func directory(root string) Source {
	return func(yield func(Item) bool) {
		// WalkDir reads one directory at a time, in lexical order.
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				if !yield(failedItem(path, err)) {
					return fs.SkipAll
				}
				if entry != nil && entry.IsDir() {
					return fs.SkipDir
				}
			case !entry.IsDir() && IsPicture(path):
				if !yield(fileItem(path)) {
					return fs.SkipAll
				}
			}
			return nil
		})
	}
}

// census counts a source and makes a digest of its paths and sizes, by which a later run knows the same input again.
func census(s Source) (count int64, digest string) {
	h := sha256.New()
	for item := range s {
		count++
		fmt.Fprintf(h, "%d %d %s\n", len(item.Path), item.Size, item.Path)
	}
	return count, hex.EncodeToString(h.Sum(nil))
}
