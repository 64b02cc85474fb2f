package score

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// damagedRow is a row of the tables that are damaged on purpose.
type damagedRow struct {
	Image []byte `parquet:"image"`
	ID    int64  `parquet:"id"`
}

func parquetTable(t *testing.T, codec compress.Codec) []byte {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[damagedRow](&out, parquet.Compression(codec))
	rows := make([]damagedRow, 50)
	for i := range rows {
		rows[i] = damagedRow{bytes.Repeat([]byte("image"), 40), int64(i)}
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func arrowTable(t *testing.T, stream bool) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "image", Type: arrow.BinaryTypes.Binary},
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 50 {
		b.Field(0).(*array.BinaryBuilder).Append([]byte("an image"))
		b.Field(1).(*array.Int64Builder).Append(int64(i))
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var out bytes.Buffer
	var w interface {
		Write(arrow.RecordBatch) error
		Close() error
	}
	if w = ipc.NewWriter(&out, ipc.WithSchema(schema)); !stream {
		file, err := ipc.NewFileWriter(&out, ipc.WithSchema(schema))
		if err != nil {
			t.Fatal(err)
		}
		w = file
	}
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A damaged table is rows or an error: it takes the process down neither by a panic of a library
// nor by its memory, whatever number stands anywhere in it.
func TestDamagedTables(t *testing.T) {
	t.Chdir(t.TempDir())
	defer func(part int) { maxPart = part }(maxPart)
	maxPart = 16 << 20
	tables := map[string][]byte{"stream.arrow": arrowTable(t, true),
		"file.arrow": arrowTable(t, false)}
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip,
		&parquet.Brotli, &parquet.Zstd, &parquet.Lz4Raw} {
		tables[fmt.Sprintf("%v.parquet", codec)] = parquetTable(t, codec)
	}
	most := map[string]uint64{".arrow": 4 * uint64(maxPart), ".parquet": 5 * maxValues}
	r := rand.New(rand.NewPCG(1, 0))
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		whole := tables[name]
		try := func(what string, data []byte) {
			write(t, name, string(data))
			before := allocated()
			s, _, err := Open(t.Context(), []string{name}, InputOptions{Column: "image",
				Keep: []Keep{{"id", "id"}}})
			if err == nil {
				for range s {
				}
			}
			if grown := allocated() - before; grown > most[filepath.Ext(name)] {
				t.Errorf("%s, %s: %d bytes were allocated", name, what, grown)
			}
		}
		try("whole", whole)
		for at := 0; at+4 <= len(whole); at += 4 {
			number := []uint32{1<<31 - 1, 1<<32 - 1, 1 << 28}[at/4%3]
			data := slices.Clone(whole)
			binary.LittleEndian.PutUint32(data[at:], number)
			try(fmt.Sprintf("%d at %d", number, at), data)
		}
		for i := range 300 {
			data := slices.Clone(whole)
			for range 1 + r.IntN(4) {
				data[r.IntN(len(data))] = byte(r.Uint32())
			}
			try(fmt.Sprintf("drawn %d", i), data)
		}
	}
}

// A damaged block of LZ4 takes no more memory than a whole one: parquet-go takes twice as much, and
// again, of one that it cannot unpack.
func TestDamagedLZ4(t *testing.T) {
	t.Chdir(t.TempDir())
	var out bytes.Buffer
	w := parquet.NewGenericWriter[damagedRow](&out, parquet.Compression(&parquet.Lz4Raw))
	rows := make([]damagedRow, 50)
	for i := range rows {
		rows[i] = damagedRow{fmt.Appendf(nil, "the image %d of %d", i, i*i), int64(i)}
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := out.Bytes()
	for at := range len(whole) {
		for _, b := range []byte{0, 255, whole[at] ^ 1} {
			data := slices.Clone(whole)
			data[at] = b
			write(t, "lz4.parquet", string(data))
			before := allocated()
			s, _, err := Open(t.Context(), []string{"lz4.parquet"}, InputOptions{Column: "image",
				Keep: []Keep{{"id", "id"}}})
			if err == nil {
				for range s {
				}
			}
			if grown := allocated() - before; grown > 5*maxValues {
				t.Errorf("%d at %d: %d bytes were allocated", b, at, grown)
			}
		}
	}
}

// Parquet has small integers in 32 bits. A number that its type does not hold would be another one
// in an output that does not have it in as many.
func TestNumbersBeyondTheirType(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		node  parquet.Node
		value any
		want  string // of the error
	}{
		{parquet.Int(8), int32(127), ""},
		{parquet.Int(8), int32(-128), ""},
		{parquet.Int(8), int32(128), `column "n": expected a number of int8, got 128`},
		{parquet.Int(16), int32(-32769), `expected a number of int16, got -32769`},
		{parquet.Int(32), int32(-1 << 31), ""},
		{parquet.Uint(8), uint32(255), ""},
		{parquet.Uint(8), uint32(256), `expected a number of uint8, got 256`},
		{parquet.Uint(16), uint32(1 << 31), `expected a number of uint16, got 2147483648`},
		{parquet.Uint(32), uint32(1<<32 - 1), ""},
	} {
		var out bytes.Buffer
		w := parquet.NewGenericWriter[map[string]any](&out, parquet.NewSchema("rows",
			parquet.Group{"file": parquet.String(), "n": c.node}))
		if _, err := w.Write([]map[string]any{{"file": "a.jpg", "n": c.value}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		write(t, "n.parquet", out.String())
		_, _, err := Open(t.Context(), []string{"n.parquet"}, InputOptions{Column: "file",
			Keep: []Keep{{"n", "n"}}})
		if err == nil != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want an error with %q", c.value, err, c.want)
		}
	}
}

// A table in which one place has another number of rows than the others is an error, or all of its
// rows, with what is kept of each: the libraries read the fewer, and lose the rest.
func TestTablesOfOtherRows(t *testing.T) {
	t.Chdir(t.TempDir())
	const rows = 50 // as arrowTable and parquetTable write
	for name, test := range map[string]struct {
		whole      []byte
		from, into byte // the number of rows, as the format writes it, and another
	}{
		"stream.arrow":     {arrowTable(t, true), rows, rows - 1},
		"file.arrow":       {arrowTable(t, false), rows, rows - 1},
		"fewer.parquet":    {parquetTable(t, &parquet.Zstd), 2 * rows, 2*rows - 2}, // zigzag
		"more.parquet":     {parquetTable(t, &parquet.Zstd), 2 * rows, 2*rows + 2},
		"plain.parquet":    {parquetTable(t, &parquet.Uncompressed), 2 * rows, 2*rows - 2},
		"negative.parquet": {parquetTable(t, &parquet.Snappy), 2 * rows, 2*rows - 1},
	} {
		refused := 0
		for at, b := range test.whole {
			if b != test.from {
				continue
			}
			data := slices.Clone(test.whole)
			data[at] = test.into
			write(t, name, string(data))
			s, _, err := Open(t.Context(), []string{name}, InputOptions{Column: "image",
				Keep: []Keep{{"id", "id"}}})
			var items []Item
			if err == nil {
				items = slices.Collect(s)
			}
			failed := func(i Item) bool { return i.failure != nil }
			if err != nil || slices.ContainsFunc(items, failed) {
				refused++
				continue
			}
			if len(items) != rows {
				t.Errorf("%s, byte %d: got %d rows and no error, want %d", name, at, len(items),
					rows)
			}
		}
		if refused == 0 {
			t.Errorf("%s: no other number was refused", name)
		}
	}
}
