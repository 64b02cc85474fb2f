package score

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Item is one image of the input.
type Item struct {
	Path string // the file's path, or archive/member
	Size int64  // bytes; -1 where the image cannot be had
	Read func() ([]byte, error)
	// Streamed items are parts of a file, and must be read before the sequence goes on: what is
	// passed over without Read is skipped, not read.
	Streamed bool
}

// Source is a sequence of images, the same each time it is gone through. What cannot be opened is
// an item too: its Read says why, so that it becomes an error record and costs no other image.
type Source = iter.Seq[Item]

// InputOptions say how arguments that are not simply images are read.
type InputOptions struct {
	// the column of paths in .csv and .parquet files; without it such a file is refused
	Column string
}

// UsageError is an input that is wrong as written, before anything is read.
type UsageError struct{ Reason string }

func (e *UsageError) Error() string { return e.Reason }

// Open makes a source of the arguments of a command line, each a file, a directory (walked, its
// images in lexical order), a glob, an archive (.tar, .tar.gz, .tgz, .zip; WebDataset shards are
// such), a .tfrecord file of tf.train.Example with image/encoded or image, or a .csv or .parquet
// file with a column of paths.
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
	return spool(func(add func(string, error) error) error {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		number := 1
		for ; lines.Scan(); number++ {
			if path := strings.TrimRight(lines.Text(), "\r"); path != "" {
				if err := add(path, nil); err != nil {
					return err
				}
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("list of files, line %d: %w", number, err)
		}
		return nil
	})
}

// spool makes a source of the paths that fill adds, or of why one could not be read. It keeps them
// in a temporary file without a name. So the source takes no memory and is the same each time,
// whatever happens to the directories and lists that it was made from.
func spool(fill func(add func(path string, err error) error) error) (Source, error) {
	file, err := os.CreateTemp("", "kerasrun-inputs-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	out := bufio.NewWriter(file)
	err = fill(func(path string, failure error) error {
		reason := ""
		if failure != nil {
			reason = failure.Error()
		}
		_, err := out.WriteString(path + "\x00" + reason + "\x00") // no path holds a zero byte
		return err
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func(yield func(Item) bool) {
		in := bufio.NewReader(io.NewSectionReader(file, 0, math.MaxInt64))
		for {
			path, err := in.ReadString(0)
			if err == io.EOF {
				return
			}
			reason := ""
			if err == nil {
				reason, err = in.ReadString(0)
			}
			path, reason = strings.TrimSuffix(path, "\x00"), strings.TrimSuffix(reason, "\x00")
			item := fileItem(path)
			switch {
			case err != nil:
				item = failedItem(path, fmt.Errorf("list of inputs: %w", err))
			case reason != "":
				item = failedItem(path, errors.New(reason))
			}
			if !yield(item) || err != nil {
				return
			}
		}
	}, nil
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

// expand turns a glob into the paths that match it, in lexical order and, as in a shell, without
// hidden ones. A path that exists is never a glob.
func expand(arg string) ([]string, error) {
	if _, err := os.Lstat(arg); err == nil || !strings.ContainsAny(arg, "*?[") {
		return []string{arg}, nil
	}
	paths, err := filepath.Glob(arg)
	if err != nil {
		return nil, &UsageError{fmt.Sprintf("%s: %v", arg, err)}
	}
	hidden := func(path string) bool { return strings.HasPrefix(filepath.Base(path), ".") }
	if !hidden(arg) {
		paths = slices.DeleteFunc(paths, hidden)
	}
	if len(paths) == 0 {
		return nil, &UsageError{fmt.Sprintf("%s: matches no file", arg)}
	}
	return paths, nil
}

// tfRecordName also takes the shards of TensorFlow Datasets,
// imagenet2012-train.tfrecord-00000-of-01024.
var tfRecordName = regexp.MustCompile(`\.tfrecords?(-\d+-of-\d+)?$`)

func open(path string, o InputOptions) (Source, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return directory(path)
	}
	switch lower := strings.ToLower(path); {
	case strings.HasSuffix(lower, ".tar"), strings.HasSuffix(lower,
		".tar.gz"), strings.HasSuffix(lower, ".tgz"):
		return tarArchive(path), nil
	case strings.HasSuffix(lower, ".zip"):
		return zipArchive(path), nil
	case tfRecordName.MatchString(lower):
		return tfRecords(path), nil
	case strings.HasSuffix(lower, ".csv"), strings.HasSuffix(lower, ".parquet"):
		if o.Column == "" {
			return nil, &UsageError{
				fmt.Sprintf("%s: a table of paths needs the name of their column", path)}
		}
		return pathColumn(path, o.Column)
	}
	return func(yield func(Item) bool) { yield(fileItem(path)) }, nil
}

// isImage tells by its name whether a file in a directory or an archive is taken for an image.
// Files that are named are always taken.
func isImage(name string) bool {
	return !strings.HasPrefix(filepath.Base(name), ".") &&
		slices.Contains(ImageExtensions, strings.ToLower(filepath.Ext(name)))
}

// ImageExtensions are those of the formats that are decoded, in lower case.
var ImageExtensions = []string{".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}

// Images yields the image files below a directory, in lexical order: those whose names end as
// images do and do not begin with a dot. What cannot be read is yielded with its error.
func Images(root string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		// It reads one directory at a time. The slash makes it follow a root that is a link. The
		// function itself returns no error.
		_ = filepath.WalkDir(root+string(filepath.Separator),
			func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !(isImage(path) &&
					(entry.Type().IsRegular() || entry.Type() == fs.ModeSymlink)) {
					return nil
				}
				if !yield(path, err) {
					return fs.SkipAll
				}
				return nil
			})
	}
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

func directory(root string) (Source, error) {
	return spool(func(add func(string, error) error) error {
		for path, err := range Images(root) {
			if err := add(path, err); err != nil {
				return err
			}
		}
		return nil
	})
}

// inputDigest identifies an input: a first pass makes it, later passes and runs compare with it.
type inputDigest struct {
	images  int64
	digest  string   // the SHA-256 of every path and size, in order
	batches []uint64 // a hash of the paths of each batch
}

func digestInputs(s Source, batch int) (d inputDigest) {
	all, paths := sha256.New(), newPathHash()
	for item := range s {
		d.images++
		fmt.Fprintf(all, "%d %d %s\n", len(item.Path), item.Size, item.Path)
		paths.add(item.Path)
		if d.images%int64(batch) == 0 {
			d.batches = append(d.batches, paths.sum())
		}
	}
	if d.images%int64(batch) != 0 {
		d.batches = append(d.batches, paths.sum())
	}
	d.digest = hex.EncodeToString(all.Sum(nil))
	return d
}

// pathHash hashes the paths of one batch after the other.
type pathHash struct{ h hash.Hash64 }

func newPathHash() pathHash { return pathHash{fnv.New64a()} }

// a hash takes everything
func (p pathHash) add(path string) { _, _ = io.WriteString(p.h, path+"\x00") }

func (p pathHash) sum() uint64 {
	defer p.h.Reset()
	return p.h.Sum64()
}
