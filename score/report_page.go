package score

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"kerasrun/internal/page"
)

//go:embed report.html
var reportText string

var reportPage = page.Parse(reportText)

// pageClasses is how many classes the page names; JSON has all of them.
const pageClasses = 50

// WritePage writes the report as one HTML file that needs no other and no network.
func (r *Report) WritePage(w io.Writer) error {
	p := pageData{Report: r, Title: "Scores: " + r.Output}
	p.Cards = []pageLine{
		{"Images", fmt.Sprint(r.Images)}, {"Scored", fmt.Sprint(r.Answered)},
		{"Failed", fmt.Sprint(r.Failed)},
	}
	if rate := r.Rate(); rate > 0 {
		p.Cards = append(p.Cards, pageLine{"Images a second", fmt.Sprintf("%.1f", rate)},
			pageLine{"Time", readable(r.Seconds)})
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Skipped)) {
		p.Passed = append(p.Passed, pageCount{Name: reason, Images: r.Skipped[reason]})
	}
	for _, c := range r.Classes[:min(len(r.Classes), pageClasses)] {
		p.Counted = append(p.Counted, pageCount{className(c.Class), c.Images,
			100 * float64(c.Images) / float64(max(r.Classes[0].Images, 1))})
	}
	p.CountedNote = page.ShownOf(len(p.Counted), len(r.Classes))
	if len(r.Confidence) > 0 {
		most := max(slices.Max(r.Confidence), 1)
		width := 100 / float64(len(r.Confidence))
		for i, n := range r.Confidence {
			from := float64(i) / float64(len(r.Confidence))
			p.Bars = append(p.Bars, pageBar{
				From: from, To: from + 1/float64(len(r.Confidence)), Images: n,
				X: float64(i) * width, Width: width, Height: 100 * float64(n) / float64(most),
			})
		}
		p.Most = most
	}
	p.Facts = []pageLine{
		{"output", r.Output}, {"shard", r.Shard}, {"model", r.Model},
		{"model's manifest, SHA-256", r.ModelID}, {"images are", r.Preprocessing},
		{"machine", r.Machine}, {"started", r.Started.Format(time.RFC3339)},
		{"finished", r.Finished.Format(time.RFC3339)},
	}
	if r.Resumed > 0 {
		p.Facts = append(p.Facts, pageLine{"resumed after", fmt.Sprintf("%d images; the rate and "+
			"the slowest images are of the rest", r.Resumed)})
	}
	if r.LeftOut > 0 {
		p.Facts = append(p.Facts, pageLine{"left out of the output", fmt.Sprint(r.LeftOut)})
	}
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		p.Facts = append(p.Facts, pageLine{name, r.Versions[name]})
	}
	return reportPage.Execute(w, p)
}

// pageData is what the page's template shows.
type pageData struct {
	*Report
	Title       string
	Cards       []pageLine
	Passed      []pageCount
	Counted     []pageCount // of the classes
	CountedNote string
	Bars        []pageBar // of the confidence, in a square of 0 to 100 whose y grows upwards
	Most        int64     // images of the highest bar
	Facts       []pageLine
}

type pageLine struct{ Name, Text string }

type pageCount struct {
	Name   string
	Images int64
	Width  float64 // percent of the most frequent
}

type pageBar struct {
	From, To         float64
	Images           int64
	X, Width, Height float64
}

// className is how people read a class.
func className(c Class) string {
	switch {
	case c.Index < 0:
		return "none"
	case c.Label == "":
		return fmt.Sprintf("class %d", c.Index)
	}
	return c.Label
}
