package score

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"kerasrun/object"
)

// imageSchema has a column of each kind that holds images.
var imageSchema = arrow.NewSchema([]arrow.Field{
	{Name: "path", Type: arrow.BinaryTypes.LargeString, Nullable: true},
	{Name: "bytes", Type: arrow.BinaryTypes.LargeBinary, Nullable: true},
	{Name: "image", Nullable: true, Type: arrow.StructOf(
		arrow.Field{Name: "bytes", Type: arrow.BinaryTypes.Binary, Nullable: true},
		arrow.Field{Name: "path", Type: arrow.BinaryTypes.String, Nullable: true})},
}, nil)

// imageBatch is a record batch of files: in image every second has its bytes too.
func imageBatch(t *testing.T, paths ...string) arrow.RecordBatch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, imageSchema)
	images := b.Field(2).(*array.StructBuilder)
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			data = []byte{}
		}
		b.Field(0).(*array.LargeStringBuilder).Append(path)
		b.Field(1).(*array.BinaryBuilder).Append(data)
		images.Append(true)
		images.FieldBuilder(1).(*array.StringBuilder).Append(path)
		if i%2 == 1 && len(data) > 0 {
			images.FieldBuilder(0).(*array.BinaryBuilder).Append(data)
		} else {
			images.FieldBuilder(0).AppendNull()
		}
	}
	return b.NewRecordBatch()
}

// streamConfig is that of config's run.
func streamConfig(column string) StreamConfig {
	c := config("-", nil)
	return StreamConfig{Model: c.Model, Columns: c.Columns, Column: column, Batch: c.Batch}
}

func readStream(t *testing.T, data []byte) (batches []arrow.RecordBatch) {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
		r.RecordBatch().Retain()
		batches = append(batches, r.RecordBatch())
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return batches
}

// A stream has the rows of a run: of paths, of bytes, and of both. Record batches keep their sizes.
func TestStream(t *testing.T) {
	dir := images(t, 20)
	write(t, filepath.Join(dir, "00003.jpg"), imageOf("bad"))
	write(t, filepath.Join(dir, "00009.jpg"), imageOf("nan"))
	input := slices.Collect(source(t, dir))
	var paths []string
	for _, item := range input {
		paths = append(paths, item.Path)
	}
	for name, outputs := range map[string][]string{"top": {Top}, "numbers": {Probs, "features"}} {
		c := streamConfig("")
		c.Columns.Outputs = outputs
		run := config("-", slices.Values(input))
		run.Columns = c.Columns
		var lines bytes.Buffer
		run.Stdout = &lines
		mustRun(t, run)
		for _, column := range []string{"path", "bytes", "image"} {
			t.Run(name+" "+column, func(t *testing.T) {
				var in, out bytes.Buffer
				w := ipc.NewWriter(&in, ipc.WithSchema(imageSchema))
				for _, part := range [][]string{paths[:8], nil, paths[8:16], paths[16:]} {
					if err := w.Write(imageBatch(t, part...)); err != nil {
						t.Fatal(err)
					}
				}
				w.Close()
				c.Column = column
				counts, err := Stream(t.Context(), c, &in, &out)
				if err != nil || counts != (Counts{Images: 20, Answered: 16, Failed: 4}) {
					t.Fatalf("got %+v, %v, want 20 images, 4 failed", counts, err)
				}
				batches := readStream(t, out.Bytes())
				var sizes []int64
				var got []string
				for _, b := range batches {
					sizes = append(sizes, b.NumRows())
					got = append(got, streamLines(t, c, b)...)
				}
				if !slices.Equal(sizes, []int64{8, 0, 8, 4}) {
					t.Errorf("got record batches of %v rows, want 8, 0, 8, 4", sizes)
				}
				for i, line := range slices.Collect(strings.Lines(lines.String())) {
					if column == "bytes" { // they have no path
						line = strings.ReplaceAll(line, paths[i], "")
					}
					if got[i] != line {
						t.Errorf("got %s, want %s", got[i], line)
					}
				}
			})
		}
	}
}

