package evaluate_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"kerasrun/evaluate"
	"kerasrun/internal/pythontest"
	"kerasrun/internal/testseed"
)

type setsCase struct {
	Rows   [][]float32 `json:"rows"`
	Answer [][]bool    `json:"answer"`
	Truth  [][]bool    `json:"truth"`
}

type numbersCase struct {
	Got   [][]float32 `json:"got"`
	Truth [][]float64 `json:"truth"`
}

// drawSets makes rows of few different probabilities, so that many are equal. Of the last class no
// image has the label, and the first is never answered.
func drawSets(r *rand.Rand, images, classes int) (c setsCase) {
	for range images {
		row, answer, truth := make([]float32, classes), make([]bool, classes), make([]bool, classes)
		for i := range row {
			row[i] = float32(r.IntN(21)) / 20
			answer[i] = i > 0 && row[i] > 0.4
			truth[i] = i < classes-1 && (r.IntN(3) == 0 || row[i] > 0.8)
		}
		c.Rows, c.Answer, c.Truth = append(c.Rows, row), append(c.Answer, answer), append(c.Truth, truth)
	}
	return c
}

func drawNumbers(r *rand.Rand, images, values int) (c numbersCase) {
	for range images {
		got, truth := make([]float32, values), make([]float64, values)
		for i := range got {
			truth[i] = 1000 + 50*r.NormFloat64()
			got[i] = float32(truth[i] + 10*r.NormFloat64())
		}
		c.Got, c.Truth = append(c.Got, got), append(c.Truth, truth)
	}
	return c
}

// Every number of sets of labels and of numbers is scikit-learn's, in the same run.
func TestAnswersAgainstScikitLearn(t *testing.T) {
	python := pythontest.Python(t)
	r := testseed.Rand(t)
	var cases struct {
		Sets    []setsCase    `json:"sets"`
		Numbers []numbersCase `json:"numbers"`
	}
	for _, size := range [][2]int{{1, 3}, {2, 2}, {200, 5}, {1000, 40}} {
		cases.Sets = append(cases.Sets, drawSets(r, size[0], size[1]))
		cases.Numbers = append(cases.Numbers, drawNumbers(r, size[0], size[1]-1))
	}
	cases.Numbers = append(cases.Numbers,
		numbersCase{[][]float32{{1}, {1}}, [][]float64{{1}, {1}}}, // all right, all one
		numbersCase{[][]float32{{1}, {2}}, [][]float64{{3}, {3}}}) // all one
	text, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cases.json")
	write(t, file, text)
	cmd := exec.Command(python, "testdata/answers.py", file)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Sets    []evaluate.MultilabelMetrics
		Numbers []evaluate.RegressionMetrics
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	near := cmpopts.EquateApprox(1e-9, 1e-12)
	for i, c := range cases.Sets {
		counts := evaluate.NewMultilabelCounts(len(c.Rows[0]))
		for k, row := range c.Rows {
			if err := counts.Add(row, c.Answer[k], c.Truth[k]); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want.Sets[i], counts.Metrics(nil), near); diff != "" {
			t.Errorf("%d images: (-want +got):\n%s", len(c.Rows), diff)
		}
	}
	for i, c := range cases.Numbers {
		counts := evaluate.NewRegressionCounts(len(c.Truth[0]))
		for k, got := range c.Got {
			if err := counts.Add(got, c.Truth[k]); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want.Numbers[i], counts.Metrics(nil), near); diff != "" {
			t.Errorf("%d images: (-want +got):\n%s", len(c.Got), diff)
		}
	}
}

// What is wrong in a table of sets or of numbers is said before any image is read.
func TestAnswersTables(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		text    string
		columns []string
		numbers bool
		want    string
	}{
		{"file,a\nx.jpg,red|green\ny.jpg,\n", []string{"a"}, false, ""},
		{"file,a\nx.jpg,red||green\n", []string{"a"}, false,
			`column "a": expected labels separated by |, as cat|dog, got "red||green"`},
		{"file,a\nx.jpg,red|grey\n", []string{"a"}, false, "several labels of an image are separated by |"},
		{"file,a\nx.jpg,\n", []string{"a"}, false, "got none in every row"},
		{"file,red,green,blue\nx.jpg,1,0,True\n", []string{"red", "green", "blue"}, false, ""},
		{"file,red,green,blue\nx.jpg,1,0,2\n", []string{"red", "green", "blue"}, false,
			`column "blue": expected 0 or 1, or false or true, got "2"`},
		{"file,red,green\nx.jpg,1,0\n", []string{"red", "green"}, false, "got none for blue"},
		{"file,a\nx.jpg,1.5\n", []string{"a"}, true, ""},
		{"file,a\nx.jpg,NaN\n", []string{"a"}, true, `row 1: expected a finite number in the column "a"`},
		{"file,a\nx.jpg,\n", []string{"a"}, true, `expected a finite number in the column "a", got ""`},
	} {
		table := filepath.Join(dir, "table.csv")
		write(t, table, []byte(c.text))
		open := evaluate.Sets
		if c.numbers {
			open = evaluate.Numbers
		}
		d, err := open(table, 0, "file", c.columns...)
		if err == nil && !c.numbers {
			_, err = evaluate.RunMultilabel(t.Context(), newClassifier(t, fakeModel{}),
				fakeModel{}.Labels(), d, evaluate.Options{})
		}
		if c.want == "" {
			c.want = "expected an answer to some image, got none" // there is no x.jpg
			if c.numbers && err == nil {
				continue
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.text, err, c.want)
		}
	}
}

// The numbers of a Parquet table may be floats, as pandas writes them.
func TestNumbersOfParquet(t *testing.T) {
	type row struct {
		File string  `parquet:"file"`
		Age  float64 `parquet:"age"`
	}
	table := filepath.Join(t.TempDir(), "table.parquet")
	if err := parquet.WriteFile(table, []row{{"a.jpg", 1.5}, {"b.jpg", 2}}); err != nil {
		t.Fatal(err)
	}
	d, err := evaluate.Numbers(table, 0, "file", "age")
	if err != nil || d.Images() != 2 {
		t.Fatalf("got %v, %v, want two images", d, err)
	}
	if _, err := evaluate.Table(table, 0, "file", "age"); err == nil {
		t.Error("as classes: got no error, want one")
	}
}
