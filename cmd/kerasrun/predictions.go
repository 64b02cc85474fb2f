package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"kerasrun/labels"
)

const predictionsHelp = `--format text is for people. The others have a row for each prediction of
each image, all with the same columns:

    path         string   as given, or as found below a directory; "-" for standard input;
                          a byte that is not UTF-8 is \xNN
    rank         integer  1 is the best
    index        integer  of the class in the model's output
    id           string   of the class; WordNet's where the classes are ImageNet's
    name         string   of the class
    probability  number   0 to 1, with as many digits as tell a float32 from every other

csv begins with a line of these names, jsonl has an object a line, and json is an array of such
objects.`

// A predictionWriter prints the predictions of image after image, and at the end what its format
// ends with.
type predictionWriter interface {
	write(path string, predictions []labels.Prediction) error
	close() error
}

func newPredictionWriter(w io.Writer, format string) predictionWriter {
	switch format {
	case "csv":
		return &csvPredictions{w: csv.NewWriter(w)}
	case "json":
		return &jsonPredictions{w: bufio.NewWriter(w)}
	case "jsonl":
		return &jsonlPredictions{bufio.NewWriter(w)}
	default:
		return &textPredictions{bufio.NewWriter(w)}
	}
}

type textPredictions struct{ w *bufio.Writer }

func (t *textPredictions) write(path string, predictions []labels.Prediction) error {
	width := 0
	for _, p := range predictions {
		width = max(width, len(p.ID))
	}
	fmt.Fprintln(t.w, path)
	for i, p := range predictions {
		fmt.Fprintf(t.w, "%4d  %7.3f %%  ", i+1, 100*p.Probability)
		if width > 0 {
			fmt.Fprintf(t.w, "%-*s  ", width, p.ID)
		}
		name := p.Name
		if p.ID == "" && name == "" {
			name = fmt.Sprintf("class %d", p.Index)
		}
		fmt.Fprintln(t.w, name)
	}
	return t.w.Flush()
}

func (t *textPredictions) close() error { return t.w.Flush() }

type csvPredictions struct {
	w       *csv.Writer
	started bool
}

func (c *csvPredictions) start() {
	if !c.started {
		// Flush has its error.
		c.w.Write([]string{"path", "rank", "index", "id", "name", "probability"})
		c.started = true
	}
}

func (c *csvPredictions) write(path string, predictions []labels.Prediction) error {
	c.start()
	for i, p := range predictions {
		c.w.Write([]string{
			path, strconv.Itoa(i + 1), strconv.Itoa(p.Index), p.ID, p.Name,
			strconv.FormatFloat(float64(p.Probability), 'g', -1, 32),
		})
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *csvPredictions) close() error {
	c.start()
	c.w.Flush()
	return c.w.Error()
}

// predictionRow is an object of the formats json and jsonl.
type predictionRow struct {
	Path string `json:"path"`
	Rank int    `json:"rank"`
	labels.Prediction
}

type jsonlPredictions struct{ w *bufio.Writer }

func (j *jsonlPredictions) write(path string, predictions []labels.Prediction) error {
	for i, p := range predictions {
		if err := json.NewEncoder(j.w).Encode(predictionRow{path, i + 1, p}); err != nil {
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

func (j *jsonPredictions) write(path string, predictions []labels.Prediction) error {
	for i, p := range predictions {
		row, err := json.Marshal(predictionRow{path, i + 1, p})
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
