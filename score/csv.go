package score

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
)

// csvSink always has separate columns: a cell holds one value. Floats are written as the shortest
// text that reads back as the same float32.
type csvSink struct {
	out     *csv.Writer
	columns Columns
	row     []string
}

func newCSV(w io.Writer, c Columns) (*csvSink, error) {
	s := &csvSink{out: csv.NewWriter(w), columns: c}
	return s, s.out.Write(csvHeader(c))
}

func csvHeader(c Columns) []string {
	header := []string{"index", "path"}
	for k := range c.Top {
		header = append(header, fmt.Sprintf("class_%d", k))
		if c.hasLabels() {
			header = append(header, fmt.Sprintf("label_%d", k))
		}
		header = append(header, fmt.Sprintf("%s_%d", c.score(), k))
	}
	if c.hasVector() {
		for k := range c.Length {
			header = append(header, fmt.Sprintf("%s_%d", c.vector(), k))
		}
	}
	return append(header, "error")
}

func (s *csvSink) Write(r Record) error {
	c := s.columns
	row := append(s.row[:0], strconv.FormatInt(r.Index, 10), r.Path)
	cell := func(text string) {
		if r.Error != "" {
			text = ""
		}
		row = append(row, text)
	}
	for k := range c.Top {
		cell(strconv.FormatInt(at(r.Classes, k), 10))
		if c.hasLabels() {
			cell(at(r.Labels, k))
		}
		cell(formatFloat(at(r.Scores, k)))
	}
	if c.hasVector() {
		for k := range c.Length {
			cell(formatFloat(at(r.Vector, k)))
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

func readCSV(path string, c Columns) iter.Seq2[Record, error] {
	file, err := os.Open(path)
	if err != nil {
		return failed(err)
	}
	return func(yield func(Record, error) bool) {
		defer file.Close()
		in := csv.NewReader(file)
		in.ReuseRecord = true
		header, err := in.Read()
		if want := csvHeader(c); err == nil && !slices.Equal(header, want) {
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
				r, err = csvRecord(row, c)
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

func csvRecord(row []string, c Columns) (r Record, err error) {
	next := func() (cell string) { cell, row = row[0], row[1:]; return cell }
	integer := func() (n int64) {
		n, e := strconv.ParseInt(next(), 10, 64)
		if err == nil {
			err = e
		}
		return n
	}
	float := func() float32 {
		f, e := strconv.ParseFloat(next(), 32)
		if err == nil {
			err = e
		}
		return float32(f)
	}
	failure := row[len(row)-1]
	r.Index, r.Path = integer(), next()
	if failure != "" {
		r.Error = failure
		return r, err
	}
	for range c.Top {
		r.Classes = append(r.Classes, integer())
		if c.hasLabels() {
			r.Labels = append(r.Labels, next())
		}
		r.Scores = append(r.Scores, float())
	}
	if c.hasVector() {
		for range c.Length {
			r.Vector = append(r.Vector, float())
		}
	}
	return r, err
}
