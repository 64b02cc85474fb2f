package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/score"
)

// smallModel takes images of 32 x 32, so that thousands are quick.
const smallModel = "models/resnext50-32"

// 3,000 images of which 64 are corrupt: the output is complete, the exit status says that images
// failed, now and when the finished run is started again, and all numbers add up.
func TestScoreOutcomes(t *testing.T) {
	inRepository(t)
	if _, err := os.Stat(smallModel); err != nil {
		pythontest.Skip(t, "left out, for it needs %s, which `make test` exports", smallModel)
	}
	const all, corrupt = 3000, 64
	dir := t.TempDir()
	for i := range all {
		file := pngFile(t, uint8(i), uint8(i>>8))
		if i%46 == 7 && i/46 < corrupt {
			file = file[:len(file)/2]
		}
		path := filepath.Join(dir, fmt.Sprintf("%04d.png", i))
		if err := os.WriteFile(path, file, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	output := filepath.Join(t.TempDir(), "out.jsonl")
	args := []string{"score", "--model", smallModel, "--batch", "256", "--topk", "1", "-o", output, dir}
	for _, end := range []string{"out.jsonl.report.html\n", "complete before\n"} {
		status, _, stderr := call(t, nil, args...)
		if status != exitFailedImages ||
			!strings.Contains(stderr, "kerasrun: 3000 images, 2936 scored, 64 failed, in ") ||
			!strings.HasSuffix(stderr, end) {
			t.Fatalf("got %d and %q, want status 3, the numbers, and %q", status, stderr, end)
		}
	}
	answered, failed := 0, 0
	for line := range strings.Lines(readFile(t, output)) {
		var row scored
		unmarshal(t, []byte(line), &row)
		if row.Error != nil {
			failed++
		} else {
			answered++
		}
	}
	m, err := score.ReadManifest(output)
	if err != nil || answered != all-corrupt || failed != corrupt || m.Images != all ||
		m.Answered != all-corrupt || m.Failed != corrupt {
		t.Errorf("got %d answered and %d failed rows, and %+v, %v", answered, failed, m, err)
	}

	limited := func(limit string) (int, string) {
		status, _, stderr := call(t, nil, append(args, "--max-failures", limit)...)
		return status, stderr
	}
	if status, stderr := limited("63"); status != exitFailed ||
		!strings.Contains(stderr, "64 of 3000 images failed: expected at most 63") {
		t.Errorf("--max-failures 63: got %d and %q", status, stderr)
	}
	if status, stderr := limited("2.2%"); status != exitFailedImages {
		t.Errorf("--max-failures 2.2%%: got %d and %q, want status 3", status, stderr)
	}
}

func pngFile(t *testing.T, red, green uint8) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for i := range 64 {
		img.Set(i%8, i/8, color.NRGBA{R: red, G: green, B: uint8(i * 4), A: 255})
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A run without images is no error where that is said, and where standard input is the list.
func TestScoreEmpty(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	list, none := filepath.Join(dir, "list.txt"), filepath.Join(dir, "none")
	if err := os.WriteFile(list, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(none, 0o777); err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		args   []string
		status int
	}{
		{[]string{"-"}, 0},
		{[]string{"--files-from", list}, exitUsage},
		{[]string{"--files-from", list, "--allow-empty"}, 0},
		{[]string{none}, exitFailedImages}, // a row that says so
		{[]string{none, "--allow-empty"}, 0},
	} {
		output := filepath.Join(dir, fmt.Sprintf("%d.jsonl", i))
		args := append([]string{"score", "-q", "--output", output}, test.args...)
		if status, _, stderr := call(t, strings.NewReader(""), args...); status != test.status {
			t.Errorf("%q: got status %d and %q, want %d", test.args, status, stderr, test.status)
		}
		if test.status == 0 && readFile(t, output) != "" {
			t.Errorf("%q: got %q, want no rows", test.args, readFile(t, output))
		}
	}
}

// Any output, and diff over what was written, with the flips that it allows.
func TestScoreOutputs(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "b.npz")
	for _, output := range []string{a, b} {
		well(t, "score", "-q", "--outputs", "probs,logits", "-o", output, "testdata/photos")
	}
	var row struct{ Class, Probs, Logits []float64 }
	line, _, _ := strings.Cut(readFile(t, a), "\n")
	unmarshal(t, []byte(line), &row)
	if len(row.Class) != 5 || len(row.Probs) != 1000 || len(row.Logits) != 1000 {
		t.Errorf("got %d classes, %d probs and %d logits", len(row.Class), len(row.Probs),
			len(row.Logits))
	}
	well(t, "diff", "--tolerance", "0", "--max-flips", "0.5%", a, b)
	var d map[string]json.RawMessage
	unmarshal(t, []byte(well(t, "diff", "--format", "json", a, b)), &d)
	if string(d["flips"]) != "[]" {
		t.Errorf("got the flips %s, want none", d["flips"])
	}
	well(t, "score", "-q", "--outputs", "features", "-o", filepath.Join(dir, "f.csv"),
		"testdata/photos")
}
