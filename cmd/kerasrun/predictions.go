package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/tensor"
)

const predictionsHelp = `--format text is for people. The others have rows, all with the same columns.
A model of classes has a row for each prediction of each image:

    path         string   as given, or as found below a directory; "-" for standard input;
                          a byte that is not UTF-8 is \xNN
    rank         integer  1 is the best
    index        integer  of the class in the model's output
    id           string   of the class; WordNet's where the classes are ImageNet's
    name         string   of the class
    probability  number   0 to 1, with as many digits as tell a float32 from every other

Where one sigmoid tells two classes apart, these are both: first the one that its threshold decides
for. Where there is a sigmoid for each class, they are the classes over their thresholds; an image
without one has a row of its path alone. Logits are shown as probabilities.

A regression or an embedding has a row for each value: path, index, id, name, value. A map has a row
for each class that has pixels: path, index, id, name, pixels, share (0 to 1).

csv begins with a line of these names, jsonl has an object a line, and json is an array of such
objects. Those of values are an object an image: path, shape, values, and names where they have any.`

// A predictionWriter prints the answers of image after image, all of one kind, and at the end what
// its format ends with.
type predictionWriter interface {
	write(path string, answer classify.Answer) error
	close() error
}

// newPredictionWriter returns the writer of a format for the answers of an output.
func newPredictionWriter(w io.Writer, format string, output contract.Output) predictionWriter {
	switch format {
	case "csv":
		return &csvPredictions{w: csv.NewWriter(w), columns: columnsOf(output.Kind)}
	case "json":
		return &jsonPredictions{w: bufio.NewWriter(w)}
	case "jsonl":
		return &jsonlPredictions{bufio.NewWriter(w)}
	default:
		return &textPredictions{bufio.NewWriter(w)}
	}
}

// columnsOf are the columns of csv for a kind of output.
func columnsOf(kind string) []string {
	switch kind {
	case contract.Map:
		return []string{"path", "index", "id", "name", "pixels", "share"}
	case contract.Regression, contract.Embedding, contract.Tensor:
		return []string{"path", "index", "id", "name", "value"}
	}
	return []string{"path", "rank", "index", "id", "name", "probability"}
}

type textPredictions struct{ w *bufio.Writer }

func (t *textPredictions) write(path string, a classify.Answer) error {
	fmt.Fprintln(t.w, printableLine(path))
	var err error
	switch {
	case a.Map != nil:
		t.writeMap(a.Map)
	case a.Values.Data != nil:
		err = t.writeValues(a)
	default:
		t.writeClasses(a.Predictions)
	}
	return cmp.Or(err, t.w.Flush())
}

func (t *textPredictions) writeClasses(predictions []labels.Prediction) {
	width := 0 // of the ids, where they say more than the names
	for _, p := range predictions {
		if p.ID != p.Name {
			width = max(width, utf8.RuneCountInString(p.ID))
		}
	}
	for i, p := range predictions {
		fmt.Fprintf(t.w, "%4d  %7.3f %%  ", i+1, 100*p.Probability)
		if width > 0 {
			fmt.Fprintf(t.w, "%-*s  ", width, printableLine(p.ID))
		}
		name := p.Name
		if p.ID == "" && name == "" {
			name = fmt.Sprintf("class %d", p.Index)
		}
		fmt.Fprintln(t.w, printableLine(name))
	}
	if len(predictions) == 0 {
		fmt.Fprintln(t.w, "      no class is over its threshold")
	}
}

// shownValues are how many values of an answer text shows.
const shownValues = 8

// writeValues prints each value on a line, with its name; of an embedding its length and the first.
func (t *textPredictions) writeValues(a classify.Answer) error {
	values, err := classify.Numbers(a.Values)
	if err != nil {
		return err
	}
	shown := values[:min(len(values), shownValues)]
	if a.Kind == contract.Embedding || len(values) > shownValues && a.Labels == nil {
		fmt.Fprintf(t.w, "      %d values:", len(values))
		for _, x := range shown {
			fmt.Fprintf(t.w, " %s", x)
		}
		if len(shown) < len(values) {
			fmt.Fprint(t.w, " ...")
		}
		fmt.Fprintln(t.w)
		return nil
	}
	for i, x := range values {
		fmt.Fprintf(t.w, "      %s", x)
		if a.Labels != nil {
			fmt.Fprintf(t.w, "  %s", printableLine(a.Labels[i].Name))
		}
		fmt.Fprintln(t.w)
	}
	return nil
}

// writeMap prints the share of each class, the largest first.
func (t *textPredictions) writeMap(m *classify.Map) {
	shares := mapShares("", m)
	slices.SortStableFunc(shares, func(a, b mapRow) int { return b.Pixels - a.Pixels })
	for _, s := range shares {
		fmt.Fprintf(t.w, "      %7.3f %%  %s\n", 100*s.Share,
			cmp.Or(printableLine(s.Name), fmt.Sprintf("class %d", s.Index)))
	}
}

func (t *textPredictions) close() error { return t.w.Flush() }

