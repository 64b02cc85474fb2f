package score

import (
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Sink writes records, in the order in which they come. Close ends the format; it does not close
// the writer beneath.
type Sink interface {
	Write(Record) error
	Close() error
}

// Format is an output format, named by the file's ending.
type Format string

const (
	JSONL   Format = "jsonl"
	CSV     Format = "csv"
	Parquet Format = "parquet"
)

// FormatOf tells the format of a file from its ending; "-" is JSON lines.
func FormatOf(path string) (Format, error) {
	if path == "-" {
		return JSONL, nil
	}
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".jsonl", ".csv", ".parquet":
		return Format(ext[1:]), nil
	}
	return "", &UsageError{fmt.Sprintf(
		"%s: expected an output that ends in .jsonl, .csv or .parquet, or -", path)}
}

// NewSink starts an output of that format.
func NewSink(w io.Writer, f Format, c Columns) (Sink, error) {
	switch f {
	case JSONL:
		return newJSONL(w, c), nil
	case CSV:
		return newCSV(w, c)
	case Parquet:
		return newParquet(w, c), nil
	}
	return nil, fmt.Errorf("expected the format jsonl, csv or parquet, got %q", f)
}

// ReadOutput reads an output of this package back, whatever its format: its columns first, then its
// records one by one. The sequence ends after the first error.
func ReadOutput(path string) (Columns, iter.Seq2[Record, error], error) {
	f, err := FormatOf(path)
	if err != nil {
		return Columns{}, nil, err
	}
	read := map[Format]func(string, Columns) iter.Seq2[Record, error]{JSONL: readJSONL,
		CSV: readCSV, Parquet: readParquet}[f]
	m, err := ReadManifest(path)
	if err != nil {
		return Columns{}, nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return Columns{}, nil, err
	}
	return m.Columns, read(path, m.Columns), nil
}

// failed is a sequence of one error.
func failed(err error) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) { yield(Record{}, err) }
}
