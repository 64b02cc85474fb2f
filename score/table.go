package score

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Row is one row of a table of images.
type Row struct {
	Path  string   // of the image; a relative one is taken from the table's own folder
	Texts []string // of the further columns that were asked for; "" is a null too
}

// Table yields the rows of a .csv or .parquet file: the path in one column, and the texts of more
// columns. Of Parquet these may also hold integers, which become decimal. An error is the last that
// is yielded.
func Table(table, paths string, more ...string) iter.Seq2[Row, error] {
	read := csvRows
	if strings.EqualFold(filepath.Ext(table), ".parquet") {
		read = parquetRows
	}
	return func(yield func(Row, error) bool) {
		file, _, err := openRegular(table)
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer file.Close()
		for texts, err := range read(file, append([]string{paths}, more...)) {
			if err != nil {
				yield(Row{}, fmt.Errorf("%s: %w", table, err))
				return
			}
			path := texts[0]
			if !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(table), path)
			}
			if !yield(Row{path, texts[1:]}, nil) {
				return
			}
		}
	}
}

// pathColumn lists the files named in a column of a table.
func pathColumn(table, column string) (Source, error) {
	return spool(func(add func(string, error) error) error {
		for row, err := range Table(table, column) {
			if err == nil {
				err = add(row.Path, nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func csvRows(file *os.File, columns []string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		rows := csv.NewReader(skipMark(file))
		rows.ReuseRecord = true
		places, err := csvHeaderPlaces(rows, columns)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			row, err := rows.Read()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			texts := make([]string, len(places))
			for i, k := range places {
				texts[i] = row[k]
			}
			if !yield(texts, nil) {
				return
			}
		}
	}
}

// csvHeaderPlaces reads the header, and returns where each of columns is in a row.
func csvHeaderPlaces(rows *csv.Reader, columns []string) (places []int, err error) {
	header, err := rows.Read()
	if err != nil {
		return nil, err
	}
	for _, column := range columns {
		k := slices.Index(header, column)
		if k < 0 {
			return nil, fmt.Errorf("expected a column %q, got %q", column, header)
		}
		if slices.Contains(header[k+1:], column) {
			return nil, fmt.Errorf("expected one column %q, got several: %q", column, header)
		}
		places = append(places, k)
	}
	return places, nil
}

// parquetRows reads the columns side by side. The first holds texts.
func parquetRows(file *os.File, columns []string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
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
		next := make([]func() (string, error, bool), len(columns))
		for i, column := range columns {
			values, err := parquetColumn(opened, column, i > 0)
			if err != nil {
				yield(nil, err)
				return
			}
			pull, stop := iter.Pull2(values)
			defer stop()
			next[i] = pull
		}
		for {
			texts := make([]string, len(columns))
			for i := range columns {
				var more bool
				texts[i], err, more = next[i]()
				if err != nil {
					yield(nil, err)
					return
				}
				if !more {
					return // each column has a value for each row
				}
			}
			if !yield(texts, nil) {
				return
			}
		}
	}
}

// parquetColumn yields a column's values as texts.
func parquetColumn(
	opened *parquet.File, column string, integers bool,
) (iter.Seq2[string, error], error) {
	leaf, ok := opened.Schema().Lookup(column)
	of := "texts"
	if integers {
		of = "texts or integers"
	}
	if !ok || leaf.MaxRepetitionLevel > 0 || !isText(leaf) && !(integers && isInteger(leaf)) {
		return nil, fmt.Errorf("expected a column %q of %s, got %v", column, of,
			opened.Schema().Columns())
	}
	return func(yield func(string, error) bool) {
		for _, group := range opened.RowGroups() {
			pages := group.ColumnChunks()[leaf.ColumnIndex].Pages()
			more := true
			err := eachValue(pages, func(v parquet.Value) bool {
				more = yield(parquetText(v), nil)
				return more
			})
			if err := errors.Join(err, pages.Close()); more && err != nil {
				more = false
				yield("", err)
			}
			if !more {
				return
			}
		}
	}, nil
}

func isText(leaf parquet.LeafColumn) bool {
	return leaf.Node.Type().Kind() == parquet.ByteArray
}

// isInteger is false for what is an integer in the file and means something else, as DECIMAL(4,1).
func isInteger(leaf parquet.LeafColumn) bool {
	t := leaf.Node.Type()
	return (t.Kind() == parquet.Int32 || t.Kind() == parquet.Int64) &&
		strings.HasPrefix(t.String(), "INT")
}

// parquetText is a value as text; "" is null.
func parquetText(v parquet.Value) string {
	switch {
	case v.IsNull():
		return ""
	case v.Kind() == parquet.Int32:
		return strconv.FormatInt(int64(v.Int32()), 10)
	case v.Kind() == parquet.Int64:
		return strconv.FormatInt(v.Int64(), 10)
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
