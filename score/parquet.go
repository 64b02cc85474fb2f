package score

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"kerasrun/tensor"
)

// A row group is held in memory until it is full, so its size in values bounds the memory, whatever
// the number of images.
const rowGroupValues = 1 << 20

// rowGroupTexts bounds the bytes of kept texts in a row group, which may be long.
const rowGroupTexts = 16 << 20

// parquetSink writes index int64, path string, kept columns of their own types, class list<int64>,
// label list<string>, probability list<float>, error string; with Separate class_0 int64 and so on.
// An output is a list of its numbers in row-major order, or a number where the shape is (). Its
// shape is in the file's metadata under kerasrun.outputs, as [Schema.Outputs] in JSON; one that is
// not the same for every image is in a column NAME_shape too. What a failed image lacks is null.
type parquetSink struct {
	out    *parquet.GenericWriter[map[string]any]
	schema Schema
	texts  int // bytes of kept texts in the row group
}

// outputsKey is where a file's metadata have the names, types and shapes of outputs.
const outputsKey = "kerasrun.outputs"

// freeValues is taken for the numbers of an output whose shape is free.
const freeValues = 1 << 16

func newParquet(w io.Writer, s Schema) *parquetSink {
	values := 8 + 3*s.Top + len(s.Kept)
	options := []parquet.WriterOption{parquetSchema(s), parquet.Compression(&zstd.Codec{}),
		parquet.CreatedBy("kerasrun", "", "")}
	for _, c := range s.Outputs {
		if values += c.length(); c.length() < 0 {
			values += freeValues
		}
	}
	if len(s.Outputs) > 0 {
		text, _ := json.Marshal(s.Outputs) // it has nothing that JSON does not
		options = append(options, parquet.KeyValueMetadata(outputsKey, string(text)))
	}
	options = append(options,
		parquet.MaxRowsPerRowGroup(int64(max(rowGroupValues/values, 1))))
	return &parquetSink{out: parquet.NewGenericWriter[map[string]any](w, options...), schema: s}
}

// parquetLeaves are the types of numbers in the file.
var parquetLeaves = map[tensor.DType]parquet.Node{
	tensor.Float32: parquet.Leaf(parquet.FloatType), tensor.Float64: parquet.Leaf(parquet.DoubleType),
	tensor.Int8: parquet.Int(8), tensor.Int16: parquet.Int(16), tensor.Int32: parquet.Int(32),
	tensor.Int64: parquet.Int(64), tensor.Uint8: parquet.Uint(8), tensor.Uint16: parquet.Uint(16),
	tensor.Uint32: parquet.Uint(32), tensor.Uint64: parquet.Uint(64),
	tensor.Bool: parquet.Leaf(parquet.BooleanType),
}

// shapeColumn names the column of shapes of an output that has one.
func shapeColumn(c Column) (name string, ok bool) {
	return c.Name + "_shape", c.length() < 0
}

func parquetSchema(s Schema) *parquet.Schema {
	int64s, text, float := parquet.Leaf(parquet.Int64Type), parquet.String(),
		parquet.Leaf(parquet.FloatType)
	group := parquet.Group{"index": int64s, "path": text, "error": parquet.Optional(text)}
	for _, k := range s.Kept {
		group[k.Name] = k.parquetNode()
	}
	add := func(name string, k int, node parquet.Node) {
		if s.Separate {
			group[name+"_"+strconv.Itoa(k)] = parquet.Optional(node)
		} else {
			group[name] = parquet.Optional(parquet.List(node))
		}
	}
	for k := range s.Top {
		add("class", k, int64s)
		add(s.score(), k, float)
		if s.hasLabels() {
			add("label", k, text)
		}
	}
	for _, c := range s.Outputs {
		node := parquetLeaves[c.dtype()]
		if c.Shape == nil || len(c.Shape) > 0 {
			node = parquet.List(node)
		}
		group[c.Name] = parquet.Optional(node)
		if name, ok := shapeColumn(c); ok {
			group[name] = parquet.Optional(parquet.List(int64s))
		}
	}
	return parquet.NewSchema("scores", orderedGroup{group, s.columnNames()})
}

// orderedGroup has its fields in an order, where a Group sorts them by name.
type orderedGroup struct {
	parquet.Group
	order []string
}

func (g orderedGroup) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	fields := make([]parquet.Field, len(g.order))
	for i, name := range g.order {
		fields[i] = byName[name]
	}
	return fields
}

// columnNames are the columns in the order that every format has them in. Those of a row of classes
// or numbers are one, but with Separate.
func (s Schema) columnNames() []string {
	names := []string{"index", "path"}
	for _, k := range s.Kept {
		names = append(names, k.Name)
	}
	classes := []string{"class"}
	if s.hasLabels() {
		classes = append(classes, "label")
	}
	classes = append(classes, s.score())
	switch {
	case s.hasTop() && s.Separate:
		for k := range s.Top {
			for _, name := range classes {
				names = append(names, name+"_"+strconv.Itoa(k))
			}
		}
	case s.hasTop():
		names = append(names, classes...)
	}
	for _, c := range s.Outputs {
		names = append(names, c.Name)
		if name, ok := shapeColumn(c); ok {
			names = append(names, name)
		}
	}
	return append(names, "error")
}

