package score

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"kerasrun/object"
)

// csvSink always has separate columns: a cell holds one value. Floats are written as the shortest
// text that reads back as the same float32. Of classes that a row does not have the cells are
// empty. Of the kept columns null is an empty cell too.
type csvSink struct {
	out    *csv.Writer
	schema Schema
	row    []string
}

func newCSV(w io.Writer, s Schema) (*csvSink, error) {
	sink := &csvSink{out: csv.NewWriter(w), schema: s}
	return sink, sink.out.Write(csvHeader(s))
}

func csvHeader(s Schema) []string {
	header := []string{"index", "path"}
	for _, k := range s.Kept {
		header = append(header, k.Name)
	}
	for k := range s.Top {
		header = append(header, fmt.Sprintf("class_%d", k))
		if s.hasLabels() {
			header = append(header, fmt.Sprintf("label_%d", k))
		}
		header = append(header, fmt.Sprintf("%s_%d", s.score(), k))
	}
	for _, c := range s.Outputs {
		if len(c.Shape) == 0 {
			header = append(header, c.Name)
			continue
		}
		for k := range c.length() {
			header = append(header, fmt.Sprintf("%s_%d", c.Name, k))
		}
	}
	return append(header, "error")
}

func (s *csvSink) Write(r Record) error {
	row := append(s.row[:0], strconv.FormatInt(r.Index, 10), r.Path)
	for i, k := range s.schema.Kept {
		row = append(row, k.text(r.Kept[i]))
	}
	for k := range s.schema.Top {
		class, label, score := "", "", ""
		if k < len(r.Classes) {
			class, label = strconv.FormatInt(r.Classes[k], 10), at(r.Labels, k)
			score = formatFloat(r.Scores[k])
		}
		row = append(row, class)
		if s.schema.hasLabels() {
			row = append(row, label)
		}
		row = append(row, score)
	}
	for i, c := range s.schema.Outputs {
		if r.Error != "" {
			row = append(row, make([]string, c.length())...)
		} else {
			row = append(row, texts(r.Values[i])...)
		}
	}
	s.row = append(row, r.Error)
	return s.out.Write(s.row)
}

func formatFloat(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }

func (s *csvSink) Close() error {
	s.out.Flush()
	return s.out.Error()
}

func readCSV(path string, s Schema) iter.Seq2[Record, error] {
	file, err := object.Open(context.Background(), path)
	if err != nil {
		return failed(err)
	}
	return func(yield func(Record, error) bool) {
		defer file.Close()
		in := csv.NewReader(file)
		in.ReuseRecord = true
		header, err := in.Read()
		if want := csvHeader(s); err == nil && !slices.Equal(header, want) {
			err = fmt.Errorf("%s: expected the columns %q, got %q", path, want, header)
		}
		if err != nil {
			yield(Record{}, err)
			return
		}
		for {
			row, err := in.Read()
			if err == io.EOF {
				return
			}
			var r Record
			if err == nil {
				r, err = csvRecord(row, s)
			}
			if err != nil {
				line, _ := in.FieldPos(0)
				err = fmt.Errorf("%s: line %d: %w", path, line, err)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func csvRecord(row []string, s Schema) (r Record, err error) {
	next := func() (cell string) { cell, row = row[0], row[1:]; return cell }
	index, e := strconv.ParseInt(next(), 10, 64)
	r.Index, r.Path, r.Error = index, next(), row[len(row)-1]
	for _, k := range s.Kept {
		value, err := k.parse(next())
		if err != nil {
			return r, err
		}
		r.Kept = append(r.Kept, value)
	}
	if e != nil || r.Error != "" {
		return r, e
	}
	for range s.Top {
		class, label := next(), ""
		if s.hasLabels() {
			label = next()
		}
		score := next()
		if class == "" && label == "" && score == "" {
			continue
		}
		n, err1 := strconv.ParseInt(class, 10, 64)
		x, err2 := strconv.ParseFloat(score, 32)
		if err := errors.Join(err1, err2); err != nil {
			return r, err
		}
		r.Classes, r.Scores = append(r.Classes, n), append(r.Scores, float32(x))
		if s.hasLabels() {
			r.Labels = append(r.Labels, label)
		}
	}
	for _, c := range s.Outputs {
		cells := row[:c.length()]
		row = row[len(cells):]
		t, err := parseNumbers(c.dtype(), c.Shape, cells)
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.Name, err)
		}
		r.Values = append(r.Values, t)
	}
	return r, nil
}
