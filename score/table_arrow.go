package score

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"reflect"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"kerasrun/object"
)

// maxPart bounds what is read of a table at a time: a record batch of Arrow with what its buffers
// unpack to, a page of Parquet.
var maxPart = 1 << 30 // a variable for tests

// arrowRows reads the columns of a file of Arrow's IPC format (Feather's version 2), or of Arrow's
// stream format, as Hugging Face's datasets writes it.
func (t table) arrowRows(
	file object.File, columns []string, check func(int, field) error,
) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		schema, batches, err := arrowBatches(file)
		if err != nil {
			yield(nil, err)
			return
		}
		places, err := arrowPlaces(schema, columns, check)
		if err != nil {
			yield(nil, err)
			return
		}
		for batch, err := range batches {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range int(batch.NumRows()) {
				values := make([]any, len(places))
				for k, place := range places {
					if values[k], err = arrowValue(batch.Column(place), i); err != nil {
						yield(nil, fmt.Errorf("column %q: %w", columns[k], err))
						return
					}
				}
				err := checkTexts(columns, values)
				if !yield(values, err) || err != nil {
					return
				}
			}
		}
	}
}

// arrowPlaces returns where each of columns is in a schema.
func arrowPlaces(
	schema *arrow.Schema, columns []string, check func(int, field) error,
) ([]int, error) {
	var fields []field
	for _, f := range schema.Fields() {
		fields = append(fields, field{f.Name, arrowKind(f.Type)})
	}
	return placesOf(fields, columns, check)
}

// arrowBatches yields one record batch at a time, which is good until the next.
func arrowBatches(file object.File) (*arrow.Schema, iter.Seq2[arrow.RecordBatch, error], error) {
	var magic [6]byte
	if _, err := file.ReadAt(magic[:], 0); err != nil {
		return nil, nil, fmt.Errorf("expected Arrow's IPC or stream format, got %w", err)
	}
	if string(magic[:4]) == "FEA1" {
		return nil, nil, errors.New("expected Arrow's IPC or stream format, got version 1 of Feather: " +
			"write version 2")
	}
	if string(magic[:]) == "ARROW1" {
		info, err := file.Stat()
		if err != nil {
			return nil, nil, err
		}
		if err := checkArrowFooter(file, info.Size()); err != nil {
			return nil, nil, err
		}
		in, err := ipc.NewFileReader(file, arrowOptions()...)
		if err != nil {
			return nil, nil, err
		}
		return in.Schema(), func(yield func(arrow.RecordBatch, error) bool) {
			defer in.Close()
			for i := range in.NumRecords() {
				batch, err := in.RecordBatchAt(i)
				if err != nil {
					yield(nil, err)
					return
				}
				err = checkColumns(batch)
				more := yield(batch, err)
				batch.Release()
				if !more || err != nil {
					return
				}
			}
		}, nil
	}
	if err := checkStreamEnd(file); err != nil {
		return nil, nil, err
	}
	in, err := newArrowReader(file)
	if err != nil {
		return nil, nil, err
	}
	return in.Schema(), func(yield func(arrow.RecordBatch, error) bool) {
		defer in.Release()
		for in.Next() {
			err := checkColumns(in.RecordBatch())
			if !yield(in.RecordBatch(), err) || err != nil {
				return
			}
		}
		if in.Err() != nil {
			yield(nil, in.Err())
		}
	}, nil
}

// checkColumns refuses a record batch whose columns are not as long as it says. The library lets
// longer ones pass, whose last rows would be lost.
func checkColumns(batch arrow.RecordBatch) error {
	for i, column := range batch.Columns() {
		if int64(column.Len()) != batch.NumRows() {
			return fmt.Errorf("column %q: expected the %d rows of its record batch, got %d",
				batch.ColumnName(i), batch.NumRows(), column.Len())
		}
	}
	return nil
}

// newArrowReader reads a stream, from its schema on. It may panic over damaged ones.
func newArrowReader(stream io.Reader) (*ipc.Reader, error) {
	in := bufio.NewReaderSize(stream, 1<<16)
	schema, err := readSchema(in)
	if err != nil {
		return nil, err
	}
	// One allocator bounds what a message holds and what that unpacks to, together, and says what
	// to do, so that the body needs no limit. Of the description ipc.NewReader keeps to none.
	options := append(arrowOptions(), ipc.WithBodySizeLimit(0))
	messages := ipc.NewMessageReader(io.MultiReader(bytes.NewReader(schema), in), options...)
	return ipc.NewReaderFromMessageReader(messages, options...)
}

