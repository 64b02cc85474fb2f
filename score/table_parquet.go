package score

import (
	"errors"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// parquetRows reads the columns of a .parquet file side by side.
func (t table) parquetRows(
	file *os.File, columns []string, check func(int, field) error,
) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		info, err := file.Stat()
		if err != nil {
			yield(nil, err)
			return
		}
		opened, err := parquet.OpenFile(file, info.Size())
		if err != nil {
			yield(nil, err)
			return
		}
		var fields []field
		for _, f := range opened.Schema().Fields() {
			fields = append(fields, field{f.Name(), parquetKind(f)})
		}
		if _, err := placesOf(fields, columns, check); err != nil {
			yield(nil, err)
			return
		}
		next := make([]func() (any, error, bool), len(columns))
		for i, column := range columns {
			leaf, _ := opened.Schema().Lookup(column) // it is there
			pull, stop := iter.Pull2(parquetValues(opened, leaf))
			defer stop()
			next[i] = pull
		}
		for {
			values := make([]any, len(columns))
			for i := range columns {
				var more bool
				values[i], err, more = next[i]()
				if err != nil {
					yield(nil, err)
					return
				}
				if !more {
					return // each column has a value for each row
				}
			}
			if !yield(values, nil) {
				return
			}
		}
	}
}

// parquetKind is a field's kind. What is an integer in the file and means something else, as
// DECIMAL(4,1), is of the kind that it means.
func parquetKind(f parquet.Field) string {
	if !f.Leaf() || f.Repeated() {
		return "a group"
	}
	switch kind, name := f.Type().Kind(), f.Type().String(); {
	case kind == parquet.ByteArray:
		return "string"
	case (kind == parquet.Int32 || kind == parquet.Int64) && strings.HasPrefix(name, "INT"):
		return "int64"
	default:
		return name
	}
}

// parquetValues yields a column's values.
func parquetValues(opened *parquet.File, leaf parquet.LeafColumn) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, group := range opened.RowGroups() {
			pages := group.ColumnChunks()[leaf.ColumnIndex].Pages()
			more := true
			err := eachValue(pages, func(v parquet.Value) bool {
				more = yield(parquetValue(v), nil)
				return more
			})
			if err := errors.Join(err, pages.Close()); more && err != nil {
				more = false
				yield(nil, err)
			}
			if !more {
				return
			}
		}
	}
}

// parquetValue is nil for null.
func parquetValue(v parquet.Value) any {
	switch {
	case v.IsNull():
		return nil
	case v.Kind() == parquet.Int32:
		return int64(v.Int32())
	case v.Kind() == parquet.Int64:
		return v.Int64()
	}
	return string(v.ByteArray())
}

// eachValue calls f with each value until it returns false.
func eachValue(pages parquet.Pages, f func(parquet.Value) bool) error {
	buffer := make([]parquet.Value, 256)
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		more, err := eachValueOf(page, buffer, f)
		parquet.Release(page)
		if !more || err != nil {
			return err
		}
	}
}

func eachValueOf(
	page parquet.Page, buffer []parquet.Value, f func(parquet.Value) bool,
) (more bool, err error) {
	values := page.Values()
	for {
		n, err := values.ReadValues(buffer)
		for _, v := range buffer[:n] {
			if !f(v) {
				return false, nil
			}
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}
