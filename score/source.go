package score

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"kerasrun/object"
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

	// of an object: its version, where that is known, and how it is opened, which may be done ahead
	version string
	open    func(context.Context) (object.File, error)
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
	// Keep are columns of the tables, features of the TFRecords, or endings of WebDataset's members,
	// that are carried through to the output.
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
// with its byte order mark. Each may be an address, as package object has them; of a web server
// none is a directory or a glob.
//
// The source ends with an error where ctx does: what is no image may take long to pass over.
//
// It returns the columns that o.Keep has the items keep, for [Config.Kept].
func Open(ctx context.Context, args []string, o InputOptions) (Source, []Kept, error) {
	var paths []string
	for _, arg := range args {
		expanded, err := expand(ctx, arg, o.AllowEmpty)
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
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
			return nil, nil, &UsageError{fmt.Sprintf("%s: expected a table, an archive or a "+
				"TFRecord file, of which columns, members or features can be kept, got another "+
				"input: leave --keep out, or give it apart", path)}
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
	file, err := unnamedFile("kerasrun-inputs-")
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(file)
	var line []byte // room for what is written, of millions of items
	err = fill(func(item Item) error {
		reason := ""
		if item.failure != nil {
			reason = item.failure.Error()
		}
		// their lengths come first, as either may hold any byte
		line = binary.AppendUvarint(line[:0], uint64(len(item.Path)))
		line = binary.AppendUvarint(line, uint64(len(reason)))
		kept := keptBytes(item.Kept)
		line = binary.AppendUvarint(line, uint64(len(kept)))
		line = binary.AppendUvarint(line, uint64(len(item.version)))
		line = binary.AppendVarint(line, item.Size) // of an object that was listed
		line = append(append(line, item.Path...), reason...)
		line = append(append(line, kept...), item.version...)
		_, err := out.Write(line)
		return err
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func(yield func(Item) bool) {
		stop := make(chan struct{})
		defer close(stop)
		for items := range spooledItems(file, stop) {
			for _, item := range items {
				if !yield(item) {
					return
				}
			}
		}
	}, nil
}

// spooledItems sends what was spooled, some items at a time: the next ones are found while these
// are taken. It ends when there are no more, or at stop.
func spooledItems(file io.ReaderAt, stop <-chan struct{}) <-chan []Item {
	found := make(chan []Item)
	go func() {
		defer close(found)
		in := bufio.NewReader(io.NewSectionReader(file, 0, math.MaxInt64))
		var scratch []byte
		for ended := error(nil); ended == nil; {
			items := make([]Item, 0, spooledAtOnce)
			for len(items) < spooledAtOnce && ended == nil {
				var item Item
				if item, scratch, ended = readSpooled(in, scratch); ended != io.EOF {
					items = append(items, item)
				}
			}
			if ended != nil && ended != io.EOF {
				last := &items[len(items)-1]
				last.failure = fmt.Errorf("list of inputs: %w", ended)
			}
			findAll(items)
			select {
			case found <- items:
			case <-stop:
				return
			}
		}
	}()
	return found
}

const (
	spooledAtOnce = 512 // items
	stats         = 16  // files whose size is asked for at once: of a network's each takes long
)

// findAll makes the items of what was spooled of them.
func findAll(spooled []Item) {
	var group sync.WaitGroup
	part := (len(spooled) + stats - 1) / stats
	for some := range slices.Chunk(spooled, max(part, 1)) {
		group.Go(func() {
			for i, item := range some {
				some[i] = found(item)
			}
		})
	}
	group.Wait()
}

// found makes the item of what was spooled of it.
func found(spooled Item) (item Item) {
	switch {
	case spooled.failure != nil:
		item = failedItem(spooled.Path, spooled.failure)
	case spooled.version != "":
		item = objectItem(spooled.Path, spooled.Size, spooled.version)
	default:
		item = File(spooled.Path)
	}
	item.Kept = spooled.Kept
	return item
}

// unnamedFile creates a temporary file that goes with the process: its name is removed at once.
func unnamedFile(pattern string) (*os.File, error) {
	file, err := os.CreateTemp("", pattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// readSpooled reads what an item was spooled with, without its Read. It reads into scratch, or into
// a larger one that it returns.
func readSpooled(in *bufio.Reader, scratch []byte) (item Item, _ []byte, err error) {
	var sizes [4]uint64
	for i := range sizes {
		if sizes[i], err = binary.ReadUvarint(in); err != nil {
			if i > 0 {
				err = unexpectedEOF(err)
			}
			return item, scratch, err
		}
	}
	if item.Size, err = binary.ReadVarint(in); err != nil {
		return item, scratch, unexpectedEOF(err)
	}
	all := slices.Grow(scratch[:0], int(sizes[0]+sizes[1]+sizes[2]+sizes[3]))
	all = all[:sizes[0]+sizes[1]+sizes[2]+sizes[3]]
	if _, err := io.ReadFull(in, all); err != nil {
		return item, all, unexpectedEOF(err)
	}
	rest := all
	next := func(i int) (part []byte) {
		part, rest = rest[:sizes[i]], rest[sizes[i]:]
		return part
	}
	item.Path = string(next(0))
	if reason := next(1); len(reason) > 0 {
		item.failure = errors.New(string(reason))
	}
	if kept := next(2); len(kept) > 0 {
		var entries []keptEntry
		if err = json.Unmarshal(kept, &entries); err == nil {
			item.Kept, err = unpackKept(entries)
		}
	}
	item.version = string(next(3))
	return item, all, err
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
func expand(ctx context.Context, arg string, allowEmpty bool) ([]string, error) {
	if object.IsURL(arg) && !object.IsStore(arg) {
		return []string{arg}, nil
	}
	shards, special := shardPattern.MatchString(arg), strings.ContainsAny(arg, "*?[")
	if !shards && !special {
		return []string{arg}, nil
	}
	if there, err := exists(ctx, arg); there || err != nil {
		return []string{arg}, err
	}
	if shards {
		return expandShards(ctx, arg)
	}
	glob := filepath.Glob
	if object.IsURL(arg) {
		glob = func(pattern string) ([]string, error) {
			return object.Glob(ctx, pattern)
		}
	}
	paths, err := glob(arg)
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

// exists says whether there is a file or a link, an object or a directory. An error is that of a
// store.
func exists(ctx context.Context, path string) (bool, error) {
	if !object.IsRemote(path) {
		_, err := os.Lstat(path)
		return err == nil, nil
	}
	_, err := object.Stat(ctx, path)
	return err == nil, storeError(err)
}

// open returns the columns that the items keep too.
func open(ctx context.Context, path string, o InputOptions) (Source, []Kept, error) {
	if isDirectory, err := object.IsDirectory(ctx, path); err != nil {
		return nil, nil, err
	} else if isDirectory {
		shards, err := shardsIn(ctx, path, o)
		if err != nil || shards != nil {
			return openAll(ctx, shards, o, err)
		}
		s, err := directory(ctx, path, o.Skipped.part(), o.AllowEmpty)
		return s, nil, err
	}
	name := object.Base(path)
	compression, isTar := tarCompression(name)
	switch {
	case isTar:
		s := tarArchive(ctx, path, compression, o.Keep, o.Skipped.part(), o.AllowEmpty)
		return s, keptTexts(o.Keep), nil
	case strings.EqualFold(filepath.Ext(name), ".zip"):
		return zipArchive(path, o.Keep, o.Skipped.part(), o.AllowEmpty), keptTexts(o.Keep), nil
	case isTFRecord(path):
		return tfRecords(path, o.Feature, o.Keep)
	case IsTable(path):
		if o.Column == "" {
			return nil, nil, &UsageError{
				fmt.Sprintf("%s: a table needs the name of its column of paths or images", path)}
		}
		return table{path, o.Separator}.source(o.Column, o.Keep)
	}
	return func(yield func(Item) bool) { yield(File(path)) }, nil, nil
}

// File is the image in a file or an object.
func File(path string) Item {
	if object.IsRemote(path) {
		return objectItem(path, -1, "")
	}
	var size int64 = -1
	if local, err := object.Local(path); err == nil {
		if info, err := os.Stat(local); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	return Item{Path: path, Size: size, Read: func() ([]byte, error) { return readFile(path) }}
}

func failedItem(path string, err error) Item {
	read := func() ([]byte, error) { return nil, err }
	return Item{Path: path, Size: -1, Read: read, failure: err}
}

func directory(
	ctx context.Context, root string, skipped *skippedPart, allowEmpty bool,
) (Source, error) {
	return spool(func(add func(Item) error) (failure error) {
		skipped.reset()
		empty := true
		walkAny(ctx, root, skipped, func(item Item) bool {
			empty = false
			if failure = storeError(item.failure); failure == nil {
				failure = add(item)
			}
			return failure == nil
		})
		if empty && !allowEmpty {
			return add(Item{Path: root, failure: noImages(root, skipped)})
		}
		return failure
	})
}