func (s *parquetSink) Write(r Record) error {
	row := map[string]any{"index": r.Index, "path": r.Path}
	for i, k := range s.schema.Kept {
		if value := k.parquetValue(r.Kept[i]); value != nil {
			row[k.Name] = value
		}
		if text, ok := r.Kept[i].(string); ok {
			s.texts += len(text)
		}
	}
	if r.Error != "" {
		row["error"] = r.Error
		return s.write(row)
	}
	switch s := s.schema; {
	case s.hasTop() && s.Separate:
		for k := range r.Classes {
			suffix := "_" + strconv.Itoa(k)
			// the library takes a zero that is not behind a pointer for null
			row["class"+suffix], row[s.score()+suffix] = &r.Classes[k], &r.Scores[k]
			if s.hasLabels() {
				row["label"+suffix] = &r.Labels[k]
			}
		}
	case s.hasTop():
		row["class"], row[s.score()] = notNil(r.Classes), notNil(r.Scores)
		if s.hasLabels() {
			row["label"] = notNil(r.Labels)
		}
	}
	for i, c := range s.schema.Outputs {
		data := parquetNumbers(r.Values[i])
		if c.Shape != nil && len(c.Shape) == 0 {
			data = reflect.ValueOf(data).Index(0).Addr().Interface() // not null where it is zero
		}
		row[c.Name] = data
		if name, ok := shapeColumn(c); ok {
			row[name] = []int64(r.Values[i].Shape)
		}
	}
	return s.write(row)
}

// parquetNumbers are a row's numbers in the type in which the file stores theirs.
func parquetNumbers(t tensor.Tensor) any {
	data := reflect.ValueOf(t.Data)
	switch t.DType {
	case tensor.Int8, tensor.Int16:
		return convertTo[int32](data)
	case tensor.Uint8, tensor.Uint16:
		return convertTo[uint32](data)
	}
	return t.Data
}

func (s *parquetSink) write(row map[string]any) error {
	_, err := s.out.Write([]map[string]any{row})
	if s.texts < rowGroupTexts || err != nil {
		return err
	}
	s.texts = 0
	return s.out.Flush()
}

func (s *parquetSink) Close() error { return s.out.Close() }

func readParquet(path string, s Schema) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		file, size, err := openWhole(path)
		if err != nil {
			yield(Record{}, err)
			return
		}
		in := parquet.NewGenericReader[map[string]any](io.NewSectionReader(file, 0, size),
			parquetSchema(s))
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
				r, err = parquetRecord(row[0], s)
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
func parquetRecord(row map[string]any, s Schema) (r Record, err error) {
	r.Index, _ = row["index"].(int64)
	r.Path, _ = row["path"].(string)
	for _, k := range s.Kept {
		r.Kept = append(r.Kept, keptValue(reflect.ValueOf(row[k.Name])))
	}
	if r.Error, _ = row["error"].(string); r.Error != "" {
		return r, nil
	}
	list := func(name string) []any {
		list, ok := row[name].([]any)
		if !ok && err == nil {
			err = fmt.Errorf("row %d: expected a list in column %q, got %T", r.Index, name, row[name])
		}
		return list
	}
	column := func(name string) []any {
		if !s.Separate {
			return list(name)
		}
		var list []any
		for k := range s.Top {
			if value := row[name+"_"+strconv.Itoa(k)]; value != nil {
				list = append(list, value)
			}
		}
		return list
	}
	if s.hasTop() {
		r.Classes, r.Scores = typed[int64](column("class")), typed[float32](column(s.score()))
		if s.hasLabels() {
			r.Labels = typed[string](column("label"))
		}
	}
	for _, c := range s.Outputs {
		shape := c.Shape
		if name, ok := shapeColumn(c); ok {
			shape = typed[int64](list(name))
		}
		values := []any{row[c.Name]}
		if c.Shape == nil || len(c.Shape) > 0 {
			values = list(c.Name)
		}
		if err != nil {
			return r, err
		}
		t, err := numbersOf(c.dtype(), shape, values)
		if err != nil {
			return r, fmt.Errorf("row %d: column %q: %w", r.Index, c.Name, err)
		}
		r.Values = append(r.Values, t)
	}
	return r, err
}

// numbersOf is the row of a type and a shape that has these numbers, in types that hold them.
func numbersOf(d tensor.DType, shape tensor.Shape, values []any) (tensor.Tensor, error) {
	element := elements[d]
	data := reflect.MakeSlice(reflect.SliceOf(element), len(values), len(values))
	for i, value := range values {
		x := reflect.ValueOf(value)
		if !x.IsValid() || !x.CanConvert(element) {
			return tensor.Tensor{}, fmt.Errorf("expected %v, got %T", d, value)
		}
		data.Index(i).Set(x.Convert(element))
	}
	t := tensor.Tensor{DType: d, Shape: shape, Data: data.Interface()}
	return t, t.Validate()
}

func typed[T any](values []any) []T {
	out := make([]T, len(values))
	for i, v := range values {
		out[i], _ = v.(T)
	}
	return out
}
