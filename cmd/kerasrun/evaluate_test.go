package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/contract"
	"kerasrun/tensor"
)

// small is a model of ImageNet's classes for images of 32 x 32.
const small = "models/resnext50-32"

// evaluated is what a test reads of evaluate's JSON.
type evaluated struct {
	Model  string
	Images int64
	Failed int64
	Top1   float64
	TopK   float64
	Wrong  []struct{ Path string }
}

// labelled writes folders of the sample photographs, each under the class that the model answers,
// but for the first, which is under the second best, and a table of the same.
func labelled(t *testing.T) (folders, table string, images int) {
	t.Helper()
	var rows []struct {
		Path string
		Rank int
		ID   string
	}
	unmarshal(t, []byte(well(t, "classify", "--model", small, "--topk", "2", "--format", "json",
		"testdata/photos")), &rows)
	dir := t.TempDir()
	folders, table = filepath.Join(dir, "folders"), filepath.Join(dir, "table.csv")
	file, err := os.Create(table)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := csv.NewWriter(file)
	defer out.Flush()
	if err := out.Write([]string{"file", "wnid"}); err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if i == 0 || i > 1 && row.Rank == 2 {
			continue
		}
		images++
		class := filepath.Join(folders, row.ID)
		if err := os.MkdirAll(class, 0o777); err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(class, filepath.Base(row.Path))
		if err := os.WriteFile(copied, []byte(readFile(t, row.Path)), 0o666); err != nil {
			t.Fatal(err)
		}
		relative, err := filepath.Rel(dir, copied)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Write([]string{relative, row.ID}); err != nil {
			t.Fatal(err)
		}
	}
	return folders, table, images
}

