package golden_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/contract"
	"kerasrun/golden"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

const height, width, classes = 2, 3, 4

// model is a fake with two outputs: logits, class c of row r the weighted sum of that row's tensor,
// and probs, their softmax.
type model struct {
	change func(batch int, out map[string]tensor.Tensor) // spoils the outputs
	err    error
}

// SavedModel has the contract of makePack's packs.
func (m model) SavedModel() *savedmodel.Model {
	input := contract.Input1{Name: "images", DType: "float32", Height: height, Width: width,
		Channels: 3, Layout: "NHWC", ColorOrder: "BGR", Mode: "caffe", Resample: "nearest",
		Fit: "stretch"}
	return &savedmodel.Model{Manifest: &contract.Manifest{
		Inputs: []contract.Input{input.Input()},
		Outputs: map[string][]contract.Output{"serving_default": {
			{Name: "logits", Kind: contract.Logits, Activation: "softmax"},
			{Name: "probs", Kind: contract.Probabilities},
		}},
	}}
}

func (m model) RunSignature(_ context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	if m.err != nil {
		return nil, m.err
	}
	images := in["images"]
	if key != "serving_default" || images.DType != tensor.Float32 {
		return nil, fmt.Errorf("got signature %q with %v", key, in)
	}
	batch := int(images.Shape[0])
	logits, probs := make([]float32, 0, batch*classes), make([]float32, 0, batch*classes)
	for row := range slices.Chunk(images.Data.([]float32), height*width*3) {
		l, p := answer(row)
		logits, probs = append(logits, l...), append(probs, p...)
	}
	shape := tensor.Shape{int64(batch), classes}
	out := map[string]tensor.Tensor{
		"logits": {DType: tensor.Float32, Shape: shape, Data: logits},
		"probs":  {DType: tensor.Float32, Shape: shape, Data: probs},
	}
	if m.change != nil {
		m.change(batch, out)
	}
	return out, nil
}

func answer(row []float32) (logits, probs []float32) {
	logits, probs = make([]float32, classes), make([]float32, classes)
	for i, v := range row {
		logits[i%classes] += v * float32(i+1) / 100
	}
	var sum float64
	for _, l := range logits {
		sum += math.Exp(float64(l))
	}
	for i, l := range logits {
		probs[i] = float32(math.Exp(float64(l)) / sum)
	}
	return logits, probs
}

