package score

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// A row group is held in memory until it is full, so its size in values bounds the memory, whatever
// the number of images.
const rowGroupValues = 1 << 20

// parquetSink writes index int64, path string, class list<int64>, label list<string>, probability
// list<float>, probs or features list<float>, error string; with Separate class_0 int64 and so on.
// What a failed image lacks is null.
type parquetSink struct {
	out     *parquet.GenericWriter[map[string]any]
	schema  *parquet.Schema
	columns Columns
}

func newParquet(w io.Writer, c Columns) *parquetSink {
	schema := parquetSchema(c)
	rows := int64(rowGroupValues / (8 + 3*c.Top + c.Length))
	return &parquetSink{parquet.NewGenericWriter[map[string]any](w, schema,
		parquet.Compression(&zstd.Codec{}), parquet.MaxRowsPerRowGroup(max(rows, 1)),
		parquet.CreatedBy("kerasrun", "", "")), schema, c}
}

func parquetSchema(c Columns) *parquet.Schema {
	int64s, text, float := parquet.Leaf(parquet.Int64Type), parquet.String(),
		parquet.Leaf(parquet.FloatType)
	group := parquet.Group{"index": int64s, "path": text, "error": parquet.Optional(text)}
	add := func(name string, k int, node parquet.Node) {
		if c.Separate {
			group[name+"_"+strconv.Itoa(k)] = parquet.Optional(node)
		} else {
			group[name] = parquet.Optional(parquet.List(node))
		}
	}
	for k := range c.Top {
		add("class", k, int64s)
		add(c.score(), k, float)
		if c.hasLabels() {
			add("label", k, text)
		}
	}
	if c.hasVector() {
		group[c.vector()] = parquet.Optional(parquet.List(float))
	}
	return parquet.NewSchema("scores", group)
}

func (s *parquetSink) Write(r Record) error {
	row := map[string]any{"index": r.Index, "path": r.Path}
	if r.Error != "" {
		row["error"] = r.Error
		return s.write(row)
	}
	switch c := s.columns; {
	case c.hasTop() && c.Separate:
		for k := range c.Top {
			suffix := "_" + strconv.Itoa(k)
			row["class"+suffix], row[c.score()+suffix] = at(r.Classes, k), at(r.Scores, k)
			if c.hasLabels() {
				row["label"+suffix] = at(r.Labels, k)
			}
		}
	case c.hasTop():
		row["class"], row[c.score()] = r.Classes, r.Scores
		if c.hasLabels() {
			row["label"] = r.Labels
		}
	}
	if s.columns.hasVector() {
		row[s.columns.vector()] = r.Vector
	}
	return s.write(row)
}

func (s *parquetSink) write(row map[string]any) error {
	_, err := s.out.Write([]map[string]any{row})
	return err
}

func (s *parquetSink) Close() error { return s.out.Close() }

func readParquet(path string, c Columns) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(Record{}, err)
			return
		}
		in := parquet.NewGenericReader[map[string]any](file, parquetSchema(c))
		for {
			row := []map[string]any{{}}
			n, err := in.Read(row)
			if n == 1 {
				err = nil // the last row may come with io.EOF
			}
			if err == io.EOF {
				break
			}
			var r Record
			if err == nil {
				r, err = parquetRecord(row[0], c)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
			if !yield(r, err) || err != nil {
				break
			}
		}
		if err := errors.Join(in.Close(), file.Close()); err != nil {
			yield(Record{}, err)
		}
	}
}

// parquetRecord takes a row as parquet-go gives it for a schema that is known only at run time: any
// and []any.
func parquetRecord(row map[string]any, c Columns) (r Record, err error) {
	r.Index, _ = row["index"].(int64)
	r.Path, _ = row["path"].(string)
	if r.Error, _ = row["error"].(string); r.Error != "" {
		return r, nil
	}
	column := func(name string) []any {
		if !c.Separate {
			list, ok := row[name].([]any)
			if !ok && err == nil {
				err = fmt.Errorf("row %d: expected a list in column %q, got %T", r.Index, name,
					row[name])
			}
			return list
		}
		var list []any
		for k := range c.Top {
			list = append(list, row[name+"_"+strconv.Itoa(k)])
		}
		return list
	}
	if c.hasTop() {
		r.Classes, r.Scores = typed[int64](column("class")), typed[float32](column(c.score()))
		if c.hasLabels() {
			r.Labels = typed[string](column("label"))
		}
	}
	if c.hasVector() {
		c.Separate = false
		r.Vector = typed[float32](column(c.vector()))
	}
	return r, err
}

func typed[T any](values []any) []T {
	out := make([]T, len(values))
	for i, v := range values {
		out[i], _ = v.(T)
	}
	return out
}
