package evaluate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/evaluate"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// fakeModel gives each class, red, green and blue, the share that its channel has of the light of a
// 2 x 2 image: NaN where it is black. It uses no TensorFlow.
type fakeModel struct {
	// change, if not nil, alters the probabilities of each image.
	change func(row []float32)
}

func (fakeModel) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{Manifest: &contract.Manifest{
		Inputs: []contract.Input{contract.Input1{
			Name: "images", DType: "float32", Height: 2, Width: 2, Channels: 3, Layout: "NHWC",
			ColorOrder: "RGB", Mode: "none", Resample: "nearest", Fit: "stretch",
		}.Input()},
		Outputs: map[string][]contract.Output{contract.DefaultSignature: {
			{Name: "probs", Kind: contract.Probabilities}}},
		Answer: "probs",
	}}
}

func (fakeModel) Signature(key string) (savedmodel.Signature, error) {
	return savedmodel.Signature{
		Key: key,
		Inputs: map[string]savedmodel.TensorInfo{
			"images": {DType: tensor.Float32, Shape: tensor.Shape{-1, 2, 2, 3}},
		},
		Outputs: map[string]savedmodel.TensorInfo{
			"probs": {DType: tensor.Float32, Shape: tensor.Shape{-1, 3}},
		},
	}, nil
}

func (fakeModel) Labels() labels.Labels {
	return labels.Labels{
		{ID: "n0", Name: "red"}, {ID: "n1", Name: "green"}, {ID: "n2", Name: "blue"},
	}
}

func (m fakeModel) RunSignature(
	_ context.Context, _ string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	pixels, err := in["images"].Float32s()
	if err != nil {
		return nil, err
	}
	var probs []float32
	for image := range slices.Chunk(pixels, 12) {
		row, sum := make([]float32, 3), float32(0)
		for i, v := range image {
			row[i%3] += v
			sum += v
		}
		for i := range row {
			row[i] /= sum
		}
		if m.change != nil {
			m.change(row)
		}
		probs = append(probs, row...)
	}
	out, err := tensor.New(tensor.Shape{int64(len(probs) / 3), 3}, probs)
	return map[string]tensor.Tensor{"probs": out}, err
}