func verify(t *testing.T, m golden.Model, dir string) *golden.Report {
	t.Helper()
	pack, err := golden.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	report, err := golden.Verify(t.Context(), m, pack)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// failed lists the stages that are not ok.
func failed(report *golden.Report) []string {
	var names []string
	for _, s := range report.Stages {
		if !s.OK {
			names = append(names, strings.TrimSpace(s.Name+" "+s.Run))
		}
	}
	return names
}

func TestVerify(t *testing.T) {
	report := verify(t, model{}, writePack(t, nil))
	if !report.OK || len(failed(report)) != 0 {
		t.Fatalf("want all ok, got\n%v", report)
	}
	if got, want := len(report.Stages), 4+2*4; got != want {
		t.Fatalf("got %d stages, want %d", got, want)
	}
	for _, s := range report.Stages {
		if s.Cases != 3 {
			t.Errorf("%s %s: got %d cases, want 3", s.Name, s.Run, s.Cases)
		}
		if a := s.Agreement; a != nil &&
			*a != (golden.Agreement{Of: "classes", K: 3, Cases: 3, Top1: 3, TopK: 3}) {
			t.Errorf("%s %s: got %+v, want full agreement", s.Name, s.Run, *a)
		}
	}
}

// TestVerifyFinds breaks one thing a row.
func TestVerifyFinds(t *testing.T) {
	nan := float32(math.NaN())
	every := []string{"logits alone", "logits batched", "logits padded"}
	both := append(slices.Clone(every), "probs alone", "probs batched", "probs padded")
	arrays := func(key string, change func(t tensor.Tensor)) func(map[string]any,
		[]map[string]tensor.Tensor) {
		return func(_ map[string]any, arrays []map[string]tensor.Tensor) { change(arrays[1][key]) }
	}
	outputs := func(run int, key string, change func([]float32)) model {
		return model{change: func(batch int, out map[string]tensor.Tensor) {
			if run == 0 || run == batch {
				change(out[key].Data.([]float32))
			}
		}}
	}
	for name, test := range map[string]struct {
		pack  func(map[string]any, []map[string]tensor.Tensor)
		model model
		want  []string
		says  string
	}{
		"decode": {
			// The resize stage is fed with the reference's decoded image, so it sees the change
			// too.
			pack: arrays("decoded", func(t tensor.Tensor) { t.Data.([]uint8)[4]++ }),
			want: []string{"decode", "resize"},
			says: "decode: case1: expected 41 at [0 1 1], got 40: differs by 1, tolerance 0",
		},
		"resize": {
			pack: arrays("resized", func(t tensor.Tensor) { t.Data.([]uint8)[0]++ }),
			want: []string{"resize", "tensor"}, says: "resize: case1: expected 2 at [0 0 0], got 1",
		},
		"tensor": {
			pack: arrays("tensor", func(t tensor.Tensor) { t.Data.([]float32)[17] *= 1 + 1e-6 }),
			want: []string{"tensor", "pipeline"}, says: "tensor: case1: expected",
		},
		"output": {
			pack: arrays("logits", func(t tensor.Tensor) { t.Data.([]float32)[2] += 0.01 }),
			want: every, says: "tolerance 0.0001 of max",
		},
		"output NaN in the reference": {
			pack: arrays("probs", func(t tensor.Tensor) { t.Data.([]float32)[2] = nan }),
			want: []string{"probs alone", "probs batched", "probs padded"},
			says: "expected NaN at [2], got",
		},
		"output infinite in the reference, another of its numbers": {
			pack: func(_ map[string]any, arrays []map[string]tensor.Tensor) {
				for _, each := range arrays {
					each["logits"].Data.([]float32)[0] = float32(math.Inf(1))
				}
				arrays[1]["logits"].Data.([]float32)[2] += 1
			},
			model: outputs(0, "logits", func(p []float32) {
				for i := 0; i < len(p); i += classes {
					p[i] = float32(math.Inf(1))
				}
			}),
			want: every, says: "logits alone: case1: expected",
		},
		"output infinite in the reference": {
			pack: arrays("logits", func(t tensor.Tensor) {
				t.Data.([]float32)[0] = float32(math.Inf(-1))
			}),
			want: every, says: "expected -Inf at [0]",
		},
		"output NaN": {
			model: outputs(0, "probs", func(p []float32) { p[2] = nan }),
			want:  []string{"probs alone", "probs batched", "probs across"}, says: "NaN",
		},
		"every element NaN": {
			model: outputs(0, "logits", func(p []float32) {
				for i := range p {
					p[i] = nan
				}
			}),
			want: append(slices.Clone(every), "logits across"),
			says: "logits across: case0: expected NaN at [0], got NaN",
		},
		"the batch alone": {
			model: outputs(3, "logits", func(p []float32) { p[classes] += 1 }),
			want:  []string{"logits batched", "logits across"},
			says:  "logits batched: case1: expected",
		},
		"the neighbours": {
			model: outputs(7, "logits", func(p []float32) { p[classes] += 1 }),
			want:  []string{"logits padded", "logits across"},
			says:  "logits padded: case2: expected",
		},
		"shape of an output": {
			model: model{change: func(batch int, out map[string]tensor.Tensor) {
				out["probs"] = tensor.Tensor{DType: tensor.Float32,
					Shape: tensor.Shape{int64(batch)}, Data: make([]float32, batch)}
			}},
			want: []string{"probs alone", "probs batched", "probs padded", "probs across"},
			says: "probs padded: case2: expected an output of float32 (7, 4), got float32 (7,)",
		},
		"type of an output": {
			model: model{change: func(batch int, out map[string]tensor.Tensor) {
				out["probs"] = tensor.Tensor{
					DType: tensor.Int32, Shape: tensor.Shape{int64(batch),
						classes}, Data: make([]int32, batch*classes),
				}
			}},
			want: []string{"probs alone", "probs batched", "probs padded", "probs across"},
			says: "int32",
		},
		"no such output": {
			model: model{change: func(_ int, out map[string]tensor.Tensor) {
				delete(out, "probs")
			}},
			want: []string{"probs alone", "probs batched", "probs padded", "probs across"},
			says: `expected an output "probs", got none`,
		},
		"a model that fails": {
			model: model{err: errors.New("no memory")},
			want:  append(both, "logits across", "probs across"),
			says:  "logits alone: case0: no memory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			report := verify(t, test.model, writePack(t, test.pack))
			got := failed(report)
			slices.Sort(got)
			slices.Sort(test.want)
			if !slices.Equal(got, test.want) {
				t.Errorf("failed: got %q, want %q", got, test.want)
			}
			if text := report.String(); report.OK || !strings.Contains(text, test.says) {
				t.Errorf("want a report that says %q, got\n%s", test.says, text)
			}
		})
	}
}

