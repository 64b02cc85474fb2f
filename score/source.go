package score

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
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

	// Kept are the values of [Config.Kept]: see [Kept]. nil is null for each.
	Kept []any

	failure error // why the image cannot be had, if it is known
}

// Source is a sequence of images, the same each time it is gone through. What cannot be opened is
// an item too: its Read says why, so that it becomes an error record and costs no other image.
type Source = iter.Seq[Item]

// InputOptions say how arguments that are not simply images are read.
type InputOptions struct {
	// the column of paths or images in tables; without it such a file is refused
	Column string
	// Separator parts the columns of a .csv or .tsv file. Where it is 0 the header decides.
	Separator rune
	// Keep are columns of the tables, or endings of WebDataset's members, that are carried through to
	// the output.
	Keep []Keep
	// Feature holds the images of TFRecords; "" is image/encoded, or image.
	Feature string
	Skipped *Skipped // if not nil, counts what is passed over
	// AllowEmpty has a directory or an archive without an image, and a glob that matches nothing,
	// be no items. Without it they are errors.
	AllowEmpty bool
}

// UsageError is an input that is wrong as written, before anything is read.
type UsageError struct{ Reason string }

func (e *UsageError) Error() string { return e.Reason }

// Open makes a source of the arguments of a command line, each a file, a directory (walked, its
// images in lexical order), a glob, an archive (.zip, .tar, also of gz, bz2, xz and zst; WebDataset
// shards are such), a TFRecord file of tf.train.Example, or a table (.csv, .tsv,
// .parquet, .arrow, .feather) with a column of paths or of images. Texts are UTF-8, or UTF-16
// with its byte order mark.
//
// The source ends with an error where ctx does: what is no image may take long to pass over.
//
// It returns the columns that o.Keep has the items keep, for [Config.Kept].
func Open(ctx context.Context, args []string, o InputOptions) (Source, []Kept, error) {
	var paths []string
	for _, arg := range args {
		expanded, err := expand(arg, o.AllowEmpty)
		if err != nil {
			return nil, nil, err
		}
		paths = append(paths, expanded...)
	}
	return openAll(ctx, paths, o, nil)
}

// openAll opens files and directories, unless there is already an error.
func openAll(
	ctx context.Context, paths []string, o InputOptions, err error,
) (Source, []Kept, error) {
	if err != nil {
		return nil, nil, err
	}
	var all []Source
	var kept []Kept
	for i, path := range paths {
		s, columns, err := open(ctx, path, o)
		if err != nil {
			return nil, nil, err
		}
		if len(columns) != len(o.Keep) {
			return nil, nil, &UsageError{fmt.Sprintf("%s: expected a table or a tar file, of which "+
				"columns or members can be kept, got another input: leave --keep out, or give it apart", path)}
		}
		if i > 0 && !slices.Equal(columns, kept) {
			return nil, nil, &UsageError{fmt.Sprintf("keep: expected columns of one type in all "+
				"inputs, got %v in %s and %v in %s: convert them to one", kept, paths[i-1], columns, path)}
		}
		all, kept = append(all, s), columns
	}
	return concat(all), kept, nil
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

// spool makes a source of the files that fill adds, by their paths or why one cannot be had. It
// keeps them in a temporary file without a name. So the source takes no memory and is the same each
// time, whatever happens to the directories and lists that it was made from.
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
		kept := keptBytes(item.Kept)
		head = binary.AppendUvarint(head, uint64(len(kept)))
		_, err := out.WriteString(string(head) + item.Path + reason + string(kept))
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
			path, reason, kept, err := readSpooled(in)
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
			item.Kept = kept
			if !yield(item) || err != nil {
				return
			}
		}
	}, nil
}