// Folders and a table of the same images give the same numbers, and the exit status says what came
// of them.
func TestEvaluate(t *testing.T) {
	inRepository(t)
	folders, table, images := labelled(t)
	want := float64(images-1) / float64(images)
	args := []string{"evaluate", "--model", small, "--format", "json"}
	var first, second evaluated
	unmarshal(t, []byte(well(t, append(args, folders)...)), &first)
	unmarshal(t, []byte(well(t, append(args, "--filename-col", "file", "--label-col", "wnid",
		table)...)), &second)
	for _, got := range []evaluated{first, second} {
		if got.Images != int64(images) || got.Top1 != want || got.TopK != 1 || got.Model != small ||
			len(got.Wrong) != 1 || !strings.HasSuffix(got.Wrong[0].Path, "astronaut.png") {
			t.Errorf("got %+v, want %d images, top-1 %v", got, images, want)
		}
	}

	dir := t.TempDir()
	page, junit := filepath.Join(dir, "report.html"), filepath.Join(dir, "report.xml")
	status, stdout, stderr := call(t, nil, "evaluate", "--quiet", "--model", small, "--min-top1",
		"0.95", "--min-topk", "1", "--html", page, "--junit", junit, folders)
	line := fmt.Sprintf("kerasrun: top-1: expected at least 0.95, got %.6g\n", want)
	if status != exitFailed || stderr != line || !strings.Contains(stdout, "top-1 ") {
		t.Errorf("got exit status %d, %q and %q, want 1 and %q", status, stderr, stdout, line)
	}
	if text := readFile(t, page); strings.Count(text, "data:image/jpeg") != 1 {
		t.Errorf("the page: got no thumbnail or several in\n%s", text)
	}
	var suites struct {
		Suites []struct {
			Failures int `xml:"failures,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(readFile(t, junit)), &suites); err != nil ||
		suites.Suites[0].Failures != 1 {
		t.Errorf("JUnit: got %+v, %v, want one failure", suites, err)
	}

	damaged := filepath.Join(filepath.Dir(first.Wrong[0].Path), "damaged.jpg")
	if err := os.WriteFile(damaged, []byte("no image"), 0o666); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr = call(t, nil, append(args, "--quiet", "--min-top1", "0.5", folders)...)
	var third evaluated
	if err := json.Unmarshal([]byte(stdout), &third); err != nil {
		t.Fatal(err)
	}
	if status != exitFailedImages || third.Failed != 1 || third.Top1 != want ||
		!strings.Contains(stderr, damaged+": not an image") {
		t.Errorf("a damaged image: got exit status %d, %q, %+v, want 3", status, stderr, third)
	}
}

func TestEvaluateErrors(t *testing.T) {
	inRepository(t)
	folders, table, _ := labelled(t)
	stranger := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(stranger, os.DirFS(folders)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(stranger, "violet"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"", exitUsage, `expected one DIR or TABLE, got []`},
		{"a b", exitUsage, `expected one DIR or TABLE, got ["a" "b"]`},
		{"--topk 0 " + folders, exitUsage, "--topk: expected 1 or more, got 0"},
		{"--min-top1 90 " + folders, exitUsage, "--min-top1: expected 0 to 1, got 90"},
		{"--min-macro-recall nan " + folders, exitUsage,
			"--min-macro-recall: expected 0 to 1, got NaN"},
		{"--label-type nouns " + folders, exitUsage, "expected one of auto, name, id, index"},
		{"--label-col wnid " + folders, exitUsage, "expected a table, got the folder"},
		{"go.mod", exitUsage,
			"expected a folder, or a table that ends in .csv, .tsv or .parquet, got go.mod"},
		{"--min-topk 0.9 --topk 1000 " + folders, exitUsage,
			"--min-topk: expected a --topk under the model's 1000 classes, got 1000"},
		{"none", exitFailed, "none: no such file or directory"},
		{table, exitFailed, `expected a column "filename", got ["file" "wnid"]`},
		{stranger, exitFailed, `labels are not: "violet"`},
		{"--label-type name " + folders, exitFailed, "the name of one of the model's 1000 classes"},
	} {
		args := []string{"evaluate", "--quiet", "--model", small}
		args = append(args, strings.Fields(test.args)...)
		status, stdout, stderr := call(t, nil, args...)
		if status != test.status || stdout != "" || strings.Count(stderr, "\n") != 1 ||
			!strings.Contains(stderr, test.want) {
			t.Errorf("%s: got exit status %d, %q, want %d and a line with %q", test.args, status,
				stderr, test.status, test.want)
		}
	}
}

func TestEvaluatedKind(t *testing.T) {
	for _, test := range []struct {
		output contract.Output
		size   int64
		want   string // "": an error
	}{
		{contract.Output{Kind: contract.Probabilities}, 3, contract.Probabilities},
		{contract.Output{Kind: contract.Binary}, 1, contract.Binary},
		{contract.Output{Kind: contract.Logits, Activation: "softmax"}, 3, contract.Probabilities},
		{contract.Output{Kind: contract.Logits, Activation: "sigmoid"}, 1, contract.Binary},
		{contract.Output{Kind: contract.Logits, Activation: "sigmoid"}, 3, contract.Multilabel},
		{contract.Output{Kind: contract.Multilabel}, 3, contract.Multilabel},
		{contract.Output{Kind: contract.Regression}, 1, contract.Regression},
		{contract.Output{Kind: contract.Embedding}, 3, ""},
	} {
		got, err := evaluatedKind(test.output, tensor.Shape{test.size})
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%+v: got %q, %v, want %q", test.output, got, err, test.want)
		}
		if err != nil && !strings.Contains(err.Error(), "got embedding, which cannot be evaluated") {
			t.Error(err)
		}
	}
}

// Models of logits and of one sigmoid are as right as Keras's answers are.
func TestEvaluateOwnModels(t *testing.T) {
	dir, images, models := ownModels(t)
	for _, name := range []string{"logits", "grey", "several"} {
		want := models[name]
		folders := t.TempDir()
		right := 0
		for i, path := range images {
			answer := slices.Index(want.Rows[i], slices.Max(want.Rows[i]))
			if want.Kind == contract.Binary {
				answer = map[bool]int{true: 1}[want.Rows[i][0] > 0.5]
			}
			truth := i % 2 // classes 0 and 1
			if answer == truth {
				right++
			}
			class := filepath.Join(folders, fmt.Sprint(truth))
			if err := os.MkdirAll(class, 0o777); err != nil {
				t.Fatal(err)
			}
			copied := filepath.Join(class, filepath.Base(path))
			if err := os.WriteFile(copied, []byte(readFile(t, path)), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		var got evaluated
		unmarshal(t, []byte(well(t, "evaluate", "--model", filepath.Join(dir, name), "--label-type",
			"index", "--format", "json", folders)), &got)
		if got.Top1 != float64(right)/float64(len(images)) || got.Failed != 0 {
			t.Errorf("%s: got %+v, want %d of %d right", name, got, right, len(images))
		}
	}
}

// A model of several labels, with truth in one column and in a column for each class, and one of
// numbers: where the truth is Keras's own answer all is right.
func TestEvaluateSetsAndNumbers(t *testing.T) {
	dir, images, models := ownModels(t)
	names := []string{"ape", "bee", "cow", "dog"}
	one, several := "file,labels\n", "file,"+strings.Join(names, ",")+"\n"
	numbers, off := "file,x,y\n", "file,x,y\n"
	for i, path := range images {
		var labels, cells []string
		for class, p := range models["many"].Rows[i] {
			yes := p > []float32{0.3, 0.5, 0.7, 0.5}[class]
			cells = append(cells, map[bool]string{true: "1", false: "0"}[yes])
			if yes {
				labels = append(labels, names[class])
			}
		}
		place := models["numbers"].Rows[i]
		one += path + "," + strings.Join(labels, "|") + "\n"
		several += path + "," + strings.Join(cells, ",") + "\n"
		numbers += fmt.Sprintf("%s,%v,%v\n", path, place[0], place[1])
		off += fmt.Sprintf("%s,%v,%v\n", path, place[0]+2, place[1])
	}
	tables := t.TempDir()
	for name, text := range map[string]string{
		"one.csv": one, "several.csv": several, "numbers.csv": numbers, "off.csv": off,
	} {
		if err := os.WriteFile(filepath.Join(tables, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	args := func(model, table string, more ...string) []string {
		return append([]string{"evaluate", "--model", filepath.Join(dir, model), "--filename-col",
			"file", filepath.Join(tables, table)}, more...)
	}
	columns := []string{"--label-col", "ape", "--label-col", "bee", "--label-col", "cow",
		"--label-col", "dog"}
	xy := []string{"--label-col", "x", "--label-col", "y"}
	report := filepath.Join(tables, "report")
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   []string
	}{
		{"sets in one column", args("many", "one.csv", "--label-col", "labels", "--format", "json",
			"--min-subset-accuracy", "1", "--min-micro-f1", "1", "--html", report+".html", "--junit",
			report+".xml"), 0, []string{`"subset_accuracy": 1,`, `"wrong": []`}},
		{"sets in several columns", append(args("many", "several.csv"), columns...), 0,
			[]string{"subset accuracy", "1.0000  5 of 5", "Hamming loss", "0.0000"}},
		{"numbers", append(args("numbers", "numbers.csv", "--max-mae", "1e-4"), xy...), 0,
			[]string{"MAE", "RMSE", "R2", "value 1"}},
		{"numbers that are off", append(args("numbers", "off.csv", "--max-mae", "0.5"), xy...), 1,
			[]string{"MAE: expected at most 0.5, got 1"}},
		{"a folder of sets", []string{"evaluate", "--model", filepath.Join(dir, "many"), dir}, 2,
			[]string{"expected a table for a model of several labels an image"}},
		{"a folder of numbers", []string{"evaluate", "--model", filepath.Join(dir, "numbers"), dir},
			2, []string{"expected a table for a model of numbers"}},
		{"one column of two", args("numbers", "numbers.csv", "--label-col", "x"), 1,
			[]string{"expected a column of numbers for each of the model's 2 values"}},
		{"another kind's threshold", args("many", "one.csv", "--min-top1", "1"), 2,
			[]string{"--min-top1: expected a model of probabilities or binary, got multilabel"}},
		{"columns that miss a class", append(args("many", "several.csv"), columns[:6]...), 1,
			[]string{"expected a column for each of the model's 4 classes, got none for dog"}},
		{"several columns of one class", append(args("grey", "several.csv"), columns...), 2,
			[]string{"expected one column for a model that answers with one class, got 4"}},
	} {
		status, stdout, stderr := call(t, nil, c.args...)
		for _, want := range c.want {
			if status != c.status || !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s: got exit status %d and %q %q, want %d and %q", c.name, status, stdout,
					stderr, c.status, want)
			}
		}
	}
	if page := readFile(t, report+".html"); !strings.Contains(page, "Micro F1") ||
		!strings.Contains(readFile(t, report+".xml"), "subset accuracy is at least 1") {
		t.Errorf("got %s", page)
	}
}