// TestVerifyDecodeError takes an image that only the reference could read.
func TestVerifyDecodeError(t *testing.T) {
	dir := writePack(t, nil)
	write(t, filepath.Join(dir, "case0.png"), []byte("no image"))
	report := verify(t, model{}, dir)
	if got, want := failed(report), []string{"decode", "pipeline"}; !slices.Equal(got, want) {
		t.Errorf("failed: got %q, want %q\n%v", got, want, report)
	}
	if !strings.Contains(report.String(), "decode: case0: ") {
		t.Errorf("want the reason for case0, got\n%v", report)
	}
}

// TestVerifyTies lets two classes change places where the reference itself all but ties them, and
// not where it does not.
func TestVerifyTies(t *testing.T) {
	for _, test := range []struct {
		apart float32
		ok    bool
	}{{1e-6, true}, {1e-4, false}} {
		tied := func(out tensor.Tensor, first, second int) {
			for row := range slices.Chunk(out.Data.([]float32), classes) {
				copy(row, []float32{0.1, 0.1, 0.1, 0.1})
				row[first], row[second] = 0.4+test.apart, 0.4
			}
		}
		dir := writePack(t, func(index map[string]any, arrays []map[string]tensor.Tensor) {
			index["tolerance"].(map[string]float64)["probs"] = 1e-5
			for _, each := range arrays {
				tied(each["probs"], 0, 1)
			}
		})
		report := verify(t, model{change: func(_ int, out map[string]tensor.Tensor) {
			tied(out["probs"], 1, 0)
		}}, dir)
		if report.OK != test.ok {
			t.Errorf("apart by %v: ok %v, want %v\n%v", test.apart, report.OK, test.ok, report)
		}
		if a := report.Stages[8].Agreement; a == nil || a.Top1 != 0 || a.TopK != 0 {
			t.Errorf("apart by %v: got agreement %+v, want none counted", test.apart, a)
		}
	}
}

