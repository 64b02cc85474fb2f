package score

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// pathColumn lists the files named in a column of a .csv or .parquet file. Relative paths are taken
// from the table's own folder.
func pathColumn(table, column string) (Source, error) {
	read := csvColumn
	if strings.EqualFold(filepath.Ext(table), ".parquet") {
		read = parquetColumn
	}
	return spool(func(add func(string, error) error) error {
		file, _, err := openRegular(table)
		if err != nil {
			return err
		}
		defer file.Close()
		err = read(file, column, func(path string) error {
			if !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(table), path)
			}
			return add(path, nil)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		return nil
	})
}

func csvColumn(file *os.File, column string, add func(path string) error) error {
	rows := csv.NewReader(skipMark(file))
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return err
	}
	k := slices.Index(header, column)
	if k < 0 {
		return fmt.Errorf("expected a column %q, got %q", column, header)
	}
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := add(row[k]); err != nil {
			return err
		}
	}
}

func parquetColumn(file *os.File, column string, add func(path string) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	opened, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		return err
	}
	leaf, ok := opened.Schema().Lookup(column)
	if !ok || leaf.Node.Type().Kind() != parquet.ByteArray {
		return fmt.Errorf("expected a column %q of texts, got %v", column,
			opened.Schema().Columns())
	}
	for _, group := range opened.RowGroups() {
		pages := group.ColumnChunks()[leaf.ColumnIndex].Pages()
		err := eachValue(pages, func(v parquet.Value) error { return add(string(v.ByteArray())) })
		if err := errors.Join(err, pages.Close()); err != nil {
			return err
		}
	}
	return nil
}

func eachValue(pages parquet.Pages, f func(parquet.Value) error) error {
	buffer := make([]parquet.Value, 256)
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		values := page.Values()
		for {
			n, err := values.ReadValues(buffer)
			for _, v := range buffer[:n] {
				if err := f(v); err != nil {
					return err
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
		parquet.Release(page)
	}
}
