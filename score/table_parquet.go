package score

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"kerasrun/object"
)

// parquetRows reads the columns of a .parquet file side by side.
func (t table) parquetRows(
	file object.File, columns []string, check func(int, field) error,
) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		info, err := file.Stat()
		if err != nil {
			yield(nil, err)
			return
		}
		if err := checkFooter(file, info.Size()); err != nil {
			yield(nil, err)
			return
		}
		// The indexes are not needed, and not read.
		opened, err := parquet.OpenFile(file, info.Size(), parquet.SkipPageIndex(true),
			parquet.SkipBloomFilters(true))
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
			pull, stop := pullParquet(file, opened, column, fields[places[i]].kind)
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
			err := checkTexts(columns, values)
			if !yield(values, err) || err != nil {
				return
			}
		}
	}
}

// pullParquet pulls the values of a column of that kind. Those of an image are in two columns.
func pullParquet(
	file object.File, opened *parquet.File, column, kind string,
) (next func() (any, error, bool), stop func()) {
	pull := func(kind string, path ...string) (func() (any, error, bool), func()) {
		leaf, _ := opened.Schema().Lookup(path...) // it is there
		return iter.Pull2(parquetValues(file, opened, leaf, kind))
	}
	if kind != fieldImage {
		return pull(kind, column)
	}
	nextBytes, stopBytes := pull(fieldBytes, column, "bytes")
	nextPath, stopPath := pull("string", column, "path")
	next = func() (any, error, bool) {
		data, err1, more := nextBytes()
		path, err2, _ := nextPath()
		var image embedded
		image.data, _ = data.([]byte)
		image.path, _ = path.(string)
		return image, errors.Join(err1, err2), more
	}
	return next, func() { stopBytes(); stopPath() }
}

// parquetKind is a field's kind.
func parquetKind(f parquet.Field) string {
	if f.Repeated() {
		return "a list"
	}
	if !f.Leaf() {
		kinds := map[string]string{}
		for _, part := range f.Fields() {
			kinds[part.Name()] = parquetKind(part)
		}
		if len(kinds) == 2 && kinds["bytes"] == fieldBytes && kinds["path"] == "string" {
			return fieldImage
		}
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
	file object.File, opened *parquet.File, leaf parquet.LeafColumn, kind string,
) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for i, group := range opened.RowGroups() {
			if group.NumRows() == 0 {
				continue
			}
			chunk := opened.Metadata().RowGroups[i].Columns[leaf.ColumnIndex]
			if err := checkPages(file, chunk.MetaData); err != nil {
				yield(nil, err)
				return
			}
			pages := group.ColumnChunks()[leaf.ColumnIndex].Pages()
			// Of a column that has other rows than its row group, what follows would stand beside
			// the values of other rows.
			rows, more := int64(0), true
			var fault error
			err := eachValue(pages, func(v parquet.Value) bool {
				value := parquetValue(kind, v)
				if fault = checkRange(kind, value); fault != nil {
					fault = fmt.Errorf("column %q: %w",
						strings.Join(chunk.MetaData.PathInSchema, "."), fault)
					return false
				}
				if rows++; rows > group.NumRows() {
					return false
				}
				more = yield(value, nil)
				return more
			})
			if err = cmp.Or(err, fault); err == nil && more && rows != group.NumRows() {
				err = fmt.Errorf("column %q: expected the %d rows of its row group %d, got %s",
					strings.Join(chunk.MetaData.PathInSchema, "."), group.NumRows(), i,
					map[bool]string{true: "more", false: fmt.Sprint(rows)}[rows > group.NumRows()])
			}
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

// checkPages goes over the heads of a column's pages in a row group, and refuses what is too large
// to read, before it is.
func checkPages(file object.File, chunk format.ColumnMetaData) error {
	at := chunk.DataPageOffset
	if d := chunk.DictionaryPageOffset; d > 0 {
		at = min(at, d)
	}
	in, end := bufio.NewReader(nil), at+chunk.TotalCompressedSize
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if at < 0 || chunk.TotalCompressedSize < 0 || end < at || end > info.Size() {
		return fmt.Errorf("column %q: expected its bytes in the file's %d, got %d from byte %d",
			strings.Join(chunk.PathInSchema, "."), info.Size(), chunk.TotalCompressedSize, at)
	}
	for at < end {
		section := io.NewSectionReader(file, at, end-at)
		in.Reset(section)
		var head format.PageHeader
		var protocol thrift.CompactProtocol
		if err := thrift.NewDecoder(protocol.NewReader(in)).Decode(&head); err != nil {
			return fmt.Errorf("column %q: a page's head at byte %d: %w",
				strings.Join(chunk.PathInSchema, "."), at, err)
		}
		read, _ := section.Seek(0, io.SeekCurrent) // a section has no error
		at += read - int64(in.Buffered())
		size := int(max(head.UncompressedPageSize, head.CompressedPageSize))
		if size > maxPart || min(head.UncompressedPageSize, head.CompressedPageSize) < 0 {
			return fmt.Errorf("column %q: expected pages of at most %d bytes, got %d: write smaller ones",
				strings.Join(chunk.PathInSchema, "."), maxPart, size)
		}
		if int64(head.CompressedPageSize) > end-at {
			return fmt.Errorf("column %q: expected a page within its %d bytes, got one of %d",
				strings.Join(chunk.PathInSchema, "."), end-at, head.CompressedPageSize)
		}
		if err := checkPage(chunk.Codec, head, io.NewSectionReader(file, at,
			int64(head.CompressedPageSize))); err != nil {
			return fmt.Errorf("column %q: the page at byte %d: %w",
				strings.Join(chunk.PathInSchema, "."), at, err)
		}
		at += int64(head.CompressedPageSize)
	}
	return nil
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
	return notNil(v.ByteArray())
}

// checkRange refuses an integer that its type does not hold: the file has them all in 32 bits.
func checkRange(kind string, value any) error {
	fits := true
	switch v := value.(type) {
	case int64:
		bits := map[string]int{"int8": 8, "int16": 16, "int32": 32}[kind]
		fits = bits == 0 || v>>(bits-1) == 0 || v>>(bits-1) == -1
	case uint64:
		bits := map[string]int{"uint8": 8, "uint16": 16, "uint32": 32}[kind]
		fits = bits == 0 || v>>bits == 0
	}
	if !fits {
		return fmt.Errorf("expected a number of %s, got %v", kind, value)
	}
	return nil
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
