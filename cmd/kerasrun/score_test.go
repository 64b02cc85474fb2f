package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scored is a row of an output, as JSON lines and as pandas have it.
type scored struct {
	Index       int64     `json:"index"`
	Path        string    `json:"path"`
	Class       []int64   `json:"class"`
	Label       []string  `json:"label"`
	Probability []float64 `json:"probability"`
	Error       *string   `json:"error"`
}

// score answers as classify does, a bad picture costs nothing but itself, and every format holds the same.
func TestScore(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.jpg")
	if err := os.WriteFile(bad, []byte("no picture"), 0o666); err != nil {
		t.Fatal(err)
	}
	lines, table := filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "out.parquet")
	for _, output := range []string{lines, table} {
		status, _, stderr := call(t, nil, "score", "--quiet", "--top", "3", "--output", output, "testdata/photos", bad)
		if status != exitFailed {
			t.Fatalf("%s: want exit status 1 for the bad picture, got %d\n%s", output, status, stderr)
		}
	}
	rows := decodeRows(t, readFile(t, lines))

	if last := rows[len(rows)-1]; last.Path != bad || last.Error == nil || last.Class != nil {
		t.Errorf("want an error for %s, got %+v", bad, last)
	}
	for _, row := range rows[:len(rows)-1] {
		var want []prediction
		unmarshal(t, []byte(well(t, "classify", "--top", "3", "--format", "json", row.Path)), &want)
		for k, p := range want {
			if row.Class[k] != p.Index || row.Label[k] != p.Name || !(abs(row.Probability[k]-p.Probability) <= 1e-6) {
				t.Errorf("%s: want %+v in place %d, got class %v, %v, %v", row.Path, p, k, row.Class, row.Label, row.Probability)
			}
		}
	}

	types, records, _ := strings.Cut(python(t, "read_parquet.py", table), "\n")
	var schema map[string]string
	unmarshal(t, []byte(types), &schema)
	wantTypes := map[string]string{
		"index": "int64", "path": "string", "class": "list<element: int64>", "label": "list<element: string>",
		"probability": "list<element: float>", "error": "string",
	}
	if !maps.Equal(schema, wantTypes) {
		t.Errorf("pyarrow's types: %s", cmp.Diff(wantTypes, schema))
	}
	var frame []scored
	unmarshal(t, []byte(records), &frame)
	close := cmp.Comparer(func(a, b float64) bool { return abs(a-b) <= 1e-7 })
	if d := cmp.Diff(rows, frame, close); d != "" {
		t.Errorf("pandas reads other rows than the JSON lines have:\n%s", d)
	}
	well(t, "diff", "--tolerance", "0", lines, table)
}

func TestScoreShards(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	whole, parts := filepath.Join(dir, "whole.csv"), filepath.Join(dir, "out.csv")
	well(t, "score", "--quiet", "--batch", "2", "--output", whole, "testdata/photos")
	t.Setenv("JOB_COMPLETION_INDEX", "1")
	well(t, "score", "--quiet", "--batch", "2", "--shard", "0/2", "--output", parts, "testdata/photos")
	well(t, "score", "--quiet", "--batch", "2", "--shard", "/2", "--output", parts, "testdata/photos")
	well(t, "merge", "--output", parts, filepath.Join(dir, "out-00000-of-00002.csv"), filepath.Join(dir, "out-00001-of-00002.csv"))
	if readFile(t, parts) != readFile(t, whole) {
		t.Error("the merged output differs from the whole run's")
	}
}

func TestScoreUsage(t *testing.T) {
	inRepository(t)
	for _, args := range [][]string{
		{"score"}, {"score", "testdata/photos"}, {"score", "--output", "x.txt", "testdata/photos"}, {"score", "--output", "x.csv"},
		{"score", "--output", "x.csv", "--shard", "2/2", "testdata/photos"}, {"score", "--output", "x.csv", "no/such/*.jpg"},
		{"score", "--output", "x.csv", "--outputs", "all", "testdata/photos"}, {"merge", "--output", "x.csv"}, {"diff", "a.csv"},
	} {
		if status, _, stderr := call(t, nil, args...); status != exitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: want exit status 2 and a line, got %d and %q", args, status, stderr)
		}
	}
}

type prediction struct {
	Index       int64
	Name        string
	Probability float64
}

func decodeRows(t *testing.T, lines string) (rows []scored) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var row scored
		unmarshal(t, []byte(line), &row)
		rows = append(rows, row)
	}
	return rows
}

func unmarshal(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
}

func abs(x float64) float64 { return max(x, -x) }
