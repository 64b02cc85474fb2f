package score

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"kerasrun/contract"
	"kerasrun/tensor"
)

// A run ends when more images failed than it allows, keeps what it has, and goes on with a larger
// limit; complete, it ends as it ended.
func TestMaxFailures(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "out.jsonl"), source(t, images(t, 100))) // 8 are bad
	c.MaxFailures = &Limit{Percent: 2.5}
	s, err := Run(t.Context(), c)
	var many *FailuresError
	if !errors.As(err, &many) || many.Failed != 3 || many.Images != 100 ||
		!strings.Contains(err.Error(), "3 of 100 images failed: expected at most 2.5%; the last: ") {
		t.Fatalf("got %+v, %v, want it to end with the third failure", s, err)
	}
	if s.Failed != 2 {
		t.Errorf("got %+v, want the batch with the third failure not to be kept", s)
	}
	c.MaxFailures = &Limit{Images: 8}
	if s := mustRun(t, c); s.Failed != 8 || s.Answered != 92 || s.Resumed == 0 {
		t.Errorf("got %+v, want 8 of 100 to have failed", s)
	}
	if s := mustRun(t, c); !s.Already || s.Failed != 8 {
		t.Errorf("got %+v, want the finished run to say the same", s)
	}
	c.MaxFailures = &Limit{Images: 7}
	if s, err := Run(t.Context(), c); !errors.As(err, &many) || !s.Already {
		t.Errorf("got %+v, %v, want a finished run over its limit to fail", s, err)
	}
}

