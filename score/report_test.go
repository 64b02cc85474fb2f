package score

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The numbers of a report add up: those of the run, of its reasons, classes and steps, and those
// that another reader of the output counts.
func TestReportAddsUp(t *testing.T) {
	dir := t.TempDir()
	c := config(filepath.Join(dir, "out.jsonl"), source(t, images(t, 100)))
	c.Failures = filepath.Join(dir, "failures.csv")
	c.Versions, c.Machine, c.Model.Directory = map[string]string{"go": "1"}, "a machine", "models/m"
	s := mustRun(t, c)
	read, err := ReadReport(s.Output)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(jsonOf(t, read), jsonOf(t, s.Report)) {
		t.Errorf("got %s in the file, want %s", jsonOf(t, read), jsonOf(t, s.Report))
	}
	classes, failed := map[int64]int64{}, []string{}
	var sure int64
	_, records, err := ReadOutput(s.Output)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range records {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Error != "":
			failed = append(failed, fmt.Sprintf("%d,%s,%s", r.Index, r.Path, r.Error))
			continue
		case r.Scores[0] >= 0.95:
			sure++
		}
		classes[r.Classes[0]]++
	}
	var reasons, answered int64
	for _, reason := range read.Reasons {
		reasons += reason.Images
		if n := min(int(reason.Images), reasonExamples); len(reason.Examples) != n {
			t.Errorf("%s: got %d examples, want %d", reason.Reason, len(reason.Examples), n)
		}
	}
	for _, class := range read.Classes {
		answered += class.Images
		if class.Images != classes[class.Index] {
			t.Errorf("class %d: got %d images, want %d", class.Index, class.Images, classes[class.Index])
		}
	}
	var counted int64
	for _, n := range read.Confidence {
		counted += n
	}
	if len(read.Confidence) != 20 || read.Confidence[19] != sure || counted != answered {
		t.Errorf("got %v, want %d images in 20 steps, %d in the last", read.Confidence, answered, sure)
	}
	if read.Images != 100 || read.Failed != 8 || reasons != 8 || len(failed) != 8 ||
		read.Answered != answered || answered != 92 {
		t.Errorf("got %s, %d in reasons, %d in classes, want 92 scored and 8 failed", read.Summary(),
			reasons, answered)
	}
	if len(read.Slowest) != slowestImages || !slices.IsSortedFunc(read.Slowest,
		func(a, b Slow) int { return int((b.Seconds - a.Seconds) * 1e9) }) {
		t.Errorf("got %v, want the %d slowest", read.Slowest, slowestImages)
	}
	if got := csvLines(t, c.Failures); !slices.Equal(got[1:], failed) {
		t.Errorf("got %q, want %q", got, failed)
	}
	// of a complete output too
	c.Failures = filepath.Join(dir, "later.csv")
	if s := mustRun(t, c); !s.Already || s.Report == nil || s.Report.Failed != 8 {
		t.Errorf("got %+v, want the report of the complete output", s)
	}
	if got := csvLines(t, c.Failures); !slices.Equal(got[1:], failed) {
		t.Errorf("later: got %q, want %q", got, failed)
	}
}

// A resumed run's report counts every image; one with --on-error skip says what was left out.
func TestReportOfAllProcesses(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "out.csv"), source(t, images(t, 100)))
	c.OnError, c.MaxFailures = SkipErrors, &Limit{Images: 3}
	if _, err := Run(t.Context(), c); err == nil {
		t.Fatal("got no error, want the fourth failure to end the run")
	}
	c.MaxFailures = nil
	r := mustRun(t, c).Report
	if r.Resumed == 0 || r.Images != 100 || r.Failed != 8 || r.LeftOut != 8 ||
		r.Reasons[0].Images != 8 {
		t.Errorf("got %+v, want all 8 failures of both processes", r)
	}
	c.Failures = filepath.Join(t.TempDir(), "failures.csv")
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "left out") {
		t.Errorf("got %v, want an error that the failures are no longer there", err)
	}
}

// The report of merged shards counts what that of one run counts.
func TestReportOfShards(t *testing.T) {
	dir, input := t.TempDir(), source(t, images(t, 100))
	whole := mustRun(t, config(filepath.Join(dir, "whole.jsonl"), input)).Report
	var shards []string
	for i := range 3 {
		c := config(filepath.Join(dir, "out.jsonl"), input)
		c.Shard = Shard{i, 3}
		shards = append(shards, mustRun(t, c).Output)
	}
	merged := filepath.Join(dir, "merged.jsonl")
	if _, err := Merge(merged, shards, nil); err != nil {
		t.Fatal(err)
	}
	r, err := ReadReport(merged)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Classes, whole.Classes) || !slices.Equal(r.Confidence, whole.Confidence) ||
		r.Images != whole.Images || r.Failed != whole.Failed || r.Shard != whole.Shard {
		t.Errorf("got %s, want %s", jsonOf(t, r), jsonOf(t, whole))
	}
	if len(r.Reasons) != len(whole.Reasons) || r.Reasons[0].Images != whole.Reasons[0].Images {
		t.Errorf("got %v, want %v", r.Reasons, whole.Reasons)
	}
}

// What a file's name or an error holds is text in the page, and the page asks for nothing.
func TestReportPage(t *testing.T) {
	r := &Report{Output: "out.csv", Images: 2, Failed: 1, Answered: 1, Seconds: 0.5,
		Reasons: []Reason{{"no <b>image</b>", 1, []Failure{{"<script>.jpg", "no <b>image</b>"}}}},
		Skipped: map[string]int64{".txt": 3},
		Classes: []ClassCount{{Class{4, "<i>cat"}, 1}}, Confidence: make([]int64, confidenceSteps),
		Slowest: []Slow{{"a&b.jpg", 0.25}}}
	var out strings.Builder
	if err := r.WritePage(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{"&lt;script&gt;.jpg", "no &lt;b&gt;image", "&lt;i&gt;cat", "a&amp;b.jpg",
		"250.0", "2 images, 1 scored, 1 failed, skipped 3 (3 .txt), in 0.5 s (4.0/s)."} {
		if !strings.Contains(page, want) {
			t.Errorf("got a page without %q", want)
		}
	}
	for _, none := range []string{"<script>", "<i>", "http://", "https://", "ZgotmplZ"} {
		if strings.Contains(page, none) {
			t.Errorf("got a page with %q", none)
		}
	}
}

// Errors are of one kind where they differ in numbers and the image's name only.
func TestReasons(t *testing.T) {
	r := newReporter(Schema{})
	for i := range 3 * maxReasonKinds {
		path := fmt.Sprintf("dir/%d.jpg", i)
		r.fail(Failure{path, fmt.Sprintf("open %s: %d bytes are too many", path, i)})
	}
	for i := range 2 * maxReasonKinds {
		r.fail(Failure{"a.jpg", strings.Repeat("x", i)})
	}
	got := r.done().Reasons
	if got[0].Reason != "open …: N bytes are too many" || got[0].Images != 3*maxReasonKinds {
		t.Errorf("got %+v, want one kind of %d", got[0], 3*maxReasonKinds)
	}
	if got[1].Reason != otherReasons || got[1].Images != maxReasonKinds+1 ||
		len(got) != maxReasonKinds+1 {
		t.Errorf("got %d kinds, %+v, want the later ones as one", len(got), got[1])
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// csvLines returns the lines of a file.
func csvLines(t *testing.T, path string) (lines []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		lines = append(lines, strings.Join(row, ","))
	}
	return lines
}