// streamLines are the rows of a record batch as JSON lines.
func streamLines(t *testing.T, c StreamConfig, b arrow.RecordBatch) (lines []string) {
	t.Helper()
	s, err := newStreamer(c)
	if err != nil {
		t.Fatal(err)
	}
	text, err := b.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]json.RawMessage
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if string(row["path"]) == "null" {
			row["path"] = []byte(`""`)
		}
		record, err := jsonRecord(row, s.recorder.schema)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(s.recorder.schema.appendLine(nil, record)))
	}
	return lines
}

// An answer waits for no later record batch.
func TestStreamAnswersAtOnce(t *testing.T) {
	paths := []string{}
	for item := range source(t, images(t, 3)) {
		paths = append(paths, item.Path)
	}
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := Stream(t.Context(), streamConfig("path"), inRead, outWrite)
		outWrite.CloseWithError(err)
		ended <- err
	}()
	w := ipc.NewWriter(inWrite, ipc.WithSchema(imageSchema))
	var r *ipc.Reader
	for i := range 3 {
		if err := w.Write(imageBatch(t, paths[:i+1]...)); err != nil {
			t.Fatal(err)
		}
		if r == nil {
			var err error
			if r, err = ipc.NewReader(outRead); err != nil {
				t.Fatal(err)
			}
		}
		if !r.Next() || r.RecordBatch().NumRows() != int64(i+1) {
			t.Fatalf("want an answer of %d rows, got %v", i+1, r.Err())
		}
	}
	w.Close()
	if r.Next() || r.Err() != nil {
		t.Errorf("want the end, got %v", r.Err())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestStreamErrors(t *testing.T) {
	path := slices.Collect(source(t, images(t, 1)))[0].Path
	var whole bytes.Buffer
	w := ipc.NewWriter(&whole, ipc.WithSchema(imageSchema))
	if err := w.Write(imageBatch(t, path)); err != nil {
		t.Fatal(err)
	}
	cut := bytes.Clone(whole.Bytes())
	w.Close()
	for name, c := range map[string]struct {
		column string
		in     []byte
		want   string
	}{
		"no stream": {"path", []byte("a.jpg\nb.jpg\n"), "expected Arrow's stream format"},
		"empty":     {"path", nil, "expected Arrow's stream format"},
		"cut":       {"path", cut, "got a stream that was cut"},
		"in it":     {"path", cut[:len(cut)-40], "EOF"},
		"no column": {"file", whole.Bytes(), `expected a column "file", got ["path" "bytes" "image"]`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Stream(t.Context(), streamConfig(c.column), bytes.NewReader(c.in), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// The image that kills the worker is a row with its error.
func TestStreamCulprit(t *testing.T) {
	dir := images(t, 4)
	write(t, filepath.Join(dir, "00002.jpg"), imageOf("crash"))
	var paths []string
	for item := range source(t, dir) {
		paths = append(paths, item.Path)
	}
	var in, out bytes.Buffer
	w := ipc.NewWriter(&in, ipc.WithSchema(imageSchema))
	if err := w.Write(imageBatch(t, paths...)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c := streamConfig("path")
	c.Model.Model = &mortal{dies: func(_ int64, marked bool, _ int) bool { return marked }}
	var warned string
	c.Warn = func(message string) { warned += message }
	if _, err := Stream(t.Context(), c, &in, &out); err != nil {
		t.Fatal(err)
	}
	want := "killed the model's process (SIGSEGV) when it ran alone"
	for i, line := range streamLines(t, c, readStream(t, out.Bytes())[0]) {
		if strings.Contains(line, want) != (i == 2) {
			t.Errorf("got %s; want the error of row 2 alone", line)
		}
	}
	if !strings.Contains(warned, paths[2]) {
		t.Errorf("got the warning %q, want one of %s", warned, paths[2])
	}
}

// A store that cannot be used ends a stream as it ends a run: its images are no rows.
func TestStreamStoreError(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	var in, out bytes.Buffer
	w := ipc.NewWriter(&in, ipc.WithSchema(imageSchema))
	if err := w.Write(imageBatch(t, "gs://stream/1.jpg", "gs://stream/2.jpg")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	counts, err := Stream(t.Context(), streamConfig("path"), &in, &out)
	var store *object.StoreError
	if !errors.As(err, &store) || store.Store != "gs://stream" || counts.Images != 0 {
		t.Errorf("got %v and %+v, want an error of gs://stream and no rows", err, counts)
	}
}
