package score

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"

	"kerasrun/internal/page"
)

//go:embed diff.html
var diffText string

var diffPage = page.Parse(diffText)

// What the page shows at most; the rows have every image.
const (
	pageFlips  = 50
	pageImages = 60
)

// DifferencePage is a page of two outputs' difference, with the images that flipped. It is made
// while they are compared: Add is for [Diff] to call.
type DifferencePage struct {
	flipped []Case // those that moved most
}

// Add takes an image in.
func (p *DifferencePage) Add(c Case) error {
	if c.Flipped {
		p.flipped = append(p.flipped, c)
		if len(p.flipped) == 2*pageImages {
			p.sort()
		}
	}
	return nil
}

func (p *DifferencePage) sort() {
	slices.SortStableFunc(p.flipped,
		func(a, b Case) int { return cmp.Compare(b.Difference, a.Difference) })
	p.flipped = p.flipped[:min(len(p.flipped), pageImages)]
}

// Write writes the difference of the outputs a and b as one HTML file that needs no other and no
// network. It has a thumbnail of each flipped image, for which these files are read; members of
// archives have none.
func (p *DifferencePage) Write(w io.Writer, a, b string, d Difference) error {
	p.sort()
	data := diffData{Difference: d, A: a, B: b, Title: a + " and " + b}
	for _, flip := range d.Flips[:min(len(d.Flips), pageFlips)] {
		data.Named = append(data.Named, diffFlip{className(flip.From), className(flip.To), flip.Images})
	}
	data.NamedNote = page.ShownOf(len(data.Named), len(d.Flips))
	var most int64 = 1
	for _, step := range d.Histogram {
		most = max(most, step.Images)
	}
	for i, step := range d.Histogram {
		name := fmt.Sprintf("to %g", step.UpTo)
		switch {
		case step.UpTo == 0:
			name = "none"
		case step.UpTo == math.MaxFloat64:
			name = fmt.Sprintf("over %g, or NaN", d.Histogram[i-1].UpTo)
		}
		data.Steps = append(data.Steps, pageCount{name, step.Images,
			100 * float64(step.Images) / float64(most)})
	}
	for _, c := range p.flipped {
		image := diffImage{Case: c, From: className(Class{c.TopA, c.LabelA}),
			To: className(Class{c.TopB, c.LabelB})}
		image.Thumbnail, image.Problem = page.Thumbnail(File(UnescapePath(c.Path)).Read)
		data.Images = append(data.Images, image)
	}
	data.ImagesNote = page.ShownOf(len(data.Images), int(d.TopFlips))
	return diffPage.Execute(w, data)
}

// diffData is what the page's template shows.
type diffData struct {
	Difference
	Title, A, B string
	Named       []diffFlip
	NamedNote   string
	Steps       []pageCount
	Images      []diffImage
	ImagesNote  string
}

type diffFlip struct {
	From, To string
	Images   int64
}

type diffImage struct {
	Case
	From, To  string
	Thumbnail template.URL
	Problem   string // why there is no thumbnail
}
