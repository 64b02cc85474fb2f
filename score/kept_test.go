package score

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"kerasrun/internal/pythontest"
)

// What a table's columns hold reaches every output format, in its type, also of rows that failed;
// over shards and a merge too. testdata/read_kept.py compares it with the table, as pandas reads
// both.
func TestKeep(t *testing.T) {
	dir, out := inputsFolder(t), t.TempDir()
	names := []string{"text", "i8", "i64", "u8", "u64", "f32", "f64", "truth", "ms", "us", "ns",
		"label=input_label", "kind"}
	var keep []Keep
	for _, name := range names {
		k, err := ParseKeep(name)
		if err != nil {
			t.Fatal(err)
		}
		keep = append(keep, k)
	}
	args := []string{python(t), "testdata/read_kept.py"}
	for _, table := range []string{"kept.parquet", "kept.csv", "whole.parquet"} {
		s, kept, err := Open(t.Context(), []string{filepath.Join(dir, table)},
			InputOptions{Column: "file", Keep: keep})
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"jsonl", "csv", "parquet", "npz"} {
			for _, separate := range []bool{false, true} {
				if separate && (format == "csv" || format == "npz") {
					continue // which are as they are without
				}
				c := config(filepath.Join(out, fmt.Sprintf("%v.%s.%s", separate, table, format)), s)
				c.Kept, c.Batch, c.Columns.Separate = kept, 2, separate
				if format == "npz" && table == "kept.parquet" {
					var usage *UsageError
					if _, err := Run(t.Context(), c); !errors.As(err, &usage) || !strings.Contains(err.Error(),
						`the kept column "i8" is null, for which NumPy has no int8: write .parquet`) {
						t.Errorf("%s: got %v, want a refusal of null", c.Output, err)
					}
					continue
				}
				if s := mustRun(t, c); s.Answered != 3 || s.Failed != 2 {
					t.Errorf("%s: got %+v, want 3 answered and 2 failed", c.Output, s)
				}
				whole := c.Output
				if IsTable(whole) { // as evaluate reads it
					var labels []string
					for row, err := range Table(whole, 0, false, "path", "input_label") {
						if err != nil {
							t.Fatal(err)
						}
						labels = append(labels, row.Texts[0])
					}
					if want := []string{"cat", "dog", "cat", "", "dog"}; table != "whole.parquet" &&
						!slices.Equal(labels, want) {
						t.Errorf("%s: got the labels %q, want %q", whole, labels, want)
					}
				}
				args = append(args, filepath.Join(dir, table), whole)
				var shards []string
				for i := range 2 {
					c.Shard = Shard{i, 2}
					shards = append(shards, mustRun(t, c).Output)
				}
				merged := filepath.Join(out, "merged."+filepath.Base(c.Output))
				if _, err := Merge(merged, shards, nil); err != nil {
					t.Fatal(err)
				}
				if read(t, merged) != read(t, whole) {
					t.Errorf("%s: the merged output differs", merged)
				}
				if d, err := Diff(merged, whole, 0, nil); err != nil || !d.OK() {
					t.Errorf("%s: got %+v, %v, want no difference", whole, d, err)
				}
			}
		}
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func python(t *testing.T) string { return pythontest.Python(t) }

func TestKeepRefuses(t *testing.T) {
	dir := inputsFolder(t)
	for _, c := range []struct {
		input, keep, format, want string
	}{
		{"kept.parquet", "label", "csv", `other than those of the output's own columns, got "label": ` +
			`--keep COLUMN=NAME gives it another name, as input_label`},
		{"kept.parquet", "text=class_0", "jsonl", `got "class_0"`},
		{"kept.parquet", "text=x,kind=x", "jsonl", `expected each name once, got "x" twice`},
		{"kept.parquet", "none", "jsonl", `expected a column "none", got ["file"`},
		{"kept.parquet", "day", "jsonl", `expected a column "day" of texts, numbers, bool or ` +
			`timestamps, got DATE`},
		{"kept.parquet", "list", "jsonl", "of texts, numbers, bool or timestamps, got a group"},
		{"kept.parquet", "price", "jsonl", "got DECIMAL"},
		{"kept.parquet", "raw", "jsonl", "got bytes"},
		{"kept.parquet", "far", "csv", "a timestamp of the year 38504"},
		{"kept.parquet", "nan", "jsonl", "NaN, for which JSON has no number"},
		{"kept.parquet", "crlf", "csv", "a line end of Windows, which a .csv does not keep"},
		{"kept.parquet kept.csv", "i64", "csv", "keep: expected columns of one type in all " +
			"inputs, got [{i64 int64}]"},
		{"sub", "i64", "csv", "sub: expected a table, an archive or a TFRecord file, of which columns"},
		{"latin.csv", "note", "csv", `latin.csv: line 2, column "note": expected UTF-8, got "caf\xe9"`},
	} {
		o := InputOptions{Column: "file"}
		for _, text := range strings.Split(c.keep, ",") {
			k, err := ParseKeep(text)
			if err != nil {
				t.Fatal(err)
			}
			o.Keep = append(o.Keep, k)
		}
		var args []string
		for _, name := range strings.Fields(c.input) {
			args = append(args, filepath.Join(dir, name))
		}
		s, kept, err := Open(t.Context(), args, o)
		if err == nil {
			run := config(filepath.Join(t.TempDir(), "out."+c.format), s)
			run.Kept = kept
			_, err = Run(t.Context(), run)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want an error with %q", c.input, c.keep, err, c.want)
		}
	}
	for _, text := range []string{"", "=a", "a="} {
		if _, err := ParseKeep(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// A table's texts that are not UTF-8, whatever its format promises of them, are refused: JSON would
// keep others.
func TestKeptTextsAreUTF8(t *testing.T) {
	t.Chdir(t.TempDir())
	type row struct {
		File string `parquet:"file"`
		Text string `parquet:"text"`
	}
	var table bytes.Buffer
	w := parquet.NewGenericWriter[row](&table)
	if _, err := w.Write([]row{{"a.jpg", "caf\xe9"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, "text.parquet", table.String())
	schema := arrow.NewSchema([]arrow.Field{{Name: "file", Type: arrow.BinaryTypes.String},
		{Name: "text", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.StringBuilder).Append("a.jpg")
	b.Field(1).(*array.StringBuilder).Append("caf\xe9")
	var stream bytes.Buffer
	out := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	if err := errors.Join(out.Write(b.NewRecordBatch()), out.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, "text.arrow", stream.String())
	write(t, "text.csv", "file,text\na.jpg,caf\xe9\n")
	for _, name := range []string{"text.parquet", "text.arrow", "text.csv"} {
		_, _, err := Open(t.Context(), []string{name}, InputOptions{Column: "file",
			Keep: []Keep{{"text", "text"}}})
		if want := `column "text": expected UTF-8, got "caf\xe9"`; err == nil ||
			!strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %s", name, err, want)
		}
	}
}

// A zero byte within a text comes through the formats that pack texts, and a merge.
func TestKeptZeros(t *testing.T) {
	dir := images(t, 16)
	rows := "file,note\n"
	for i := range 16 {
		rows += fmt.Sprintf("%05d.jpg,a\x00b%d\n", i, i)
	}
	write(t, filepath.Join(dir, "zeros.csv"), rows)
	s, kept, err := Open(t.Context(), []string{filepath.Join(dir, "zeros.csv")},
		InputOptions{Column: "file", Keep: []Keep{{"note", "note"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"csv", "npz"} {
		out := t.TempDir()
		c := config(filepath.Join(out, "whole."+format), s)
		c.Kept = kept
		whole := mustRun(t, c).Output
		var shards []string
		for i := range 2 {
			c.Shard = Shard{i, 2}
			shards = append(shards, mustRun(t, c).Output)
		}
		merged := filepath.Join(out, "merged."+format)
		if _, err := Merge(merged, shards, nil); err != nil {
			t.Fatal(err)
		}
		if read(t, merged) != read(t, whole) {
			t.Errorf("%s: the merged output differs", format)
		}
		_, records, err := ReadOutput(whole)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range records {
			if want := fmt.Sprintf("a\x00b%d", r.Index); err != nil || r.Kept[0] != want {
				t.Errorf("%s: got %q, %v, want %q", format, r.Kept, err, want)
			}
		}
	}
}

// A run that goes on finds kept values that changed, though paths and sizes are the same.
func TestKeptValuesChange(t *testing.T) {
	dir := images(t, 20)
	table := filepath.Join(dir, "table.csv")
	input := func(id int) (Source, []Kept) {
		rows := "file,id\n"
		for i := range 20 {
			rows += fmt.Sprintf("%05d.jpg,%d\n", i, id+i)
		}
		write(t, table, rows)
		s, kept, err := Open(t.Context(), []string{table},
			InputOptions{Column: "file", Keep: []Keep{{"id", "id"}}})
		if err != nil {
			t.Fatal(err)
		}
		return s, kept
	}
	c := config(filepath.Join(dir, "out.csv"), nil)
	c.Source, c.Kept = input(0)
	whole := c
	whole.Output = filepath.Join(dir, "whole.csv")
	mustRun(t, whole)
	stopped, stop := context.WithCancel(t.Context())
	c.Progress = func(Counts) { stop() }
	if _, err := Run(stopped, c); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the run to be stopped", err)
	}
	c.Progress = nil
	changed := c
	changed.Source, changed.Kept = input(1)
	var mismatch *MismatchError
	if _, err := Run(t.Context(), changed); !errors.As(err, &mismatch) {
		t.Errorf("got %v, want a refusal", err)
	}
	if mustRun(t, c); read(t, c.Output) != read(t, whole.Output) {
		t.Error("the resumed output differs")
	}
}
