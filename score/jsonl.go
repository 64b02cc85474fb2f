package score

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"

	"kerasrun/object"
)

type jsonl struct {
	out    *bufio.Writer
	schema Schema
	line   []byte
}

func newJSONL(w io.Writer, s Schema) *jsonl {
	return &jsonl{out: bufio.NewWriterSize(w, 1<<16), schema: s}
}

func (j *jsonl) Write(r Record) error {
	j.line = j.schema.appendLine(j.line[:0], r)
	_, err := j.out.Write(j.line)
	return err
}

// appendLine appends
// {"index":0,"path":"a.jpg","class":[281],"label":["tabby"],"probability":[0.9],"error":null}; with
// Separate "class_0":281,"label_0":"tabby","probability_0":0.9. A failed image has null in place of
// an answer, and so has with Separate a class that a row does not have.
func (s Schema) appendLine(line []byte, r Record) []byte {
	line = fmt.Appendf(line, `{"index":%d,"path":`, r.Index)
	line = appendJSON(line, r.Path)
	ok := r.Error == ""
	name := func(name string) {
		line = append(appendJSON(append(line, ','), name), ':')
	}
	field := func(column string, there bool, value any) {
		name(column)
		if there {
			line = appendJSON(line, value)
		} else {
			line = append(line, "null"...)
		}
	}
	for i, k := range s.Kept {
		field(k.Name, true, k.json(r.Kept[i]))
	}
	switch {
	case s.hasTop() && s.Separate:
		for k := range s.Top {
			suffix, there := "_"+strconv.Itoa(k), k < len(r.Classes)
			field("class"+suffix, there, at(r.Classes, k))
			if s.hasLabels() {
				field("label"+suffix, there, at(r.Labels, k))
			}
			field(s.score()+suffix, there, at(r.Scores, k))
		}
	case s.hasTop():
		field("class", ok, notNil(r.Classes))
		if s.hasLabels() {
			field("label", ok, notNil(r.Labels))
		}
		field(s.score(), ok, notNil(r.Scores))
	}
	for i, c := range s.Outputs {
		name(c.Name)
		if ok {
			line = appendLists(line, r.Values[i])
		} else {
			line = append(line, "null"...)
		}
	}
	field("error", !ok, r.Error)
	return append(line, '}', '\n')
}

// notNil has an empty list be one in JSON.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (j *jsonl) Close() error { return j.out.Flush() }

// at is the k-th value, or zero where there is none, which is written as null.
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
	// It has every number but NaN and the infinite ones, which a record for JSON does not hold.
	if err := e.Encode(v); err != nil {
		return append(dst, "null"...)
	}
	return append(dst, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}

func readJSONL(path string, s Schema) iter.Seq2[Record, error] {
	file, err := object.Open(context.Background(), path)
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
				r, err = jsonRecord(fields, s)
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

func jsonRecord(fields map[string]json.RawMessage, s Schema) (r Record, err error) {
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
	for _, k := range s.Kept {
		var raw json.RawMessage
		if get(k.Name, &raw); err != nil {
			return r, err
		}
		value, err := k.parseJSON(raw)
		if err != nil {
			return r, err
		}
		r.Kept = append(r.Kept, value)
	}
	if r.Error != "" {
		return r, err
	}
	switch {
	case s.hasTop() && s.Separate:
		for k := range s.Top {
			var class *int64
			var label string
			var score *float32
			suffix := "_" + strconv.Itoa(k)
			get("class"+suffix, &class)
			if s.hasLabels() {
				get("label"+suffix, &label)
			}
			get(s.score()+suffix, &score)
			if class == nil || score == nil {
				continue
			}
			r.Classes, r.Scores = append(r.Classes, *class), append(r.Scores, *score)
			if s.hasLabels() {
				r.Labels = append(r.Labels, label)
			}
		}
	case s.hasTop():
		get("class", &r.Classes)
		if s.hasLabels() {
			get("label", &r.Labels)
		}
		get(s.score(), &r.Scores)
	}
	for _, c := range s.Outputs {
		var raw json.RawMessage
		if get(c.Name, &raw); err != nil {
			return r, err
		}
		rank := len(c.Shape)
		if c.Shape == nil {
			rank = len(raw) - len(bytes.TrimLeft(raw, "["))
		}
		t, err := parseLists(c.dtype(), rank, raw)
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.Name, err)
		}
		r.Values = append(r.Values, t)
	}
	return r, err
}
