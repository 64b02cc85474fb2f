package score

import (
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Row is one row of a table of images.
type Row struct {
	Item  Item     // of the path; a relative one is taken from the table's own folder
	Texts []string // of the further columns that were asked for; "" is a null too
}

// tableEndings are those of the files that hold a table.
var tableEndings = []string{".csv", ".tsv", ".parquet"}

// IsTable says by its ending whether a file is a table.
func IsTable(path string) bool {
	return slices.Contains(tableEndings, strings.ToLower(filepath.Ext(path)))
}

// Table yields the rows of a table: the path in one column, and the texts of more columns, which
// may also hold integers, which become decimal. separator is that of [InputOptions]. An error is the
// last that is yielded.
func Table(path string, separator rune, paths string, more ...string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		t := table{path, separator}
		places := append([]string{paths}, more...)
		check := func(i int, f field) error {
			if f.kind != "string" && (i == 0 || !strings.HasPrefix(f.kind, "int")) {
				of := "texts"
				if i > 0 {
					of = "texts or integers"
				}
				return fmt.Errorf("expected a column %q of %s, got %s", f.name, of, f.kind)
			}
			return nil
		}
		number := int64(0)
		for values, err := range t.rows(places, check) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			item := t.pathItem(number, paths, values[0])
			if item.failure == nil {
				item = File(item.Path)
			}
			row := Row{Item: item}
			for _, value := range values[1:] {
				row.Texts = append(row.Texts, tableText(value))
			}
			if number++; !yield(row, nil) {
				return
			}
		}
	}
}

func tableText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return "" // null
}

// table is a file of rows.
type table struct {
	path      string
	separator rune // of a text; 0: the header decides
}

// field is a column of a table. Its kind is "string" or "int64", or what else it holds in words.
type field struct{ name, kind string }

// rows yields the values of some columns, which check may refuse by their places in columns. They
// are strings, int64 and nil, which is null. An error is the last that is yielded.
func (t table) rows(columns []string, check func(int, field) error) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		file, _, err := openRegular(t.path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		read := t.textRows
		if strings.EqualFold(filepath.Ext(t.path), ".parquet") {
			read = t.parquetRows
		}
		for values, err := range read(file, columns, check) {
			if err != nil {
				err = fmt.Errorf("%s: %w", t.path, err)
			}
			if !yield(values, err) || err != nil {
				return
			}
		}
	}
}

// rowName names what a row holds where it does not name it itself.
func (t table) rowName(number int64) string { return fmt.Sprintf("%s/%d", t.path, number) }

// pathItem is the image that a row has the path of, without its Size and Read, or why it has none.
func (t table) pathItem(number int64, column string, value any) Item {
	path, _ := value.(string)
	if path == "" {
		name := t.rowName(number)
		return failedItem(name, fmt.Errorf("%s: row %d, counted from 0: expected a path in the column "+
			"%q, got none", t.path, number, column))
	}
	if !filepath.IsAbs(path) && !isURL(path) {
		path = filepath.Join(filepath.Dir(t.path), path)
	}
	return Item{Path: path}
}

// pathColumn lists the files named in a column of a table.
func pathColumn(t table, column string) (Source, error) {
	return spool(func(add func(Item) error) error {
		check := func(_ int, f field) error {
			if f.kind != "string" {
				return fmt.Errorf("expected a column %q of texts, got %s", f.name, f.kind)
			}
			return nil
		}
		number := int64(0)
		for values, err := range t.rows([]string{column}, check) {
			if err == nil {
				err = add(t.pathItem(number, column, values[0]))
			}
			if err != nil {
				return err
			}
			number++
		}
		return nil
	})
}

// placesOf returns where each of columns is among a table's fields.
func placesOf(fields []field, columns []string, check func(int, field) error) ([]int, error) {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	var places []int
	for i, column := range columns {
		k := slices.Index(names, column)
		if k < 0 {
			return nil, fmt.Errorf("expected a column %q, got %q", column, names)
		}
		if slices.Contains(names[k+1:], column) {
			return nil, fmt.Errorf("expected one column %q, got several: %q", column, names)
		}
		if err := check(i, fields[k]); err != nil {
			return nil, err
		}
		places = append(places, k)
	}
	return places, nil
}
