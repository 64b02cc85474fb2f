package score

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
)

type jsonl struct {
	out     *bufio.Writer
	columns Columns
	line    []byte
}

func newJSONL(w io.Writer, c Columns) *jsonl {
	return &jsonl{out: bufio.NewWriterSize(w, 1<<16), columns: c}
}

func (j *jsonl) Write(r Record) error {
	j.line = j.columns.appendLine(j.line[:0], r)
	_, err := j.out.Write(j.line)
	return err
}

// appendLine appends
// {"index":0,"path":"a.jpg","class":[281],"label":["tabby"],"probability":[0.9],"error":null}; with
// Separate "class_0":281,"label_0":"tabby","probability_0":0.9. A failed image has null in place of
// an answer.
func (c Columns) appendLine(line []byte, r Record) []byte {
	line = fmt.Appendf(line, `{"index":%d,"path":`, r.Index)
	line = appendJSON(line, r.Path)
	ok := r.Error == ""
	field := func(name string, value any) {
		line = append(append(append(line, ',', '"'), name...), '"', ':')
		if ok {
			line = appendJSON(line, value)
		} else {
			line = append(line, "null"...)
		}
	}
	switch {
	case c.hasTop() && c.Separate:
		for k := range c.Top {
			suffix := "_" + strconv.Itoa(k)
			field("class"+suffix, at(r.Classes, k))
			if c.hasLabels() {
				field("label"+suffix, at(r.Labels, k))
			}
			field(c.score()+suffix, at(r.Scores, k))
		}
	case c.hasTop():
		field("class", r.Classes)
		if c.hasLabels() {
			field("label", r.Labels)
		}
		field(c.score(), r.Scores)
	}
	if c.hasVector() {
		field(c.vector(), r.Vector)
	}
	line = append(line, `,"error":`...)
	if ok {
		line = append(line, "null"...)
	} else {
		line = appendJSON(line, r.Error)
	}
	return append(line, '}', '\n')
}

func (j *jsonl) Close() error { return j.out.Flush() }

// at is the k-th value, or zero for a failed image, whose columns are null anyway.
func at[T any](values []T, k int) (v T) {
	if k < len(values) {
		v = values[k]
	}
	return v
}

func appendJSON(dst []byte, v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	// NaN: the probabilities were checked when they were ranked, features may hold one
	if err := e.Encode(v); err != nil {
		return append(dst, "null"...)
	}
	return append(dst, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}

func readJSONL(path string, c Columns) iter.Seq2[Record, error] {
	file, err := os.Open(path)
	if err != nil {
		return failed(err)
	}
	return func(yield func(Record, error) bool) {
		defer file.Close()
		in := json.NewDecoder(bufio.NewReaderSize(file, 1<<16))
		for line := 1; ; line++ {
			var fields map[string]json.RawMessage
			err := in.Decode(&fields)
			if err == io.EOF {
				return
			}
			var r Record
			if err == nil {
				r, err = jsonRecord(fields, c)
			}
			if err != nil {
				err = fmt.Errorf("%s: line %d: %w", path, line, err)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func jsonRecord(fields map[string]json.RawMessage, c Columns) (r Record, err error) {
	get := func(name string, into any) {
		raw, there := fields[name]
		if err != nil {
			return
		}
		if !there {
			err = fmt.Errorf("expected a field %q, found none", name)
			return
		}
		if e := json.Unmarshal(raw, into); e != nil {
			err = fmt.Errorf("%s: %w", name, e)
		}
	}
	get("index", &r.Index)
	get("path", &r.Path)
	get("error", &r.Error)
	if r.Error != "" {
		return r, err
	}
	switch {
	case c.hasTop() && c.Separate:
		r.Classes, r.Scores = make([]int64, c.Top), make([]float32, c.Top)
		if c.hasLabels() {
			r.Labels = make([]string, c.Top)
		}
		for k := range c.Top {
			suffix := "_" + strconv.Itoa(k)
			get("class"+suffix, &r.Classes[k])
			if c.hasLabels() {
				get("label"+suffix, &r.Labels[k])
			}
			get(c.score()+suffix, &r.Scores[k])
		}
	case c.hasTop():
		get("class", &r.Classes)
		if c.hasLabels() {
			get("label", &r.Labels)
		}
		get(c.score(), &r.Scores)
	}
	if c.hasVector() {
		get(c.vector(), &r.Vector)
	}
	return r, err
}
