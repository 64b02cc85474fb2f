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

// pathColumn lists the files named in a column of a .csv or .parquet file. Relative paths are taken from the table's own folder.
func pathColumn(table, column string) (Source, error) {
	read := csvColumn
	if strings.EqualFold(filepath.Ext(table), ".parquet") {
		read = parquetColumn
	}
	paths, err := read(table, column)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", table, err)
	}
	for i, path := range paths {
		if !filepath.IsAbs(path) {
			paths[i] = filepath.Join(filepath.Dir(table), path)
		}
	}
	return listed(paths), nil
}

func csvColumn(table, column string) ([]string, error) {
	file, err := os.Open(table)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows := csv.NewReader(file)
	header, err := rows.Read()
	if err != nil {
		return nil, err
	}
	k := slices.Index(header, column)
	if k < 0 {
		return nil, fmt.Errorf("want a column %q, got %q", column, header)
	}
	var paths []string
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return paths, nil
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, strings.Clone(row[k]))
	}
}

func parquetColumn(table, column string) (paths []string, err error) {
	file, err := os.Open(table)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	opened, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		return nil, err
	}
	leaf, ok := opened.Schema().Lookup(column)
	if !ok {
		return nil, fmt.Errorf("want a column %q, got %v", column, opened.Schema().Columns())
	}
	for _, group := range opened.RowGroups() {
		pages := group.ColumnChunks()[leaf.ColumnIndex].Pages()
		err := eachValue(pages, func(v parquet.Value) { paths = append(paths, string(v.ByteArray())) })
		if err := errors.Join(err, pages.Close()); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

func eachValue(pages parquet.Pages, f func(parquet.Value)) error {
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
				f(v)
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