func TestParseLimit(t *testing.T) {
	for text, want := range map[string]Limit{
		"0": {}, "12": {Images: 12}, "0.5%": {Percent: 0.5}, "100%": {Percent: 100}, "0%": {},
	} {
		if got, err := ParseLimit(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "101%", "%", "-1%", "NaN%"} {
		if got, err := ParseLimit(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
	if l := (Limit{Percent: 0.5}); l.Exceeded(1, 200) || !l.Exceeded(2, 200) || l.Exceeded(0, 0) {
		t.Error("0.5% of 200 images are one")
	}
}

// An output without rows, in every format, where that is allowed.
func TestEmpty(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "notes.txt"), "no image")
	empty, _, err := Open(t.Context(), []string{dir, filepath.Join(dir, "*.jpg")},
		InputOptions{AllowEmpty: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"jsonl", "csv", "parquet", "npz"} {
		c := config(filepath.Join(t.TempDir(), "out."+format), empty)
		var usage *UsageError
		if _, err := Run(t.Context(), c); !errors.As(err, &usage) {
			t.Errorf("%s: got %v, want an error without AllowEmpty", format, err)
		}
		c.AllowEmpty, c.Columns.Outputs = true, []string{Probs}
		if s := mustRun(t, c); s.Images != 0 {
			t.Errorf("%s: got %+v, want no images", format, s)
		}
		_, records, err := ReadOutput(c.Output)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range records {
			t.Errorf("%s: got %+v, %v, want no rows", format, r, err)
		}
		if d, err := Diff(c.Output, c.Output, 0, nil); err != nil || !d.OK() {
			t.Errorf("%s: got %+v, %v, want no difference", format, d, err)
		}
	}
}

// The differences of two runs: flips by their classes, numbers by their outputs.
func TestDiffSaysWhat(t *testing.T) {
	dir, input := t.TempDir(), source(t, images(t, 60))
	a := config(filepath.Join(dir, "a.jsonl"), input)
	a.Columns.Outputs = []string{Probs, "features"}
	b := a
	b.Output = filepath.Join(dir, "b.parquet")
	b.Model.Model = shifted{}
	mustRun(t, a)
	mustRun(t, b)
	d, err := Diff(a.Output, b.Output, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	var flips int64
	for _, f := range d.Flips {
		flips += f.Images
		if f.From.Label != fmt.Sprintf(`a "class", %d`, f.From.Index) || f.From == f.To {
			t.Errorf("got the flip %+v", f)
		}
	}
	if flips != d.TopFlips || flips == 0 || d.OK() {
		t.Errorf("got %d flips of %+v, want them to be all", flips, d)
	}
	if d.Outputs["features"] < 0.49 || d.Outputs["features"] > 0.51 || d.Max < d.Outputs["probs"] {
		t.Errorf("got %v, want features to differ by 0.5", d.Outputs)
	}
	d.MaxFlips = Limit{Percent: 100}
	if !d.OK() {
		t.Errorf("got %+v, want it to be within the limits", d)
	}
	if w := d.Worst[0]; w.LabelA == "" || w.ScoreA == 0 || w.LabelB == "" {
		t.Errorf("got %+v, want the labels and probabilities of both", w)
	}
	if !slices.IsSortedFunc(d.Flips, func(x, y Flip) int { return int(y.Images - x.Images) }) {
		t.Errorf("got %+v, want the most frequent first", d.Flips)
	}
}

// shifted answers other than fake: the first class always, and features 0.5 larger.
type shifted struct{ fake }

func (s shifted) RunSignature(
	ctx context.Context, key string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	out, err := s.fake.RunSignature(ctx, key, in)
	if err != nil {
		return nil, err
	}
	values := out["probs"].Data.([]float32)
	probs, features := slices.Clone(values), slices.Clone(values)
	for i := range values {
		features[i] += 0.5
		if i%classes == 0 {
			probs[i] = 1
		}
	}
	shape := out["probs"].Shape
	out["probs"], _ = tensor.New(shape, probs)
	out["features"], err = tensor.New(shape, features)
	return out, err
}

// Every image has a row, which holds what the two outputs hold of it, and the page shows what
// flipped.
func TestDiffRows(t *testing.T) {
	dir, input := t.TempDir(), source(t, images(t, 60))
	a := config(filepath.Join(dir, "a.jsonl"), input)
	b := a
	b.Output = filepath.Join(dir, "b.jsonl")
	b.Model.Model = shifted{}
	mustRun(t, a)
	mustRun(t, b)
	want := map[int64]Case{}
	var page DifferencePage
	var files []string
	for _, name := range []string{"rows.csv", "rows.parquet"} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		w, err := NewCaseWriter(file, name)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Diff(a.Output, b.Output, 1, func(c Case) error {
			want[c.Index] = c
			return errors.Join(w.Write(c), page.Add(c))
		})
		if err != nil || w.Close() != nil || file.Close() != nil {
			t.Fatal(err)
		}
		files = append(files, file.Name())
		var counted, flipped int64
		for _, step := range d.Histogram {
			counted += step.Images
		}
		for _, c := range want {
			if c.Flipped {
				flipped++
			}
		}
		if counted != d.Images-5 || flipped != d.TopFlips || len(want) != 60 { // 5 failed in both
			t.Errorf("got %d in the histogram, %d flipped of %d, want those of %+v", counted, flipped,
				len(want), d)
		}
		var html strings.Builder
		if err := page.Write(&html, a.Output, b.Output, d); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(html.String(), "data:image/jpeg"); n != int(min(flipped, pageImages)) {
			t.Errorf("got %d thumbnails in the page, want %d", n, flipped)
		}
		page = DifferencePage{}
	}
	fromCSV := csvLines(t, files[0])[1:]
	fromParquet, err := parquet.ReadFile[caseRow](files[1])
	if err != nil || len(fromParquet) != 60 || len(fromCSV) != 60 {
		t.Fatalf("got %d and %d rows, %v, want 60", len(fromCSV), len(fromParquet), err)
	}
	for i, row := range fromParquet {
		c := want[int64(i)]
		if got := (Case{row.Index, row.Path, row.ClassA, row.ClassB, row.LabelA, row.LabelB, row.ScoreA,
			row.ScoreB, row.Difference, row.Flipped, row.ErrorA, row.ErrorB}); got != c {
			t.Errorf("got the row %+v, want %+v", got, c)
		}
		line := fmt.Sprintf("%d,%s,%d,%s,%v,%d,%s,%v,%v,%t,%s,%s", c.Index, c.Path, c.TopA, c.LabelA,
			c.ScoreA, c.TopB, c.LabelB, c.ScoreB, c.Difference, c.Flipped, c.ErrorA, c.ErrorB)
		if fromCSV[i] != line {
			t.Errorf("got the line %s, want %s", fromCSV[i], line)
		}
	}
	if _, err := NewCaseWriter(io.Discard, "rows.txt"); err == nil {
		t.Error("rows.txt: got no error, want one")
	}
}

// A class that left the best of one output moved at least as far as to the last of them.
func TestDiffOfClassesThatLeft(t *testing.T) {
	a := Record{Classes: []int64{3, 5}, Scores: []float32{0.9, 0.05}}
	b := Record{Classes: []int64{7, 5}, Scores: []float32{0.5, 0.25}}
	if got := classesDiffer(a, b, Schema{}); math.Abs(got-0.65) > 1e-6 {
		t.Errorf("got %v, want 0.9 - 0.25", got)
	}
	if got := classesDiffer(b, a, Schema{}); math.Abs(got-0.65) > 1e-6 {
		t.Errorf("the other way: got %v, want 0.9 - 0.25", got)
	}
	if got := classesDiffer(a, b, Schema{Kind: contract.Multilabel}); math.Abs(got-0.2) > 1e-6 {
		t.Errorf("several labels: got %v, want 0.2, of the class in both", got)
	}
}
