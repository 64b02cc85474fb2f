package evaluate

import (
	"fmt"
	"html/template"
	"io"

	"kerasrun/internal/page"
	"kerasrun/score"
)

// answersPage is what the page of an evaluation of sets or of numbers shows.
type answersPage struct {
	Outcome
	Counted, Absent       string
	Checks                []Check
	Cards                 []pageLine
	Images                []answersImage
	WrongTitle, WrongNote string
	TableTitle, TableNote string
	Columns               []string
	Rows                  []answersRow
	FailuresNote          string
}

type pageLine struct{ Name, Text string }

type answersRow struct {
	Name  string
	Cells []string
}

// answersImage is an image that went wrong.
type answersImage struct {
	Path      string
	Thumbnail template.URL
	Problem   string // why there is no thumbnail
	Lines     []pageLine
}

func newAnswersImage(path, file string, lines ...pageLine) answersImage {
	image := answersImage{Path: path, Lines: lines}
	image.Thumbnail, image.Problem = page.Thumbnail(score.File(file).Read)
	return image
}

// WritePage writes the report as one HTML file, as [Report.WritePage] does.
func (r *MultilabelReport) WritePage(w io.Writer, checks []Check) error {
	shown := r.Classes[:min(pageClasses, len(r.Classes))]
	p := answersPage{
		Outcome: r.Outcome, Counted: r.counted(r.Images), Absent: absent(r.plainClasses()),
		Checks: checks, FailuresNote: page.ShownOf(len(r.Failures), int(r.Failed)),
		Cards: []pageLine{
			{"Subset accuracy", decimals(r.SubsetAccuracy)}, {"Micro F1", decimals(r.Micro.F1)},
			{"Macro F1", decimals(r.Macro.F1)}, {"Hamming loss", decimals(r.HammingLoss)},
			{"Macro average precision", decimals(r.MacroAveragePrecision)},
			{"Micro average precision", decimals(r.MicroAveragePrecision)},
		},
		WrongTitle: "Wrong, the most confident first",
		WrongNote:  page.ShownOf(len(r.Wrong), r.wrongImages()),
		TableTitle: "Classes", TableNote: page.ShownOf(len(shown), len(r.Classes)),
		Columns: []string{"class", "precision", "recall", "F1", "average precision", "images",
			"answers"},
	}
	for _, c := range shown {
		p.Rows = append(p.Rows, answersRow{c.String(), []string{decimals(c.Precision),
			decimals(c.Recall), decimals(c.F1), decimals(c.AveragePrecision), fmt.Sprint(c.Support),
			fmt.Sprint(c.Answered)}})
	}
	for _, mean := range r.means() {
		p.Rows = append(p.Rows, answersRow{mean.Name, []string{decimals(mean.Precision),
			decimals(mean.Recall), decimals(mean.F1), "", "", ""}})
	}
	for _, one := range r.Wrong {
		p.Images = append(p.Images, newAnswersImage(one.Path, one.file,
			pageLine{"missed", list(one.Missed)}, pageLine{"too many", list(one.Extra)},
			pageLine{"difference", decimals(float64(one.Difference))}))
	}
	return reportPage.ExecuteTemplate(w, "answers", p)
}

// WritePage writes the report as one HTML file, as [Report.WritePage] does.
func (r *RegressionReport) WritePage(w io.Writer, checks []Check) error {
	number := func(x float64) string { return fmt.Sprintf("%.6g", x) }
	shown := r.Values[:min(pageClasses, len(r.Values))]
	p := answersPage{
		Outcome: r.Outcome, Counted: r.counted(r.Images), Checks: checks,
		FailuresNote: page.ShownOf(len(r.Failures), int(r.Failed)),
		Cards:        []pageLine{{"MAE", number(r.MAE)}, {"RMSE", number(r.RMSE)}, {"R2", r.r2()}},
		WrongTitle:   "The largest differences",
		TableTitle:   "Values", TableNote: page.ShownOf(len(shown), len(r.Values)),
		Columns: []string{"value", "MAE", "RMSE", "R2"},
	}
	for _, v := range shown {
		p.Rows = append(p.Rows,
			answersRow{v.called(), []string{number(v.MAE), number(v.RMSE), v.r2()}})
	}
	for _, one := range r.Wrong {
		p.Images = append(p.Images, newAnswersImage(one.Path, one.file,
			pageLine{"answer", one.answer()}, pageLine{"truth", one.truth()},
			pageLine{"difference", number(one.Difference)}))
	}
	return reportPage.ExecuteTemplate(w, "answers", p)
}
