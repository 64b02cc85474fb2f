package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/golden"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor/npy"
)

const (
	model = "models/resnext50"
	cat   = "testdata/photos/cat.jpg"
)

// classifyRows runs classify --format json.
func classifyRows(t *testing.T, args ...string) []predictionRow {
	t.Helper()
	var rows []predictionRow
	args = append([]string{"classify", "--format", "json"}, args...)
	unmarshal(t, []byte(well(t, args...)), &rows)
	return rows
}

// TestClassifyAsKeras holds classify against what Keras in Python says of the images of the model's
// goldens.
func TestClassifyAsKeras(t *testing.T) {
	inRepository(t)
	goldens := filepath.Join(model, "assets.extra/goldens")
	pack, err := golden.Open(goldens)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("tools/src/kerasrun_export/imagenet_class_index.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	classes, err := labels.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, c := range pack.Cases {
		paths = append(paths, filepath.Join(goldens, c.Image))
	}
	rows := classifyRows(t, paths...)
	if len(rows) != 5*len(paths) {
		t.Fatalf("got %d rows, want 5 of each of %d images", len(rows), len(paths))
	}
	for n, c := range pack.Cases {
		arrays, err := npy.ReadZip(filepath.Join(goldens, c.Arrays))
		if err != nil {
			t.Fatal(err)
		}
		want, err := labels.Top(arrays["probs"].Data.([]float32), 5, classes)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range rows[5*n : 5*n+5] {
			if got.Path != paths[n] || got.Rank != i+1 || got.Index != want[i].Index ||
				got.ID != want[i].ID || got.Name != want[i].Name ||
				!(math.Abs(float64(got.Probability-want[i].Probability)) <= 1e-5) {
				t.Errorf("got %+v, want %s: %+v in place %d", got, paths[n], want[i], i+1)
			}
		}
	}
}

// made are predictions of two images, with what a format may stumble over.
var made = map[string][]labels.Prediction{
	"a.jpg": {
		{Index: 3, ID: "n01440764", Name: "tench", Probability: 0.75},
		{Index: 0, ID: "n1", Name: "bow, \"tie\"", Probability: 0.1},
	},
	"b,\nc.jpg": {{Index: 999, ID: "n3", Name: "çäø", Probability: 1e-7}},
}

// answered is the answer of a model of classes.
func answered(predictions []labels.Prediction) classify.Answer {
	return classify.Answer{Kind: contract.Probabilities, Predictions: predictions}
}

func writeMade(w io.Writer, format string) error {
	out := newPredictionWriter(w, format, contract.Output{Kind: contract.Probabilities})
	for _, path := range slices.Sorted(maps.Keys(made)) {
		if err := out.write(path, answered(made[path])); err != nil {
			return err
		}
	}
	return out.close()
}

// TestPredictionFormats reads back what each format wrote.
func TestPredictionFormats(t *testing.T) {
	var want []predictionRow
	for _, path := range slices.Sorted(maps.Keys(made)) {
		for i, p := range made[path] {
			want = append(want, predictionRow{path, i + 1, p})
		}
	}
	for format, read := range map[string]func(string) ([]predictionRow, error){
		"json": func(text string) (rows []predictionRow, err error) {
			return rows, json.Unmarshal([]byte(text), &rows)
		},
		"jsonl": func(text string) (rows []predictionRow, err error) {
			for line := range strings.Lines(text) {
				var row predictionRow
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					return nil, err
				}
				rows = append(rows, row)
			}
			return rows, nil
		},
		"csv": func(text string) (rows []predictionRow, err error) {
			records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
			if err != nil {
				return nil, err
			}
			if header := strings.Join(records[0], " "); header != "path rank index id name probability" {
				return nil, fmt.Errorf("header %q", header)
			}
			for _, r := range records[1:] {
				rank, err1 := strconv.Atoi(r[1])
				index, err2 := strconv.Atoi(r[2])
				probability, err3 := strconv.ParseFloat(r[5], 32)
				if err := errors.Join(err1, err2, err3); err != nil {
					return nil, err
				}
				rows = append(rows, predictionRow{r[0], rank, labels.Prediction{
					Index: index, ID: r[3], Name: r[4], Probability: float32(probability),
				}})
			}
			return rows, nil
		},
	} {
		var text bytes.Buffer
		if err := writeMade(&text, format); err != nil {
			t.Fatal(err)
		}
		if got, err := read(text.String()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v, of\n%s", format, got, err, want, text.Bytes())
		}
	}
	for _, format := range []string{"text", "json", "jsonl", "csv"} {
		if err := writeMade(brokenWriter{}, format); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%s: got %v of a broken pipe", format, err)
		}
	}
}

