package score

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
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

	failure error // why the image cannot be had, if it is known
}

// Source is a sequence of images, the same each time it is gone through. What cannot be opened is
// an item too: its Read says why, so that it becomes an error record and costs no other image.
type Source = iter.Seq[Item]

// InputOptions say how arguments that are not simply images are read.
type InputOptions struct {
	// the column of paths in tables (.csv, .tsv and .parquet); without it such a file is refused
	Column string
	// Separator parts the columns of a .csv or .tsv file. Where it is 0 the header decides.
	Separator rune
	Skipped   *Skipped // if not nil, counts what is passed over
	// AllowEmpty has a directory or an archive without an image, and a glob that matches nothing,
	// be no items. Without it they are errors.
	AllowEmpty bool
}

// UsageError is an input that is wrong as written, before anything is read.
type UsageError struct{ Reason string }

func (e *UsageError) Error() string { return e.Reason }

// Open makes a source of the arguments of a command line, each a file, a directory (walked, its
// images in lexical order), a glob, an archive (.tar, .tar.gz, .tgz, .zip; WebDataset shards are
// such), a .tfrecord file of tf.train.Example with image/encoded or image, or a table (.csv, .tsv,
// .parquet) with a column of paths. Texts are UTF-8, or UTF-16 with its byte order mark.
func Open(args []string, o InputOptions) (Source, error) {
	var all []Source
	for _, arg := range args {
		expanded, err := expand(arg, o.AllowEmpty)
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

// List makes a source of paths, one a line, each taken as a file. The list is UTF-8, or UTF-16 with
// its byte order mark.
func List(r io.Reader) (Source, error) {
	return list(decodeText(r), bufio.ScanLines, "line")
}

// ListNull makes a source of paths that each end with a zero byte, as find -print0 writes them; so
// they may hold line ends. A path is bytes: only the byte order mark of UTF-8 is left out.
func ListNull(r io.Reader) (Source, error) {
	return list(skipMark(r), scanNull, "path")
}

func list(r io.Reader, split bufio.SplitFunc, unit string) (Source, error) {
	return spool(func(add func(Item) error) error {
		paths := bufio.NewScanner(r)
		paths.Buffer(nil, 1<<20)
		paths.Split(split)
		number := 1
		for ; paths.Scan(); number++ {
			if path := paths.Text(); path != "" {
				if err := add(Item{Path: path}); err != nil {
					return err
				}
			}
		}
		if err := paths.Err(); err != nil {
			return fmt.Errorf("list of files, %s %d: %w", unit, number, err)
		}
		return nil
	})
}

// scanNull is a [bufio.SplitFunc].
func scanNull(data []byte, atEOF bool) (advance int, path []byte, err error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// spool makes a source of the files that fill adds, by their paths or why one cannot be had. It keeps
// them in a temporary file without a name. So the source takes no memory and is the same each time,
// whatever happens to the directories and lists that it was made from.
func spool(fill func(add func(Item) error) error) (Source, error) {
	file, err := os.CreateTemp("", "kerasrun-inputs-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	out := bufio.NewWriter(file)
	err = fill(func(item Item) error {
		reason := ""
		if item.failure != nil {
			reason = item.failure.Error()
		}
		// their lengths come first, as either may hold any byte
		head := binary.AppendUvarint(nil, uint64(len(item.Path)))
		head = binary.AppendUvarint(head, uint64(len(reason)))
		_, err := out.WriteString(string(head) + item.Path + reason)
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
			path, reason, err := readSpooled(in)
			if err == io.EOF {
				return
			}
			item := File(path)
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

func readSpooled(in *bufio.Reader) (path, reason string, err error) {
	size, err := binary.ReadUvarint(in)
	if err != nil {
		return "", "", err
	}
	more, err := binary.ReadUvarint(in)
	if err != nil {
		return "", "", unexpectedEOF(err)
	}
	both := make([]byte, size+more)
	if _, err := io.ReadFull(in, both); err != nil {
		return "", "", unexpectedEOF(err)
	}
	return string(both[:size]), string(both[size:]), nil
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
func expand(arg string, allowEmpty bool) ([]string, error) {
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
	if len(paths) == 0 && !allowEmpty {
		return nil, &UsageError{fmt.Sprintf("%s: matches no file", arg)}
	}
	return paths, nil
}

// tfRecordName also takes the shards of TensorFlow Datasets,
// imagenet2012-train.tfrecord-00000-of-01024.
var tfRecordName = regexp.MustCompile(`\.tfrecords?(-\d+-of-\d+)?$`)

func open(path string, o InputOptions) (Source, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return directory(path, o.Skipped.part(), o.AllowEmpty)
	}
	switch lower := strings.ToLower(path); {
	case strings.HasSuffix(lower, ".tar"), strings.HasSuffix(lower,
		".tar.gz"), strings.HasSuffix(lower, ".tgz"):
		return tarArchive(path, o.Skipped.part(), o.AllowEmpty), nil
	case strings.HasSuffix(lower, ".zip"):
		return zipArchive(path, o.Skipped.part(), o.AllowEmpty), nil
	case tfRecordName.MatchString(lower):
		return tfRecords(path), nil
	case IsTable(path):
		if o.Column == "" {
			return nil, &UsageError{
				fmt.Sprintf("%s: a table of paths needs the name of their column", path)}
		}
		return pathColumn(table{path, o.Separator}, o.Column)
	}
	return func(yield func(Item) bool) { yield(File(path)) }, nil
}

// urls are addresses, of any scheme that has a host.
var urls = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://`)

func isURL(path string) bool { return urls.MatchString(path) }

// File is the image in a file. An address is none: reading it says that it was not fetched.
func File(path string) Item {
	if isURL(path) {
		return failedItem(path, fmt.Errorf("%s: not fetched: expected the path of a file, got an "+
			"address: fetch it first, and name the file", path))
	}
	var size int64 = -1
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return Item{Path: path, Size: size, Read: func() ([]byte, error) { return readFile(path) }}
}

func failedItem(path string, err error) Item {
	read := func() ([]byte, error) { return nil, err }
	return Item{Path: path, Size: -1, Read: read, failure: err}
}

func directory(root string, skipped *skippedPart, allowEmpty bool) (Source, error) {
	return spool(func(add func(Item) error) (failure error) {
		skipped.reset()
		empty := true
		walkImages(root, skipped, func(path string, err error) bool {
			empty = false
			failure = add(Item{Path: path, failure: err})
			return failure == nil
		})
		if empty && !allowEmpty {
			return add(Item{Path: root, failure: noImages(root, skipped)})
		}
		return failure
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
func (p pathHash) add(path string) { fmt.Fprintf(p.h, "%d %s", len(path), path) }

func (p pathHash) sum() uint64 {
	defer p.h.Reset()
	return p.h.Sum64()
}
