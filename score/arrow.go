package score

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"kerasrun/tensor"
)

// arrowWriter writes records in Arrow's stream format, with the columns of a .parquet output in
// their types: see parquetSink.
type arrowWriter struct {
	schema Schema
	names  []string
	out    *ipc.Writer
	rows   *array.RecordBuilder
}

// arrowNumbers are the types of numbers.
var arrowNumbers = map[tensor.DType]arrow.DataType{
	tensor.Float32: arrow.PrimitiveTypes.Float32, tensor.Float64: arrow.PrimitiveTypes.Float64,
	tensor.Int8: arrow.PrimitiveTypes.Int8, tensor.Int16: arrow.PrimitiveTypes.Int16,
	tensor.Int32: arrow.PrimitiveTypes.Int32, tensor.Int64: arrow.PrimitiveTypes.Int64,
	tensor.Uint8: arrow.PrimitiveTypes.Uint8, tensor.Uint16: arrow.PrimitiveTypes.Uint16,
	tensor.Uint32: arrow.PrimitiveTypes.Uint32, tensor.Uint64: arrow.PrimitiveTypes.Uint64,
	tensor.Bool: arrow.FixedWidthTypes.Boolean,
}

func newArrowWriter(w io.Writer, s Schema) *arrowWriter {
	types := map[string]arrow.DataType{
		"index": arrow.PrimitiveTypes.Int64, "path": arrow.BinaryTypes.String,
		"class":   arrow.ListOf(arrow.PrimitiveTypes.Int64),
		"label":   arrow.ListOf(arrow.BinaryTypes.String),
		s.score(): arrow.ListOf(arrow.PrimitiveTypes.Float32), "error": arrow.BinaryTypes.String,
	}
	for _, c := range s.Outputs {
		types[c.Name] = arrowNumbers[c.dtype()]
		if c.Shape == nil || len(c.Shape) > 0 {
			types[c.Name] = arrow.ListOf(types[c.Name])
		}
		if name, ok := shapeColumn(c); ok {
			types[name] = arrow.ListOf(arrow.PrimitiveTypes.Int64)
		}
	}
	var fields []arrow.Field
	names := s.columnNames()
	for _, name := range names {
		fields = append(fields, arrow.Field{Name: name, Type: types[name], Nullable: name != "index"})
	}
	var about *arrow.Metadata
	if len(s.Outputs) > 0 {
		text, _ := json.Marshal(s.Outputs) // it has nothing that JSON does not
		m := arrow.NewMetadata([]string{outputsKey}, []string{string(text)})
		about = &m
	}
	schema := arrow.NewSchema(fields, about)
	return &arrowWriter{s, names, ipc.NewWriter(w, ipc.WithSchema(schema)),
		array.NewRecordBuilder(memory.DefaultAllocator, schema)}
}

// Write writes a record batch.
func (w *arrowWriter) Write(records []Record) error {
	for _, r := range records {
		for i, name := range w.names {
			column := w.rows.Field(i)
			if value := w.schema.arrowValues(r, name); value == nil {
				column.AppendNull()
			} else if err := appendArrow(column, value); err != nil {
				return fmt.Errorf("column %q: %w", name, err)
			}
		}
	}
	batch := w.rows.NewRecordBatch()
	defer batch.Release()
	return w.out.Write(batch)
}

// Close ends the stream.
func (w *arrowWriter) Close() error { return w.out.Close() }

// arrowValues are the values of a record in a column: a slice, of one where the column is of single
// values; nil is null.
func (s Schema) arrowValues(r Record, name string) any {
	switch {
	case name == "index":
		return []int64{r.Index}
	case name == "path" && r.Path != "":
		return []string{r.Path}
	case name == "error" && r.Error != "":
		return []string{r.Error}
	case name == "path", name == "error", r.Error != "":
		return nil
	case s.hasTop() && name == "class":
		return r.Classes
	case s.hasLabels() && name == "label":
		return r.Labels
	case s.hasTop() && name == s.score():
		return r.Scores
	}
	for i, c := range s.Outputs {
		if c.Name == name {
			return r.Values[i].Data
		}
		if shape, ok := shapeColumn(c); ok && shape == name {
			return []int64(r.Values[i].Shape)
		}
	}
	return nil
}

// appendArrow appends a row to a column: a list, or the one value.
func appendArrow(column array.Builder, values any) error {
	if list, ok := column.(*array.ListBuilder); ok {
		list.Append(true)
		column = list.ValueBuilder()
	} else if n := reflect.ValueOf(values).Len(); n != 1 {
		return fmt.Errorf("expected one value, got %d", n)
	}
	// each of a type of its own
	reflect.ValueOf(column).MethodByName("AppendValues").Call([]reflect.Value{
		reflect.ValueOf(values), reflect.Zero(reflect.TypeFor[[]bool]())})
	return nil
}
