package score

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"kerasrun/object"
)

// textRows reads a .csv or .tsv file, whose columns all hold texts.
func (t table) textRows(
	file object.File, columns []string, check func(int, field) error,
) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		fallback := ','
		if strings.EqualFold(filepath.Ext(object.Base(t.path)), ".tsv") {
			fallback = '\t'
		}
		in := bufio.NewReaderSize(decodeText(file), maxHeader)
		rows, header, err := textHeader(in, t.separator, fallback, columns)
		if err != nil {
			yield(nil, err)
			return
		}
		var fields []field
		for _, name := range header {
			fields = append(fields, field{name, "string"})
		}
		places, err := placesOf(fields, columns, check)
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
			values := make([]any, len(places))
			for i, k := range places {
				// the first is a path, which is bytes
				if i > 0 && !utf8.ValidString(row[k]) {
					line, _ := rows.FieldPos(k)
					yield(nil, fmt.Errorf("line %d, column %q: expected UTF-8, got %q: write the table as "+
						"UTF-8, or as UTF-16 with its byte order mark", line, header[k], row[k]))
					return
				}
				values[i] = row[k]
			}
			if !yield(values, nil) {
				return
			}
		}
	}
}
