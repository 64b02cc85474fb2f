package evaluate_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kerasrun/evaluate"
	"kerasrun/internal/pythontest"
	"kerasrun/internal/testseed"
	"kerasrun/labels"
)

// answers are a model's rows over images of known classes.
type answers struct {
	Name   string      `json:"name"`
	K      int         `json:"k"`
	Truth  []int       `json:"truth"`
	Answer []int       `json:"answer"`
	Rows   [][]float32 `json:"rows"`
}

func (a *answers) add(t *testing.T, row []float32, truth int) {
	t.Helper()
	top, err := labels.Top(row, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Rows, a.Truth = append(a.Rows, row), append(a.Truth, truth)
	a.Answer = append(a.Answer, top[0].Index)
}

func (a *answers) metrics(t *testing.T) evaluate.Metrics {
	t.Helper()
	c := evaluate.NewCounts(len(a.Rows[0]), a.K)
	for i, row := range a.Rows {
		if err := c.Add(row, a.Answer[i], a.Truth[i]); err != nil {
			t.Fatal(err)
		}
	}
	return c.Metrics(nil)
}

// draw makes rows of so many classes. Truth is of the classes from first to last only, so that the
// others have no support. Probabilities are of a few sizes, so that many are equal, also to a bin's
// edge, and some are 0 and 1.
func draw(t *testing.T, r *rand.Rand, images, classes, first, last int) *answers {
	t.Helper()
	a := &answers{K: min(3, classes-1)}
	for range images {
		row, sum := make([]float32, classes), float32(0)
		for i := range row {
			row[i] = float32(r.IntN(6))
			sum += row[i]
		}
		if sum == 0 || r.IntN(10) == 0 {
			clear(row)
			row[r.IntN(classes)], sum = 1, 1
		}
		for i := range row {
			row[i] /= sum
		}
		truth := first + r.IntN(last-first)
		if top, err := labels.Top(row, 1, nil); err != nil {
			t.Fatal(err)
		} else if i := top[0].Index; r.IntN(3) > 0 && i >= first && i < last {
			truth = i
		}
		a.add(t, row, truth)
	}
	return a
}

// Every number is scikit-learn's, in the same run: with ties, with classes that no image has, and
// with classes that are never answered.
func TestMetricsAgainstScikitLearn(t *testing.T) {
	python := pythontest.Python(t)
	r := testseed.Rand(t)
	edges := &answers{Name: "on the edges of bins", K: 1}
	for i := range 16 {
		p := float32(float64(i) * (1.0 / 15))
		edges.add(t, []float32{p, 1 - p}, i%2)
	}
	equal := &answers{Name: "all equal", K: 2}
	for i := range 8 {
		equal.add(t, []float32{0.25, 0.25, 0.25, 0.25}, i%4)
	}
	// A threshold of 0.8 on the second of two classes: the answer is not the most probable one.
	binary := &answers{Name: "binary with a threshold", K: 1}
	for range 100 {
		p := r.Float32()
		binary.add(t, []float32{1 - p, p}, r.IntN(2))
		binary.Answer[len(binary.Answer)-1] = 0
		if p > 0.8 {
			binary.Answer[len(binary.Answer)-1] = 1
		}
	}
	one := &answers{Name: "one image", K: 2}
	one.add(t, []float32{0.5, 0.25, 0.25}, 1)
	all := []*answers{edges, equal, binary, one}
	for name, a := range map[string]*answers{
		"three classes":           draw(t, r, 200, 3, 0, 3),
		"two classes":             draw(t, r, 100, 2, 0, 2),
		"classes without support": draw(t, r, 60, 40, 5, 9),
		"a hundred classes":       draw(t, r, 1000, 100, 0, 100),
	} {
		a.Name = name
		all = append(all, a)
	}
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "answers.json")
	if err := os.WriteFile(path, input, 0o666); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd := exec.Command(python, "testdata/metrics.py", path)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var want []struct {
		evaluate.Metrics
		LogLossFloat32 float64 `json:"log_loss_float32"`
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	close := cmpopts.EquateApprox(0, 1e-12)
	for i, a := range all {
		got := a.metrics(t)
		if diff := cmp.Diff(want[i].Metrics, got, close); diff != "" {
			t.Errorf("%s (-want +got):\n%s", a.Name, diff)
		}
		// log_loss adds float32 up in float32
		if got, want := got.Calibration.LogLoss,
			want[i].LogLossFloat32; !(math.Abs(got-want) <= 1e-5*max(1, want)) {
			t.Errorf("%s: log loss: got %v, want %v", a.Name, got, want)
		}
	}
}

func TestAddErrors(t *testing.T) {
	c := evaluate.NewCounts(2, 1)
	for _, test := range []struct {
		name          string
		row           []float32
		answer, truth int
		want          string
	}{
		{"length", []float32{1}, 0, 0, "expected 2 probabilities, one a class, got 1"},
		{"truth", []float32{0, 1}, 1, 2, "expected a class from 0 to 1, got 2"},
		{"answer", []float32{0, 1}, -1, 1, "expected a class from 0 to 1, got -1"},
	} {
		err := c.Add(test.row, test.answer, test.truth)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
	if m := c.Metrics(nil); m.Images != 0 || m.Top1 != 0 || m.Calibration.LogLoss != 0 {
		t.Errorf("what was refused was counted: %+v", m)
	}
}

func TestConfused(t *testing.T) {
	m := evaluate.Metrics{Confusion: []evaluate.Confusion{
		{Truth: 0, Answer: 0, Images: 9}, {Truth: 0, Answer: 1, Images: 2},
		{Truth: 1, Answer: 0, Images: 5}, {Truth: 1, Answer: 2, Images: 2},
	}}
	want := []evaluate.Confusion{
		{Truth: 1, Answer: 0, Images: 5}, {Truth: 0, Answer: 1, Images: 2},
	}
	if diff := cmp.Diff(want, m.Confused(2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
