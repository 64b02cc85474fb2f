package score

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"

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
				values[i] = row[k]
			}
			if err := checkTexts(columns, values); err != nil {
				line, _ := rows.FieldPos(0)
				yield(nil, fmt.Errorf("line %d, %w", line, err))
				return
			}
			if !yield(values, nil) {
				return
			}
		}
	}
}