func TestVerifyCancelled(t *testing.T) {
	pack, err := golden.Open(writePack(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := golden.Verify(ctx, model{}, pack); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestMeasured lets any finite difference of the outputs pass, and nothing else.
func TestMeasured(t *testing.T) {
	for _, test := range []struct {
		value float32
		ok    bool
	}{{1e6, true}, {float32(math.NaN()), false}, {float32(math.Inf(1)), false}} {
		pack, err := golden.Open(writePack(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		m := model{change: func(_ int, out map[string]tensor.Tensor) {
			out["logits"].Data.([]float32)[3] = test.value
		}}
		report, err := golden.Verify(t.Context(), m, pack.Measured())
		if err != nil {
			t.Fatal(err)
		}
		if report.OK != test.ok || !strings.Contains(report.String(), "none") {
			t.Errorf("%v: got ok %v, want %v\n%v", test.value, report.OK, test.ok, report)
		}
		if report := verify(t, m, pack.Dir); report.OK {
			t.Errorf("%v: judged, want a failure", test.value)
		}
	}
}

// TestLoosened lets the outputs, and nothing else, differ by more.
func TestLoosened(t *testing.T) {
	pack, err := golden.Open(writePack(t, func(index map[string]any, _ []map[string]tensor.Tensor) {
		index["tolerance"].(map[string]float64)["probs"] = 1e-5
	}))
	if err != nil {
		t.Fatal(err)
	}
	loose := pack.Loosened(200)
	if got := loose.Tolerance["tensor"]; got != pack.Tolerance["tensor"] {
		t.Errorf("tolerance %v of the tensors, want %v", got, pack.Tolerance["tensor"])
	}
	for _, test := range []struct {
		pack *golden.Pack
		by   float32
		ok   bool
	}{{pack, 5e-6, true}, {pack, 1e-4, false}, {loose, 1e-3, true}, {loose, 3e-3, false}} {
		m := model{change: func(_ int, out map[string]tensor.Tensor) {
			probs := out["probs"].Data.([]float32)
			for i := range probs {
				probs[i] += test.by
			}
		}}
		report, err := golden.Verify(t.Context(), m, test.pack)
		if err != nil {
			t.Fatal(err)
		}
		if report.OK != test.ok {
			t.Errorf("by %v with a tolerance of %v: got ok %v, want %v\n%v", test.by,
				test.pack.Tolerance["probs"], report.OK, test.ok, report)
		}
	}
}

// TestReport writes a report with a NaN in every format and reads it back.
func TestReport(t *testing.T) {
	report := verify(t, model{change: func(_ int, out map[string]tensor.Tensor) {
		out["probs"].Data.([]float32)[0] = float32(math.NaN())
	}}, writePack(t, nil))

	var out bytes.Buffer
	if err := report.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		OK     bool
		Stages []struct {
			Stage, Run string
			Max        any
			OK         bool
		}
	}
	if err := json.Unmarshal(out.Bytes(), &parsed); err != nil {
		t.Fatal(err)
	}
	if s := parsed.Stages[8]; parsed.OK || s.Stage != "probs" || s.Run != "alone" ||
		s.Max != "NaN" || s.OK {
		t.Errorf("json: got %+v", s)
	}
	again := new(golden.Report)
	if err := json.Unmarshal(out.Bytes(), again); err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })
	if diff := cmp.Diff(report, again, same); diff != "" {
		t.Errorf("json, read again (-want +got):\n%s", diff)
	}

	out.Reset()
	if err := golden.WriteJUnit(&out, map[string]string{"model": "m"}, report, report); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Suites []struct {
			Tests      int     `xml:"tests,attr"`
			Failures   int     `xml:"failures,attr"`
			Time       float64 `xml:"time,attr"`
			Properties []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:"value,attr"`
			} `xml:"properties>property"`
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	suite := suites.Suites[1]
	var images []string // that failed
	for _, c := range suite.Cases[12:] {
		if c.Failure != nil {
			images = append(images, c.Name)
		}
	}
	if c := suite.Cases[8]; len(suites.Suites) != 2 || suite.Tests != 12+3 || len(images) == 0 ||
		suite.Failures != len(failed(report))+len(images) || c.Name != "probs alone" ||
		c.Failure == nil || suite.Time <= 0 {
		t.Errorf("junit: got %+v", suite)
	}
	for _, image := range report.Images {
		if (len(image.Faults) > 0) != slices.Contains(images, image.Name) {
			t.Errorf("junit: got the failed images %q, want %+v among them", images, image)
		}
	}
	if p := suite.Properties; len(p) < 5 || p[0].Name != "model" || p[0].Value != "m" {
		t.Errorf("junit: got the properties %+v", p)
	}

	text := report.String()
	for _, want := range []string{"3 cases of a fake", "shares the manifest's assumption", "top-3",
		"FAILED", "kerasrun-golden --out pack", "keras 3"} {
		if !strings.Contains(text, want) {
			t.Errorf("text: want %q in\n%s", want, text)
		}
	}
}

// recorder is a golden.T that remembers what it was told.
type recorder struct {
	*testing.T
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...) }

func TestTest(t *testing.T) {
	golden.Test(t, model{}, writePack(t, nil))

	r := &recorder{T: t}
	golden.Test(r, model{err: errors.New("no memory")}, writePack(t, nil))
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], "no memory") {
		t.Errorf("got %q, want the report", r.errors)
	}
	r = &recorder{T: t}
	golden.Test(r, model{}, t.TempDir())
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], "goldens.json") {
		t.Errorf("got %q, want that there is no pack", r.errors)
	}
}