func readSpooled(in *bufio.Reader) (path, reason string, kept []any, err error) {
	var sizes [3]uint64
	for i := range sizes {
		if sizes[i], err = binary.ReadUvarint(in); err != nil {
			if i > 0 {
				err = unexpectedEOF(err)
			}
			return "", "", nil, err
		}
	}
	all := make([]byte, sizes[0]+sizes[1]+sizes[2])
	if _, err := io.ReadFull(in, all); err != nil {
		return "", "", nil, unexpectedEOF(err)
	}
	path, reason = string(all[:sizes[0]]), string(all[sizes[0]:][:sizes[1]])
	if sizes[2] > 0 {
		var entries []keptEntry
		if err = json.Unmarshal(all[sizes[0]+sizes[1]:], &entries); err == nil {
			kept, err = unpackKept(entries)
		}
	}
	return path, reason, kept, err
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
// hidden ones, and train@10 into its shards. A path that exists is never either.
func expand(arg string, allowEmpty bool) ([]string, error) {
	if _, err := os.Lstat(arg); err == nil {
		return []string{arg}, nil
	}
	if shards, err := expandShards(arg); err != nil || shards != nil {
		return shards, err
	}
	if !strings.ContainsAny(arg, "*?[") {
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

// open returns the columns that the items keep too.
func open(ctx context.Context, path string, o InputOptions) (Source, []Kept, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		shards, err := shardsIn(path, o)
		if err != nil || shards != nil {
			return openAll(ctx, shards, o, err)
		}
		s, err := directory(path, o.Skipped.part(), o.AllowEmpty)
		return s, nil, err
	}
	compression, isTar := tarCompression(path)
	switch {
	case isTar:
		var kept []Kept
		for _, k := range o.Keep {
			kept = append(kept, Kept{k.As, "string"})
		}
		s := tarArchive(ctx, path, compression, o.Keep, o.Skipped.part(), o.AllowEmpty)
		return s, kept, nil
	case strings.EqualFold(filepath.Ext(path), ".zip"):
		return zipArchive(path, o.Skipped.part(), o.AllowEmpty), nil, nil
	case isTFRecord(path):
		return tfRecords(path, o.Feature), nil, nil
	case IsTable(path):
		if o.Column == "" {
			return nil, nil, &UsageError{
				fmt.Sprintf("%s: a table needs the name of its column of paths or images", path)}
		}
		return table{path, o.Separator}.source(o.Column, o.Keep)
	}
	return func(yield func(Item) bool) { yield(File(path)) }, nil, nil
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
	digest  string   // the SHA-256 of every path, size and kept value, in order
	batches []uint64 // a hash of the paths and kept values of each batch
}

// digestInputs ends with the error of check, if there is one.
func digestInputs(
	ctx context.Context, s Source, batch int, check func(Item) error,
) (d inputDigest, err error) {
	all, paths := sha256.New(), newPathHash()
	for item := range s {
		if ctx.Err() != nil {
			return d, context.Cause(ctx)
		}
		if err := check(item); err != nil {
			return d, fmt.Errorf("%s: %w", item.Path, err)
		}
		d.images++
		fmt.Fprintf(all, "%d %d %s\n", len(item.Path), item.Size, item.Path)
		kept := keptBytes(item.Kept)
		if kept != nil {
			fmt.Fprintf(all, "%s\n", kept)
		}
		paths.add(item.Path, kept)
		if d.images%int64(batch) == 0 {
			d.batches = append(d.batches, paths.sum())
		}
	}
	if d.images%int64(batch) != 0 {
		d.batches = append(d.batches, paths.sum())
	}
	d.digest = hex.EncodeToString(all.Sum(nil))
	return d, nil
}

// pathHash hashes the paths of one batch after the other.
type pathHash struct{ h hash.Hash64 }

func newPathHash() pathHash { return pathHash{fnv.New64a()} }

// add takes a path and the [keptBytes] that belong to it. A hash takes everything.
func (p pathHash) add(path string, kept []byte) {
	fmt.Fprintf(p.h, "%d %s", len(path), path)
	p.h.Write(kept)
}

func (p pathHash) sum() uint64 {
	defer p.h.Reset()
	return p.h.Sum64()
}
