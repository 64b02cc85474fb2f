package score

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	empty, _, err := Open([]string{dir, filepath.Join(dir, "*.jpg")}, InputOptions{AllowEmpty: true})
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
		if d, err := Diff(c.Output, c.Output, 0); err != nil || !d.OK() {
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
	d, err := Diff(a.Output, b.Output, 1)
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
