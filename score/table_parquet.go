package score

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
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
		places, err := placesOf(fields, columns, check)
		if err != nil {
			yield(nil, err)
			return
		}
		next := make([]func() (any, error, bool), len(columns))
		for i, column := range columns {
			leaf, _ := opened.Schema().Lookup(column) // it is there
			pull, stop := iter.Pull2(parquetValues(opened, leaf, fields[places[i]].kind))
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

// parquetKind is a field's kind.
func parquetKind(f parquet.Field) string {
	if !f.Leaf() || f.Repeated() {
		return "a group"
	}
	kind := f.Type().Kind()
	logical := f.Type().LogicalType()
	if logical == nil || logical.Value == nil {
		plain, ok := map[parquet.Kind]string{parquet.Boolean: "bool", parquet.Int32: "int32",
			parquet.Int64: "int64", parquet.Float: "float32", parquet.Double: "float64",
			parquet.ByteArray: fieldBytes}[kind]
		if ok {
			return plain
		}
		return f.Type().String()
	}
	switch t := logical.Value.(type) {
	case *format.StringType, *format.EnumType, *format.JsonType:
		return "string"
	case *format.IntType:
		if t.IsSigned {
			return fmt.Sprintf("int%d", t.BitWidth)
		}
		return fmt.Sprintf("uint%d", t.BitWidth)
	case *format.TimestampType:
		zone := ""
		if t.IsAdjustedToUTC {
			zone = ", tz=UTC"
		}
		switch t.Unit.Value.(type) {
		case *format.MilliSeconds:
			return "timestamp[ms" + zone + "]"
		case *format.MicroSeconds:
			return "timestamp[us" + zone + "]"
		case *format.NanoSeconds:
			return "timestamp[ns" + zone + "]"
		}
	}
	return logical.String()
}

// parquetValues yields the values of a column of that kind.
func parquetValues(
	opened *parquet.File, leaf parquet.LeafColumn, kind string,
) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, group := range opened.RowGroups() {
			pages := group.ColumnChunks()[leaf.ColumnIndex].Pages()
			more := true
			err := eachValue(pages, func(v parquet.Value) bool {
				more = yield(parquetValue(kind, v), nil)
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

// parquetValue is a value of a column of that kind; nil is null.
func parquetValue(kind string, v parquet.Value) any {
	if v.IsNull() {
		return nil
	}
	unsigned := strings.HasPrefix(kind, "uint")
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32:
		if unsigned {
			return uint64(v.Uint32())
		}
		return int64(v.Int32())
	case parquet.Int64:
		if unsigned {
			return v.Uint64()
		}
		return v.Int64()
	case parquet.Float:
		return float64(v.Float())
	case parquet.Double:
		return v.Double()
	}
	if kind == "string" {
		return string(v.ByteArray())
	}
	return v.ByteArray()
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