// arrowOptions bound the memory of what is read.
func arrowOptions() []ipc.Option {
	return []ipc.Option{ipc.WithBodySizeLimit(int64(maxPart)),
		ipc.WithMetadataSizeLimit(maxDescription), ipc.WithAllocator(&boundedAllocator{})}
}

// recovered calls the library, which panics over some damaged files.
func recovered[T any](call func() (T, error)) (result T, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("expected a file that Arrow's library can read: %v", fault)
		}
	}()
	return call()
}

// maxDescription bounds the description of a record batch.
const maxDescription = 64 << 20

// streamEnd is how a writer closes a stream.
const streamEnd = "\xff\xff\xff\xff\x00\x00\x00\x00"

// checkStreamEnd makes sure that a stream ends as its writer closes it. One that was cut between
// two record batches would seem whole otherwise.
func checkStreamEnd(file object.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var end [8]byte
	if _, err := file.ReadAt(end[:], max(info.Size()-8, 0)); err != nil {
		return fmt.Errorf("expected Arrow's IPC or stream format, got %w", err)
	}
	if string(end[:]) != streamEnd {
		return errors.New("expected Arrow's stream format to its end mark, got a file without it: it " +
			"may be cut, or its writer not closed: write it again")
	}
	return nil
}

// boundedAllocator refuses more than maxPart together. The library takes its panic for an error.
type boundedAllocator struct{ used int }

func (a *boundedAllocator) Allocate(size int) []byte {
	if size < 0 || size > maxPart-a.used {
		panic(fmt.Errorf("expected a record batch of at most %d bytes, got more: write smaller ones",
			maxPart))
	}
	a.used += size
	return memory.DefaultAllocator.Allocate(size)
}

func (a *boundedAllocator) Reallocate(size int, b []byte) []byte {
	a.used -= len(b)
	out := a.Allocate(size)
	copy(out, b)
	return out
}

func (a *boundedAllocator) Free(b []byte) { a.used -= len(b) }

// arrowKind is a type's kind. Seconds become milliseconds, as pyarrow has them in Parquet.
func arrowKind(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType:
		return "string"
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType:
		return fieldBytes
	case *arrow.DictionaryType:
		return arrowKind(t.ValueType)
	case *arrow.TimestampType:
		unit := max(t.Unit, arrow.Millisecond).String()
		if t.TimeZone != "" {
			return "timestamp[" + unit + ", tz=UTC]"
		}
		return "timestamp[" + unit + "]"
	case *arrow.StructType:
		if t.NumFields() == 2 {
			bytes, ok1 := t.FieldByName("bytes")
			path, ok2 := t.FieldByName("path")
			if ok1 && ok2 && arrowKind(bytes.Type) == fieldBytes && arrowKind(path.Type) == "string" {
				return fieldImage
			}
		}
	}
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32,
		arrow.UINT64, arrow.FLOAT32, arrow.FLOAT64, arrow.BOOL:
		return t.Name()
	}
	return t.String()
}

// arrowValue is the i-th value of a column; nil is null.
func arrowValue(column arrow.Array, i int) (any, error) {
	if column.IsNull(i) {
		return nil, nil
	}
	switch a := column.(type) {
	case array.StringLike:
		return strings.Clone(a.Value(i)), nil
	case interface{ Value(int) []byte }:
		return notNil(a.Value(i)), nil
	case *array.Dictionary:
		return arrowValue(a.Dictionary(), a.GetValueIndex(i))
	case *array.Boolean:
		return a.Value(i), nil
	case *array.Timestamp:
		value := int64(a.Value(i))
		if a.DataType().(*arrow.TimestampType).Unit == arrow.Second {
			if value > math.MaxInt64/1000 || value < math.MinInt64/1000 {
				return nil, fmt.Errorf("expected a timestamp in milliseconds, got %d seconds", value)
			}
			value *= 1000
		}
		return value, nil
	case *array.Struct:
		var e embedded
		for k := range a.NumField() {
			value, err := arrowValue(a.Field(k), i)
			if err != nil {
				return nil, err
			}
			switch v := value.(type) {
			case []byte:
				e.data = v
			case string:
				e.path = v
			case nil:
			default:
				return nil, fmt.Errorf("expected bytes and a path, got %v", a.DataType())
			}
		}
		return e, nil
	}
	// the numbers, each of a type of its own
	value := reflect.ValueOf(column).MethodByName("Value").Call([]reflect.Value{reflect.ValueOf(i)})
	return keptValue(value[0]), nil
}