type csvPredictions struct {
	w       *csv.Writer
	columns []string
	started bool
}

func (c *csvPredictions) start() {
	if !c.started {
		c.w.Write(c.columns) // Flush has its error
		c.started = true
	}
}

func (c *csvPredictions) write(path string, a classify.Answer) error {
	c.start()
	objects, err := objectsOf(path, a)
	if err != nil {
		return err
	}
	for _, object := range objects {
		for _, row := range object.cells(c.columns) {
			c.w.Write(row)
		}
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *csvPredictions) close() error {
	c.start()
	c.w.Flush()
	return c.w.Error()
}

// jsonObject is one of the formats json and jsonl, and the rows of csv that say the same.
type jsonObject interface {
	cells(columns []string) [][]string
}

// objectsOf returns what an image's answer is in json.
func objectsOf(path string, a classify.Answer) (objects []jsonObject, err error) {
	switch {
	case a.Map != nil:
		for _, row := range mapShares(path, a.Map) {
			objects = append(objects, row)
		}
	case a.Values.Data != nil:
		row := valuesRow{Path: path, Shape: a.Values.Shape, classes: a.Labels}
		if row.Values, err = classify.Numbers(a.Values); err != nil {
			return nil, err
		}
		for _, class := range a.Labels {
			row.Names = append(row.Names, class.Name)
		}
		objects = append(objects, row)
	case len(a.Predictions) == 0:
		objects = append(objects, pathRow{path})
	default:
		for i, p := range a.Predictions {
			objects = append(objects, predictionRow{path, i + 1, p})
		}
	}
	return objects, nil
}

// predictionRow is a class of an image.
type predictionRow struct {
	Path string `json:"path"`
	Rank int    `json:"rank"`
	labels.Prediction
}

func (p predictionRow) cells([]string) [][]string {
	return [][]string{{p.Path, strconv.Itoa(p.Rank), strconv.Itoa(p.Index), p.ID, p.Name,
		strconv.FormatFloat(float64(p.Probability), 'g', -1, 32)}}
}

// pathRow is an image without a class.
type pathRow struct {
	Path string `json:"path"`
}

func (p pathRow) cells(columns []string) [][]string {
	return [][]string{append([]string{p.Path}, make([]string, len(columns)-1)...)}
}

// valuesRow is all values of an image.
type valuesRow struct {
	Path   string            `json:"path"`
	Shape  tensor.Shape      `json:"shape"`
	Values []classify.Number `json:"values"` // row-major
	Names  []string          `json:"names,omitempty"`

	classes labels.Labels
}

func (v valuesRow) cells([]string) [][]string {
	rows := make([][]string, len(v.Values))
	for i, x := range v.Values {
		var class labels.Class
		if v.classes != nil {
			class = v.classes[i]
		}
		rows[i] = []string{v.Path, strconv.Itoa(i), class.ID, class.Name, string(x)}
	}
	return rows
}

// mapRow is a class that has pixels in an image's map.
type mapRow struct {
	Path   string  `json:"path"`
	Index  int     `json:"index"`
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Pixels int     `json:"pixels"`
	Share  float64 `json:"share"` // 0 to 1
}

func (m mapRow) cells([]string) [][]string {
	return [][]string{{m.Path, strconv.Itoa(m.Index), m.ID, m.Name, strconv.Itoa(m.Pixels),
		strconv.FormatFloat(m.Share, 'g', -1, 64)}}
}

// mapShares returns the classes that have pixels, in their order.
func mapShares(path string, m *classify.Map) (rows []mapRow) {
	for index, pixels := range m.Pixels() {
		if pixels == 0 {
			continue
		}
		row := mapRow{Path: path, Index: index, Pixels: pixels,
			Share: float64(pixels) / float64(len(m.Classes))}
		if index < len(m.Labels) {
			row.ID, row.Name = m.Labels[index].ID, m.Labels[index].Name
		}
		rows = append(rows, row)
	}
	return rows
}

type jsonlPredictions struct{ w *bufio.Writer }

func (j *jsonlPredictions) write(path string, a classify.Answer) error {
	objects, err := objectsOf(path, a)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := json.NewEncoder(j.w).Encode(object); err != nil {
			return err
		}
	}
	return j.w.Flush()
}

func (j *jsonlPredictions) close() error { return j.w.Flush() }

type jsonPredictions struct {
	w    *bufio.Writer
	rows int
}

func (j *jsonPredictions) write(path string, a classify.Answer) error {
	objects, err := objectsOf(path, a)
	if err != nil {
		return err
	}
	for _, object := range objects {
		row, err := json.Marshal(object)
		if err != nil {
			return err
		}
		between := ",\n"
		if j.rows == 0 {
			between = "[\n"
		}
		fmt.Fprintf(j.w, "%s  %s", between, row)
		j.rows++
	}
	return j.w.Flush()
}

func (j *jsonPredictions) close() error {
	end := "\n]\n"
	if j.rows == 0 {
		end = "[]\n"
	}
	j.w.WriteString(end)
	return j.w.Flush()
}