// TestPredictionTextWithoutNames prints a class by its index where the model has no class names,
// and leaves out the column of ids where it has names only.
func TestPredictionTextWithoutNames(t *testing.T) {
	var text bytes.Buffer
	out := newPredictionWriter(&text, "text", contract.Output{Kind: contract.Probabilities})
	unnamed := []labels.Prediction{{Index: 7, Probability: 0.75}, {Index: 10, Probability: 0.25}}
	named := []labels.Prediction{{Index: 1, Name: "dog", Probability: 0.5}}
	err := errors.Join(out.write("a.jpg", answered(unnamed)), out.write("b.jpg", answered(named)),
		out.close())
	if err != nil {
		t.Fatal(err)
	}
	want := "a.jpg\n   1   75.000 %  class 7\n   2   25.000 %  class 10\n" +
		"b.jpg\n   1   50.000 %  dog\n"
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestPredictionText(t *testing.T) {
	var text bytes.Buffer
	if err := writeMade(&text, "text"); err != nil {
		t.Fatal(err)
	}
	want := "a.jpg\n   1   75.000 %  n01440764  tench\n   2   10.000 %  n1         bow, \"tie\"\n" +
		"b, c.jpg\n   1    0.000 %  n3  çäø\n"
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

// TestPredictionTextOfHostileNames holds that a name neither drives the terminal nor makes a line.
func TestPredictionTextOfHostileNames(t *testing.T) {
	var text bytes.Buffer
	out := newPredictionWriter(&text, "text", contract.Output{Kind: contract.Probabilities})
	hostile := []labels.Prediction{{ID: "a\x1b[2J", Name: "b\n   2   99.000 %  c\u202e",
		Probability: 1}}
	if err := errors.Join(out.write("d\n.jpg", answered(hostile)), out.close()); err != nil {
		t.Fatal(err)
	}
	want := "d .jpg\n   1  100.000 %  a\ufffd[2J  b    2   99.000 %  c\ufffd\n"
	if text.String() != want {
		t.Errorf("got\n%q\nwant\n%q", text.String(), want)
	}
}

// TestClassifyTop asks for more classes than there are and gets all, as of Keras's
// decode_predictions, which slices.
func TestClassifyTop(t *testing.T) {
	inRepository(t)
	rows := classifyRows(t, "--topk", "2000", cat)
	var sum float64
	for _, row := range rows {
		sum += float64(row.Probability)
	}
	if len(rows) != 1000 || math.Abs(sum-1) > 1e-5 {
		t.Errorf("got %d rows that add up to %v, want 1000 and 1", len(rows), sum)
	}
}

// TestClassifyBadImages puts bad images among good ones: the good ones are answered, and each bad
// one has a line.
func TestClassifyBadImages(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	jpeg, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, empty, cut := file("walked/b.JPG", jpeg), file("walked/a.jpg", nil),
		file("walked/c.jpg", jpeg[:len(jpeg)/2])
	file("walked/readme.txt", []byte("passed over"))
	text := file("notes.txt", []byte("no image"))
	odd := file("noimages/readme.txt", nil)
	huge := file("huge.jpg", hugeJPEG)

	status, stdout, stderr := call(t, nil, "classify", "--format", "csv", "--topk", "1",
		text, filepath.Join(dir, "walked"), filepath.Join(dir, "none.jpg"), filepath.Dir(odd), huge, cat)
	if status != exitFailed {
		t.Errorf("exit status %d, want %d", status, exitFailed)
	}
	rows := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(rows) != 3 || !strings.HasPrefix(rows[1], good+",1,") ||
		!strings.HasPrefix(rows[2], cat+",1,") {
		t.Errorf("got %q, want the rows of %s and %s", rows, good, cat)
	}
	for path, reason := range map[string]string{
		text:                           "not an image",
		empty:                          "",
		cut:                            "malformed JPEG",
		filepath.Join(dir, "none.jpg"): "no such file",
		filepath.Dir(odd):              "no images below it",
		huge:                           "over the limit",
	} {
		lines := slices.DeleteFunc(strings.Split(stderr, "\n"), func(line string) bool {
			return !strings.HasPrefix(line, "kerasrun: "+path+": ") &&
				!strings.HasPrefix(line, "kerasrun: open "+path+": ")
		})
		if len(lines) != 1 || !strings.Contains(lines[0], reason) {
			t.Errorf("%s: got %q, want one line with %q", path, lines, reason)
		}
	}
	if strings.Contains(stderr, "readme.txt") {
		t.Errorf("want files without an image's name passed over, got %s", stderr)
	}

	status, stdout, _ = call(t, nil, "classify", "--format", "json", text)
	if status != exitFailed || stdout != "[]\n" {
		t.Errorf("no good image: exit status %d, got %q, want %d and an empty array",
			status, stdout, exitFailed)
	}
}

// hugeJPEG begins an image of 65535 x 65535.
var hugeJPEG = []byte("\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11" +
	"\x00\x03\x11\x00\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00" +
	"\x00\x3f\x00")

func TestClassifyStandardInput(t *testing.T) {
	inRepository(t)
	jpeg, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call(t, bytes.NewReader(jpeg),
		"classify", "--format", "csv", "--topk", "1", "-", cat)
	lines := strings.Split(stdout, "\n")
	if status != 0 || len(lines) != 4 || !strings.HasPrefix(lines[1], "-,1,") ||
		cat+lines[1][1:] != lines[2] {
		t.Errorf("exit status %d, got %q, want the same of - as of the file\n%s", status, lines, stderr)
	}
	status, _, stderr = call(t, strings.NewReader(""), "classify", "-")
	if status != exitFailed || !strings.Contains(stderr, "kerasrun: -: ") {
		t.Errorf("empty standard input: exit status %d, stderr %q", status, stderr)
	}
}

// TestClassifySynthetic wants the note that the classes of synthetic weights mean nothing, for
// people alone.
func TestClassifySynthetic(t *testing.T) {
	inRepository(t)
	const word = "its classes mean nothing"
	_, _, stderr := call(t, nil, "classify", "go.mod")
	if strings.Contains(stderr, word) != synthetic(t) {
		t.Errorf("got %q", stderr)
	}
	_, _, stderr = call(t, nil, "classify", "--format", "jsonl", "go.mod")
	if strings.Contains(stderr, word) {
		t.Errorf("jsonl: got %q", stderr)
	}
}

// Older manifests call synthetic weights seeded.
func TestNoteSynthetic(t *testing.T) {
	for source, want := range map[string]bool{
		"synthetic:0": true, "seeded:3": true, "imagenet": false, "synthetic.keras": false,
	} {
		var stderr strings.Builder
		manifest := &contract.Manifest{Weights: contract.Weights{Source: source}}
		noteSynthetic(&stderr, &savedmodel.Model{Manifest: manifest})
		if got := strings.Contains(stderr.String(), "synthetic weights"); got != want {
			t.Errorf("%s: got a note: %v, want %v", source, got, want)
		}
	}
}

func synthetic(t *testing.T) bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(model, "assets.extra/kerasrun.json"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(raw), `"source": "synthetic`) ||
		strings.Contains(string(raw), `"source": "seeded`)
}

// An image whose predictions hold a NaN is named, and takes nothing from the others.
func TestClassifyNaN(t *testing.T) {
	nan := float32(math.NaN())
	results := func(yield func(classify.Result, error) bool) {
		for _, row := range [][]float32{{0.9, 0.1}, {nan, nan}, {0.2, 0.8}} {
			r := classify.Result{Image: classify.Image{Name: fmt.Sprintf("%v.jpg", row[0])}}
			r.Predictions, r.Err = labels.Top(row, 1, nil)
			if !yield(r, nil) {
				return
			}
		}
	}
	var stdout, stderr strings.Builder
	out := newPredictionWriter(&stdout, "csv", contract.Output{Kind: contract.Probabilities})
	err := printPredictions(results, out, &stderr)
	if !errors.Is(err, errReported) || !strings.HasPrefix(stderr.String(), "kerasrun: NaN.jpg: ") ||
		strings.Count(stdout.String(), "\n") != 3 || !strings.Contains(stdout.String(), "0.9.jpg,1,0,") ||
		!strings.Contains(stdout.String(), "0.2.jpg,1,1,") {
		t.Errorf("got %v, %q, %q", err, stdout.String(), stderr.String())
	}
}
