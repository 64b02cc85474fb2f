package evaluate

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"kerasrun/internal/page"
	"kerasrun/score"
)

//go:embed page.html
var pageText string

var reportPage = page.Parse(pageText)

// How much of a report its page shows; JSON has all of it.
const (
	pageMatrix   = 30 // classes a side of the matrix
	pageConfused = 30
	pageClasses  = 1000
)

// WritePage writes the report as one HTML file that needs no other and no network. It has a
// thumbnail of each image of Wrong, for which these are read once more.
func (r *Report) WritePage(w io.Writer, checks []Check) error {
	p := pageData{Report: r, Absent: absent(r.Classes), Counted: r.counted(r.Images),
		Checks: checks}
	p.Cards = []pageLine{
		{"Top-1", decimals(r.Top1)}, {fmt.Sprintf("Top-%d", r.K), decimals(r.TopK)},
		{"Macro precision", decimals(r.Macro.Precision)},
		{"Macro recall", decimals(r.Macro.Recall)}, {"Macro F1", decimals(r.Macro.F1)},
		{"Calibration error", decimals(r.Calibration.ExpectedError)},
		{"Log loss", decimals(r.Calibration.LogLoss)},
		{"Brier score", decimals(r.Calibration.Brier)},
	}
	p.WrongNote = page.ShownOf(len(r.Wrong), r.wrongImages())
	for _, wrong := range r.Wrong {
		image := pageImage{Wrong: wrong}
		image.Thumbnail, image.Problem = page.Thumbnail(score.File(wrong.file).Read)
		p.Images = append(p.Images, image)
	}
	p.Matrix, p.MatrixNote = r.matrix()
	all := r.Confused(len(r.Confusion))
	for _, c := range all[:min(pageConfused, len(all))] {
		p.Confused = append(p.Confused, pageConfusion{
			r.Classes[c.Truth].ClassName, r.Classes[c.Answer].ClassName, c.Images})
	}
	p.ConfusedNote = page.ShownOf(len(p.Confused), len(all))
	p.Bars = bars(r.Calibration.Bins)
	p.PerClass, p.PerClassNote = r.lowest(pageClasses)
	p.FailuresNote = page.ShownOf(len(r.Failures), int(r.Failed))
	return reportPage.ExecuteTemplate(w, "classes", p)
}

// decimals is a metric as pages show it.
func decimals(x float64) string { return fmt.Sprintf("%.4f", x) }

// pageData is what the page's template shows.
type pageData struct {
	*Report
	Counted, Absent string
	Checks          []Check
	Cards           []pageLine
	Images          []pageImage
	WrongNote       string
	Matrix          *pageMatrixData // nil where there are too many classes for one
	MatrixNote      string
	Confused        []pageConfusion
	ConfusedNote    string
	Bars            []pageBar
	PerClass        []Class
	PerClassNote    string
	FailuresNote    string
}

type pageImage struct {
	Wrong
	Thumbnail template.URL
	Problem   string // why there is no thumbnail
}

type pageConfusion struct {
	Truth, Answer ClassName
	Images        int64
}

// pageMatrixData is the confusion matrix of some classes: a row a truth, a column an answer.
type pageMatrixData struct {
	Classes []ClassName
	Rows    []pageRow
}

type pageRow struct {
	Truth ClassName
	Cells []pageCell
	Other int64 // images answered with a class that has no column
}

type pageCell struct {
	Images int64
	Heat   int  // percent of the truth's images
	Right  bool // on the diagonal
}

// matrix is the matrix of the classes that occur, or, where they are too many, of those with the
// most mistakes.
func (r *Report) matrix() (*pageMatrixData, string) {
	classes := r.occurring()
	note := ""
	if all := len(classes); all > pageMatrix {
		// images of the class, or answered with it, that are wrong
		mistakes := func(c Class) int64 { return c.Support + c.Answered - 2*c.Correct }
		slices.SortStableFunc(classes, func(a, b Class) int {
			return cmp.Compare(mistakes(b), mistakes(a))
		})
		classes = classes[:pageMatrix]
		slices.SortFunc(classes, func(a, b Class) int { return cmp.Compare(a.Index, b.Index) })
		note = fmt.Sprintf(", of the %d classes with the most mistakes of %d", pageMatrix, all)
	}
	column := map[int]int{} // of a class
	m := &pageMatrixData{}
	for i, c := range classes {
		column[c.Index] = i
		m.Classes = append(m.Classes, c.ClassName)
		m.Rows = append(m.Rows, pageRow{Truth: c.ClassName, Cells: make([]pageCell, len(classes))})
		m.Rows[i].Cells[i].Right = true
	}
	for _, c := range r.Confusion {
		row, ok := column[c.Truth]
		if !ok {
			continue
		}
		if k, ok := column[c.Answer]; ok {
			cell := &m.Rows[row].Cells[k]
			cell.Images = c.Images
			cell.Heat = int(100 * ratio(c.Images, r.Classes[c.Truth].Support))
		} else {
			m.Rows[row].Other += c.Images
		}
	}
	return m, note
}

// pageBar is a bar of the reliability diagram, in a square of 0 to 100 whose y grows upwards.
type pageBar struct {
	Bin
	X, Width, Height float64
	DotX             float64 // the mean confidence
	Opacity          float64 // more where there are more images
}

func bars(bins []Bin) (bars []pageBar) {
	var most int64
	for _, b := range bins {
		most = max(most, b.Images)
	}
	for _, b := range bins {
		if b.Images > 0 {
			bars = append(bars, pageBar{
				Bin: b, X: 100 * b.From, Width: 100 * (b.To - b.From), Height: 100 * b.Accuracy,
				DotX: 100 * b.Confidence, Opacity: 0.3 + 0.7*ratio(b.Images, most),
			})
		}
	}
	return bars
}
