package score

import (
	"context"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"

	"kerasrun/object"
)

// sink writes records, in the order in which they come. Close ends the format; it does not close
// the writer beneath.
type sink interface {
	Write(Record) error
	Close() error
}

// outputFormat is named by the file's ending.
type outputFormat string

const (
	formatJSONL   outputFormat = "jsonl"
	formatCSV     outputFormat = "csv"
	formatParquet outputFormat = "parquet"
	formatNPZ     outputFormat = "npz"

	formatArrow outputFormat = "arrow" // of [Stream] alone, which has no sink
)

// CheckOutput returns an error, a *UsageError, unless a run can have this output.
func CheckOutput(path string) error {
	_, err := formatOf(path)
	return err
}

// formatOf tells the format of a file from its ending; "-" is JSON lines.
func formatOf(path string) (outputFormat, error) {
	if path == "-" {
		return formatJSONL, nil
	}
	if object.IsRemote(path) && !object.IsStore(path) {
		return "", &UsageError{fmt.Sprintf("%s: expected a path, or an address of s3, gs, az or "+
			"file, which can be written", path)}
	}
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".jsonl", ".csv", ".parquet", ".npz":
		return outputFormat(ext[1:]), nil
	}
	return "", &UsageError{fmt.Sprintf(
		"%s: expected an output that ends in .jsonl, .csv, .parquet or .npz, or -", path)}
}

// newSink starts an output of that format.
func newSink(w io.Writer, f outputFormat, s Schema) (sink, error) {
	switch f {
	case formatJSONL:
		return newJSONL(w, s), nil
	case formatCSV:
		return newCSV(w, s)
	case formatParquet:
		return newParquet(w, s), nil
	case formatNPZ:
		return newNPZ(w, s)
	}
	return nil, fmt.Errorf("expected the format jsonl, csv, parquet or npz, got %q", f)
}

// ReadOutput reads an output of this package back, whatever its format: its schema first, then its
// records one by one. The sequence ends after the first error.
func ReadOutput(path string) (Schema, iter.Seq2[Record, error], error) {
	f, err := formatOf(path)
	if err != nil {
		return Schema{}, nil, err
	}
	read := map[outputFormat]func(string, Schema) iter.Seq2[Record, error]{
		formatJSONL: readJSONL, formatCSV: readCSV, formatParquet: readParquet,
		formatNPZ: readNPZ,
	}[f]
	m, err := ReadManifest(path)
	if err != nil {
		return Schema{}, nil, err
	}
	if _, err := object.Stat(context.Background(), path); err != nil {
		return Schema{}, nil, err
	}
	return m.Schema, checked(path, m.Schema, read(path, m.Schema)), nil
}

// checked is an output's records up to the first that is not one of its columns, or not behind the
// one before.
func checked(path string, s Schema, records iter.Seq2[Record, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		last := int64(-1)
		for r, err := range records {
			if err == nil && r.Index <= last {
				err = fmt.Errorf(
					"%s: expected images in the order of their indices, got %d behind %d", path, r.Index, last)
			} else if err == nil {
				if err = s.checkRecord(r); err != nil {
					err = fmt.Errorf("%s: image %d: %w", path, r.Index, err)
				}
			}
			last = r.Index
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// failed is a sequence of one error.
func failed(err error) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) { yield(Record{}, err) }
}
