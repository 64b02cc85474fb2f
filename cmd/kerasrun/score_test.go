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

// score answers as classify does, a bad image costs nothing but itself, and every format holds the
// same.
func TestScore(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.jpg")
	if err := os.WriteFile(bad, []byte("no image"), 0o666); err != nil {
		t.Fatal(err)
	}
	lines, table, parquet := filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "out.csv"),
		filepath.Join(dir, "out.parquet")
	for _, output := range []string{lines, table, parquet} {
		status, _, stderr := call(t, nil, "score", "--quiet", "--topk", "3", "--output", output,
			"testdata/photos", bad)
		if status != exitFailedImages {
			t.Fatalf("%s: want exit status 3 for the bad image, got %d\n%s", output, status, stderr)
		}
	}
	rows := decodeRows(t, readFile(t, lines))

	if last := rows[len(rows)-1]; last.Path != bad || last.Error == nil || last.Class != nil {
		t.Errorf("want an error for %s, got %+v", bad, last)
	}
	for _, row := range rows[:len(rows)-1] {
		var want []prediction
		unmarshal(t, []byte(well(t, "classify", "--topk", "3", "--format", "json", row.Path)), &want)
		for k, p := range want {
			if row.Class[k] != p.Index || row.Label[k] != p.Name ||
				!(abs(row.Probability[k]-p.Probability) <= 1e-6) {
				t.Errorf("%s: want %+v in place %d, got class %v, %v, %v", row.Path, p, k, row.Class, row.Label,
					row.Probability)
			}
		}
	}

	arrow := map[string]map[string]string{
		lines: {
			"index": "int64", "path": "string", "class": "list<item: int64>", "label": "list<item: string>",
			"probability": "list<item: double>",
			"error":       "string",
		},
		table: {
			"index": "int64", "path": "string", "class_0": "int64", "label_0": "string",
			"probability_0": "double", "class_1": "int64",
			"label_1": "string", "probability_1": "double", "class_2": "int64", "label_2": "string",
			"probability_2": "double", "error": "string",
		},
		parquet: {
			"index": "int64", "path": "string", "class": "list<element: int64>",
			"label":       "list<element: string>",
			"probability": "list<element: float>", "error": "string",
		},
	}
	outputs := []string{lines, table, parquet}
	read := strings.Split(strings.TrimSpace(python(t, "read_outputs.py", outputs...)), "\n")
	if len(read) != 2*len(outputs) {
		t.Fatalf("want two lines an output, got %q", read)
	}
	close := cmp.Comparer(func(a, b float64) bool { return abs(a-b) <= 1e-7 })
	for i, output := range outputs {
		var types map[string]string
		unmarshal(t, []byte(read[2*i]), &types)
		if !maps.Equal(types, arrow[output]) {
			t.Errorf("%s: pyarrow's types: %s", output, cmp.Diff(arrow[output], types))
		}
		var frame []scored
		unmarshal(t, []byte(read[2*i+1]), &frame)
		if d := cmp.Diff(rows, frame, close); d != "" {
			t.Errorf("%s: pandas reads other rows than the JSON lines have:\n%s", output, d)
		}
		well(t, "diff", "--tolerance", "0", lines, output)
	}
}

func TestScoreShards(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	whole, parts := filepath.Join(dir, "whole.csv"), filepath.Join(dir, "out.csv")
	well(t, "score", "--quiet", "--batch", "2", "--output", whole, "testdata/photos")
	t.Setenv("JOB_COMPLETION_INDEX", "1")
	well(t, "score", "--quiet", "--batch", "2", "--shard", "0/2", "--output", parts, "testdata/photos")
	well(t, "score", "--quiet", "--batch", "2", "--shard", "/2", "--output", parts, "testdata/photos")
	well(t, "merge", "--output", parts, filepath.Join(dir, "out-00000-of-00002.csv"),
		filepath.Join(dir, "out-00001-of-00002.csv"))
	if readFile(t, parts) != readFile(t, whole) {
		t.Error("the merged output differs from the whole run's")
	}
}

func TestScoreUsage(t *testing.T) {
	inRepository(t)
	for _, args := range [][]string{
		{"score"}, {"score", "testdata/photos"}, {"score", "--output", "x.txt", "testdata/photos"},
		{"score", "--output", "x.csv"},
		{"score", "--output", "x.csv", "--shard", "2/2", "testdata/photos"},
		{"score", "--output", "x.csv", "no/such/*.jpg"},
		{"score", "--output", "x.csv", "--outputs", "all", "testdata/photos"},
		{"merge", "--output", "x.csv"}, {"diff", "a.csv"},
	} {
		if status, _, stderr := call(t, nil, args...); status != exitUsage ||
			strings.Count(stderr, "\n") != 1 {
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
