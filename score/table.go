package score

import (
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"kerasrun/object"
)

// Row is one row of a table of images.
type Row struct {
	Item  Item     // of the path; a relative one is taken from the table's own folder
	Texts []string // of the further columns that were asked for; "" is a null too
}

// tableEndings are those of the files that hold a table.
var tableEndings = []string{".csv", ".tsv", ".parquet", ".arrow", ".feather"}

// IsTable says by its ending whether a file is a table.
func IsTable(path string) bool {
	return slices.Contains(tableEndings, strings.ToLower(filepath.Ext(object.Base(path))))
}

// Table yields the rows of a table: the path in one column, and the texts of more columns, which
// may also hold integers, and with floats any numbers, which become decimal. separator is that of
// [InputOptions]. An error is the last that is yielded.
func Table(
	path string, separator rune, floats bool, paths string, more ...string,
) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		t := table{path, separator}
		places := append([]string{paths}, more...)
		check := func(i int, f field) error {
			number := strings.HasPrefix(f.kind, "int") || strings.HasPrefix(f.kind, "uint") ||
				floats && strings.HasPrefix(f.kind, "float")
			if f.kind != "string" && (i == 0 || !number) {
				of := "texts"
				switch {
				case i > 0 && floats:
					of = "texts or numbers"
				case i > 0:
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
				row.Texts = append(row.Texts, Kept{}.text(value)) // a float as one of 64 bits
			}
			if number++; !yield(row, nil) {
				return
			}
		}
	}
}

// table is a file of rows.
type table struct {
	path      string
	separator rune // of a text; 0: the header decides
}

// field is a column of a table. Its kind is a type as [Kept] has it, fieldBytes, or in words what
// else it holds.
type field struct{ name, kind string }

const (
	fieldBytes = "bytes"         // values are []byte
	fieldImage = "{bytes, path}" // Hugging Face's; values are embedded
)

// embedded is an image in a table, or the path that it was read from, or both. data is nil where
// there is only a path.
type embedded struct {
	data []byte
	path string
}

// rows yields the values of some columns, which check may refuse by their places in columns. They
// are as [Kept] has them; bytes are good until the next row. An error is the last that is yielded.
func (t table) rows(columns []string, check func(int, field) error) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		file, _, err := openRegular(t.path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		read := t.textRows
		switch strings.ToLower(filepath.Ext(object.Base(t.path))) {
		case ".parquet":
			read = t.parquetRows
		case ".arrow", ".feather":
			read = t.arrowRows
		}
		reading := true // and not with who takes the row
		defer func() {
			if !reading {
				return
			}
			if fault := recover(); fault != nil {
				yield(nil, fmt.Errorf("%s: expected a file that its format's library can read: %v", t.path,
					fault))
			}
		}()
		for values, err := range read(file, columns, check) {
			if err != nil {
				err = fmt.Errorf("%s: %w", t.path, err)
			}
			reading = false
			if !yield(values, err) || err != nil {
				return
			}
			reading = true
		}
	}
}

// checkTexts refuses texts that are not UTF-8, as those of Arrow and Parquet promise to be: what is
// kept of them would be other texts. The first column has paths, which are bytes.
func checkTexts(columns []string, values []any) error {
	for i, value := range values {
		if text, ok := value.(string); ok && i > 0 && !utf8.ValidString(text) {
			return fmt.Errorf("column %q: expected UTF-8, got %.40q: write the table as UTF-8, or "+
				"as UTF-16 with its byte order mark", columns[i], text)
		}
	}
	return nil
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
	if !filepath.IsAbs(path) && !object.IsURL(path) {
		path = object.Beside(t.path, path)
	}
	return Item{Path: path}
}

// item is the image of a row, by what stands in the column: a path, bytes, or both.
func (t table) item(number int64, column field, value any) Item {
	if column.kind == "string" {
		return t.pathItem(number, column.name, value)
	}
	image, _ := value.(embedded)
	if data, ok := value.([]byte); ok {
		image.data = data
	}
	if image.data == nil && image.path != "" {
		return t.pathItem(number, column.name, image.path)
	}
	name := t.rowName(number)
	if image.data == nil {
		return failedItem(name, fmt.Errorf("%s: row %d, counted from 0: expected an image in the "+
			"column %q, got none", t.path, number, column.name))
	}
	if image.path != "" {
		name = t.path + "/" + image.path
	}
	return streamedItem(name, image.data)
}

// source is the images of the rows of a column, with what is kept of each.
func (t table) source(column string, keep []Keep) (Source, []Kept, error) {
	columns := []string{column}
	for _, k := range keep {
		columns = append(columns, k.Column)
	}
	kind, kept := "", make([]Kept, len(keep))
	check := func(i int, f field) error {
		if i == 0 {
			kind = f.kind
			return checkImages(f)
		}
		kept[i-1] = Kept{keep[i-1].As, f.kind}
		if !kept[i-1].keepable() {
			return fmt.Errorf("keep: expected a column %q of texts, numbers, bool or timestamps, got "+
				"%s: convert it, or leave it out", f.name, f.kind)
		}
		return nil
	}
	for _, err := range t.rows(columns, check) { // the first tells what is in the columns
		if err != nil {
			return nil, nil, err
		}
		break
	}
	items := func(yield func(Item, error) bool) {
		number := int64(0)
		for values, err := range t.rows(columns, check) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			item := t.item(number, field{column, kind}, values[0])
			if len(keep) > 0 {
				item.Kept = values[1:]
			}
			if number++; !yield(item, nil) {
				return
			}
		}
	}
	if kind == "string" {
		s, err := spool(func(add func(Item) error) error {
			for item, err := range items {
				if err == nil {
					err = add(item)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		return s, kept, err
	}
	return func(yield func(Item) bool) {
		for item, err := range items {
			if err != nil {
				item = failedItem(t.path, err)
			} else if item.Read == nil { // a path
				kept := item.Kept
				item = File(item.Path)
				item.Kept = kept
			}
			if !yield(item) {
				return
			}
		}
	}, kept, nil
}

// checkImages returns an error unless a column may hold images or their paths.
func checkImages(f field) error {
	if f.kind != "string" && f.kind != fieldBytes && f.kind != fieldImage {
		return fmt.Errorf("expected a column %q of paths, of images' bytes or of {bytes, path}, got %s",
			f.name, f.kind)
	}
	return nil
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