func newClassifier(t *testing.T, m fakeModel) *classify.Classifier {
	t.Helper()
	c, err := classify.New(m, classify.Options{BatchSize: 4})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// colored writes a PNG of one color.
func colored(t *testing.T, path string, r, g, b uint8) {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 4, 3))
	for i := range 12 {
		img.Set(i%4, i/4, color.NRGBA{r, g, b, 255})
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	write(t, path, out.Bytes())
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// labelledFolders has 6 images of which two are answered wrongly, one is black and one is damaged.
func labelledFolders(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	colored(t, filepath.Join(dir, "red", "1.png"), 200, 0, 0)
	colored(t, filepath.Join(dir, "red", "2.png"), 60, 40, 0)
	colored(t, filepath.Join(dir, "red", "as-green.png"), 90, 160, 0)
	colored(t, filepath.Join(dir, "green", "1.png"), 0, 50, 0)
	colored(t, filepath.Join(dir, "green", "as-red.png"), 90, 10, 0)
	colored(t, filepath.Join(dir, "green", "black.png"), 0, 0, 0)
	write(t, filepath.Join(dir, "red", "damaged.png"), []byte("no image"))
	return dir
}

func TestRun(t *testing.T) {
	dir := labelledFolders(t)
	d, err := evaluate.Folders(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]string{}
	var lastAnswered, lastFailed int64
	report, err := evaluate.Run(t.Context(), newClassifier(t, fakeModel{}), fakeModel{}.Labels(), d,
		evaluate.Options{
			TopK:     2,
			Failed:   func(path string, err error) { failed[filepath.Base(path)] = err.Error() },
			Progress: func(answered, failed int64) { lastAnswered, lastFailed = answered, failed },
		})
	if err != nil {
		t.Fatal(err)
	}
	if report.Images != 5 || report.Failed != 2 || lastAnswered != 5 || lastFailed != 2 {
		t.Errorf("got %d answered, %d failed, progress %d, %d, want 5, 2", report.Images,
			report.Failed, lastAnswered, lastFailed)
	}
	for name, want := range map[string]string{"black.png": "NaN", "damaged.png": "not an image"} {
		if !strings.Contains(failed[name], want) {
			t.Errorf("%s: got %q, want %s", name, failed[name], want)
		}
	}
	if len(report.Failures) != 2 || !strings.Contains(report.Failures[0].Path, "green/black.png") {
		t.Errorf("failures: got %v", report.Failures)
	}
	if report.Top1 != 0.6 || report.TopK != 1 || report.K != 2 ||
		report.LabelType != evaluate.LabelName {
		t.Errorf("got top-1 %v, top-%d %v, labels %s", report.Top1, report.K, report.TopK,
			report.LabelType)
	}
	red := evaluate.ClassName{Index: 0, ID: "n0", Name: "red"}
	green := evaluate.ClassName{Index: 1, ID: "n1", Name: "green"}
	want := []evaluate.Wrong{
		{Path: filepath.Join(dir, "green", "as-red.png"), Truth: green, TruthProbability: 0.1,
			Answer: red, Probability: 0.9},
		{Path: filepath.Join(dir, "red", "as-green.png"), Truth: red, TruthProbability: 0.36,
			Answer: green, Probability: 0.64},
	}
	if diff := cmp.Diff(asJSON(t, want), asJSON(t, report.Wrong)); diff != "" {
		t.Errorf("wrong (-want +got):\n%s", diff)
	}
	confusion := []evaluate.Confusion{
		{Truth: 0, Answer: 0, Images: 2}, {Truth: 0, Answer: 1, Images: 1},
		{Truth: 1, Answer: 0, Images: 1}, {Truth: 1, Answer: 1, Images: 1},
	}
	if diff := cmp.Diff(confusion, report.Confusion); diff != "" {
		t.Errorf("confusion (-want +got):\n%s", diff)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Of many wrong images the most confident are kept, and of equals those that came first.
func TestRunKeepsTheMostConfident(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		path := filepath.Join(dir, "blue", fmt.Sprintf("%02d.png", i))
		colored(t, path, 100, uint8(10*(i/2%5)), 0)
	}
	d, err := evaluate.Folders(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evaluate.Run(t.Context(), newClassifier(t, fakeModel{}), fakeModel{}.Labels(), d,
		evaluate.Options{Wrong: 5})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range report.Wrong {
		got = append(got, filepath.Base(w.Path))
	}
	want := []string{"00.png", "01.png", "10.png", "11.png", "02.png"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRunErrors(t *testing.T) {
	dir := t.TempDir()
	colored(t, filepath.Join(dir, "red", "1.png"), 200, 0, 0)
	black := t.TempDir()
	colored(t, filepath.Join(black, "red", "1.png"), 0, 0, 0)
	other := t.TempDir()
	colored(t, filepath.Join(other, "violet", "1.png"), 200, 0, 0)
	for _, test := range []struct {
		name, dir string
		labels    labels.Labels
		change    func(row []float32)
		want      string
	}{
		{"a class that the model has not", other, fakeModel{}.Labels(), nil,
			`"red", "green", "blue"; 1 of 1 labels are not: "violet"`},
		{"no answer", black, fakeModel{}.Labels(), nil,
			"expected an answer to some image, got none: 1 failed"},
		{"logits", dir, fakeModel{}.Labels(), func(row []float32) { row[1] = -3 },
			"1.png: expected probabilities, got -3 for class 1"},
		{"several labels", dir, fakeModel{}.Labels(), func(row []float32) { row[1] = 0.5 },
			"expected probabilities that add up to 1, got 1.5; a model that gives an image several"},
		{"other names", dir, fakeModel{}.Labels()[:2], nil,
			"got 3 values an image for 2 class names"},
	} {
		d, err := evaluate.Folders(test.dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = evaluate.Run(t.Context(), newClassifier(t, fakeModel{test.change}), test.labels, d,
			evaluate.Options{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

func TestRunEndedContext(t *testing.T) {
	d, err := evaluate.Folders(labelledFolders(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = evaluate.Run(ctx, newClassifier(t, fakeModel{}), fakeModel{}.Labels(), d,
		evaluate.Options{})
	if err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v", err)
	}
}

func newReport(t *testing.T) *evaluate.Report {
	t.Helper()
	d, err := evaluate.Folders(labelledFolders(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evaluate.Run(t.Context(), newClassifier(t, fakeModel{}), fakeModel{}.Labels(), d,
		evaluate.Options{TopK: 2})
	if err != nil {
		t.Fatal(err)
	}
	report.Model = "models/fake"
	return report
}

func TestWriteText(t *testing.T) {
	report := newReport(t)
	var out strings.Builder
	if err := report.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(
		`models/fake on DIR: 5 images answered, 2 failed; labels are names of classes
no image of 1 of the model's 3 classes: blue

top-1                           0.6000  3 of 5
top-2                           1.0000  5 of 5
macro precision, recall, F1     0.5833  0.5833  0.5833
weighted precision, recall, F1  0.6000  0.6000  0.6000
expected calibration error      0.2280
log loss                        0.7670
Brier score                     0.5518

classes
  class  precision  recall  F1      images  answers
  red    0.6667     0.6667  0.6667  3       3
  green  0.5000     0.5000  0.5000  2       2

confused
  truth  answer  images
  red    green   1
  green  red     1

wrong, the most confident first
  answer  probability  truth  probability  image
  red     0.9000       green  0.1000       DIR/green/as-red.png
  green   0.6400       red    0.3600       DIR/red/as-green.png
`, "DIR", report.Data)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteJUnit(t *testing.T) {
	report := newReport(t)
	least := []float64{0.6, 1, 0.75}
	thresholds := evaluate.Thresholds{Top1: &least[0], TopK: &least[1], MacroRecall: &least[2]}
	checks := report.Checks(thresholds)
	var out bytes.Buffer
	if err := report.WriteJUnit(&out, checks); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Failure struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	suite := read.Suites[0]
	if suite.Tests != 4 || suite.Failures != 2 {
		t.Errorf("got %d tests, %d failures, want 4, 2", suite.Tests, suite.Failures)
	}
	for i, want := range [][2]string{
		{"every image answered", "expected an answer to every image, got none to 2 of 7"},
		{"top-1 is at least 0.6", ""}, {"top-2 is at least 1", ""},
		{"macro recall is at least 0.75",
			"macro recall: expected at least 0.75, got 0.583333 over 5 images"},
	} {
		c := suite.Cases[i]
		if c.Name != want[0] || !strings.HasPrefix(c.Failure.Message, want[1]) ||
			(c.Failure.Message == "") != (want[1] == "") {
			t.Errorf("got %+v, want %q", c, want)
		}
	}
}

// A page of many classes shows a part of them, and says so. serve/webtest opens one in a browser.
func TestWritePage(t *testing.T) {
	report := newReport(t)
	for _, many := range []bool{false, true} {
		if many {
			for i := 3; i < 1100; i++ {
				report.Classes = append(report.Classes, evaluate.Class{
					ClassName: evaluate.ClassName{Index: i, Name: fmt.Sprintf("class-%d", i)},
					Support:   1,
				})
				report.Confusion = append(report.Confusion,
					evaluate.Confusion{Truth: i, Answer: i - 1, Images: 1})
			}
		}
		var out strings.Builder
		if err := report.WritePage(&out, nil); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "ZgotmplZ") || strings.Contains(out.String(), "http://") {
			t.Errorf("got a page with what it must not have:\n%s", out.String())
		}
		if got := strings.Count(out.String(), `src="data:image/jpeg;base64,`); got != 2 {
			t.Errorf("got %d thumbnails, want 2", got)
		}
		got := strings.Contains(out.String(), "the 1000 with the lowest F1 of 1099") &&
			strings.Contains(out.String(), "of the 30 classes with the most mistakes of 1099") &&
			strings.Contains(out.String(), "30 of 1099")
		if got != many {
			t.Errorf("many classes: got %v, want %v", got, many)
		}
	}
}
