package score

import (
	"encoding/csv"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// CaseWriter writes a row for each image of two outputs, as CSV or Parquet. A column that ends in
// _a is of the first output, in _b of the second; where an output has no class, its class is -1.
type CaseWriter struct {
	write func(Case) error
	close func() error
}

// caseRow is a row; its tags name the columns.
type caseRow struct {
	Index      int64   `parquet:"index"`
	Path       string  `parquet:"path"`
	ClassA     int64   `parquet:"class_a"`
	LabelA     string  `parquet:"label_a"`
	ScoreA     float32 `parquet:"score_a"`
	ClassB     int64   `parquet:"class_b"`
	LabelB     string  `parquet:"label_b"`
	ScoreB     float32 `parquet:"score_b"`
	Difference float64 `parquet:"difference"`
	Flipped    bool    `parquet:"flipped"`
	ErrorA     string  `parquet:"error_a"`
	ErrorB     string  `parquet:"error_b"`
}

// NewCaseWriter returns a writer for a file whose name ends in .csv or .parquet.
func NewCaseWriter(w io.Writer, name string) (*CaseWriter, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		out := csv.NewWriter(w)
		err := out.Write([]string{"index", "path", "class_a", "label_a", "score_a", "class_b", "label_b",
			"score_b", "difference", "flipped", "error_a", "error_b"})
		return &CaseWriter{
			write: func(c Case) error {
				return out.Write([]string{strconv.FormatInt(c.Index, 10), c.Path,
					strconv.FormatInt(c.TopA, 10), c.LabelA, formatFloat(c.ScoreA),
					strconv.FormatInt(c.TopB, 10), c.LabelB, formatFloat(c.ScoreB),
					strconv.FormatFloat(c.Difference, 'g', -1, 64), strconv.FormatBool(c.Flipped),
					c.ErrorA, c.ErrorB})
			},
			close: func() error {
				out.Flush()
				return out.Error()
			},
		}, err
	case ".parquet":
		out := parquet.NewGenericWriter[caseRow](w, parquet.Compression(&zstd.Codec{}),
			parquet.CreatedBy("kerasrun", "", ""))
		return &CaseWriter{
			write: func(c Case) error {
				_, err := out.Write([]caseRow{{c.Index, c.Path, c.TopA, c.LabelA, c.ScoreA, c.TopB,
					c.LabelB, c.ScoreB, c.Difference, c.Flipped, c.ErrorA, c.ErrorB}})
				return err
			},
			close: out.Close,
		}, nil
	}
	return nil, &UsageError{"rows: expected a file that ends in .csv or .parquet, got " +
		strconv.Quote(name)}
}

// Write writes one image's row.
func (w *CaseWriter) Write(c Case) error { return w.write(c) }

// Close ends the file.
func (w *CaseWriter) Close() error { return w.close() }
