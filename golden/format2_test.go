package golden_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/contract"
	"kerasrun/golden"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// anyModel is a fake with any inputs and outputs.
type anyModel struct {
	manifest *contract.Manifest
	run      func(in map[string]tensor.Tensor) (map[string]tensor.Tensor, error)
}

func (m anyModel) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{Manifest: m.manifest}
}

func (m anyModel) RunSignature(_ context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	if _, ok := m.manifest.Outputs[key]; !ok {
		return nil, fmt.Errorf("no signature %q", key)
	}
	return m.run(in)
}

// plain is an input of numbers.
func plain(name string, shape ...int64) contract.Input {
	return contract.Input{Name: name, Kind: contract.KindTensor, DType: "float32", Shape: shape}
}

// writeFormat2 writes a pack of one npz a case, whose image is the case's name, for a manifest of
// one signature, and returns its directory.
func writeFormat2(t *testing.T, m *contract.Manifest, change func(index map[string]any),
	cases ...map[string]tensor.Tensor) string {
	t.Helper()
	dir := t.TempDir()
	signature := slices.Collect(maps.Keys(m.Outputs))[0]
	tolerance := map[string]float64{"decode": 0, "resize": 0, "tensor": 0}
	var names []string
	for _, o := range m.Outputs[signature] {
		names = append(names, o.Name)
		tolerance[o.Name] = 1e-5
	}
	var listed []map[string]string
	for c, arrays := range cases {
		name := fmt.Sprintf("case%d", c)
		listed = append(listed, map[string]string{"name": name, "image": name + ".png",
			"arrays": name + ".npz"})
		var file bytes.Buffer
		if err := npy.WriteZip(&file, arrays); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name+".npz"), file.Bytes())
		write(t, filepath.Join(dir, name+".png"), []byte(name))
	}
	index := map[string]any{"format": 2, "reference": "me:predict", "reference_kind": "function",
		"command": "kerasrun-golden --out pack", "versions": map[string]string{"keras": "3"},
		"signature": signature, "inputs": m.Inputs, "outputs": names, "top": 5,
		"tolerance": tolerance, "cases": listed}
	if change != nil {
		change(index)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, contract.GoldensIndex), raw)
	return dir
}

func floats(shape tensor.Shape, data ...float32) tensor.Tensor {
	return tensor.Tensor{DType: tensor.Float32, Shape: shape, Data: data}
}

// double is a fake of one plain input x of two numbers and one output y, which is 2 x.
func double(kind string, batch int64) anyModel {
	output := contract.Output{Name: "y", Kind: kind}
	switch kind {
	case contract.Binary, contract.Multilabel:
		output.Thresholds = []float64{0.5}
	case contract.Logits:
		output.Activation = "sigmoid"
	}
	m := anyModel{manifest: &contract.Manifest{Inputs: []contract.Input{plain("x", batch, -1)},
		Outputs: map[string][]contract.Output{"answer": {output}}}}
	m.run = func(in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
		x := in["x"]
		if batch > 0 && x.Shape[0] != batch {
			return nil, fmt.Errorf("expected %d rows, got %d", batch, x.Shape[0])
		}
		y := slices.Clone(x.Data.([]float32))
		for i := range y {
			y[i] *= 2
		}
		return map[string]tensor.Tensor{"y": floats(x.Shape, y...)}, nil
	}
	return m
}

// doubled is a case of double, whose reference is off by some error.
func doubled(off float32, x ...float32) map[string]tensor.Tensor {
	y := slices.Clone(x)
	for i := range y {
		y[i] = 2*y[i] + off
	}
	shape := tensor.Shape{int64(len(x))}
	return map[string]tensor.Tensor{"inputs/x": floats(shape, x...), "y": floats(shape, y...)}
}

// TestBatches runs what a model of any batch, and of fixed ones, is given: cases of two sizes.
func TestBatches(t *testing.T) {
	for _, test := range []struct {
		batch int64
		want  []int64 // rows of the runs
	}{
		{-1, []int64{1, 1, 1, 3, 7, 1, 1, 3}},
		{1, []int64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{2, []int64{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}},
		{5, []int64{5, 5, 5, 5, 5, 5, 5, 5, 5}},
	} {
		m := double(contract.Regression, test.batch)
		dir := writeFormat2(t, m.manifest, nil, doubled(0, 1, 2), doubled(0, 3, 4), doubled(0, 5),
			doubled(0, 6, 7))
		run, rows := m.run, []int64(nil)
		m.run = func(in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
			rows = append(rows, in["x"].Shape[0])
			return run(in)
		}
		report := verify(t, m, dir)
		if diff := cmp.Diff(test.want, rows); !report.OK || diff != "" {
			t.Errorf("batch of %d: rows (-want +got):\n%s\n%v", test.batch, diff, report)
		}
		for _, s := range report.Stages {
			if s.Cases != 4 {
				t.Errorf("batch of %d: got %+v, want 4 cases", test.batch, s)
			}
		}
		if !strings.Contains(report.String(), "the reference is your own function me:predict\n") {
			t.Errorf("got %v, want that the reference is a function", report)
		}
	}
}

// TestNearZero lets a value near zero differ by what the whole output rounds to.
func TestNearZero(t *testing.T) {
	m := double(contract.Regression, -1)
	for name, test := range map[string]struct {
		off, tolerance float32
		ok             bool
	}{
		"rounding": {3e-6, 1e-5, true}, "wrong": {3e-5, 1e-5, false},
	} {
		dir := writeFormat2(t, m.manifest, nil, doubled(test.off, 1e-9, 2e-9), doubled(0, 0.05, 1))
		if report := verify(t, m, dir); report.OK != test.ok {
			t.Errorf("%s: got ok %v, want %v\n%v", name, report.OK, test.ok, report)
		}
	}
}

// TestAgreement counts the classes of each kind of output.
func TestAgreement(t *testing.T) {
	for name, test := range map[string]struct {
		kind   string
		x      []float32 // 2 x is the model's answer
		answer []float32 // the reference's
		want   *golden.Agreement
		says   string
	}{
		"probabilities": {contract.Probabilities, []float32{0.1, 0.4}, []float32{0.8, 0.2},
			&golden.Agreement{Of: "classes", K: 2, Cases: 1},
			"expected class 0 in place 1, got class 1"},
		"binary": {contract.Binary, []float32{0.3}, []float32{0.4},
			&golden.Agreement{Of: "decisions", K: 1, Cases: 1},
			"expected value 0 on the side of its threshold 0.5 on which 0.4 is, got 0.6"},
		"multilabel": {contract.Multilabel, []float32{0.3, 0.4}, []float32{0.6, 0.8},
			&golden.Agreement{Of: "decisions", K: 1, Cases: 1, Top1: 1, TopK: 1}, ""},
		"logits of a sigmoid": {contract.Logits, []float32{-0.1, 2}, []float32{0.2, 4},
			&golden.Agreement{Of: "decisions", K: 1, Cases: 1},
			"expected value 0 on the side of its threshold 0 on which 0.2 is, got -0.2"},
		"embedding":  {contract.Embedding, []float32{1, 2}, []float32{2, 4}, nil, ""},
		"regression": {contract.Regression, []float32{1, 2}, []float32{4, 2}, nil, "differs by 2"},
	} {
		t.Run(name, func(t *testing.T) {
			m := double(test.kind, -1)
			arrays := doubled(0, test.x...)
			arrays["y"] = floats(arrays["y"].Shape, test.answer...)
			report := verify(t, m, writeFormat2(t, m.manifest, nil, arrays))
			if diff := cmp.Diff(test.want, report.Stages[0].Agreement); diff != "" {
				t.Errorf("agreement (-want +got):\n%s", diff)
			}
			if report.OK != (test.says == "") || !strings.Contains(report.String(), test.says) {
				t.Errorf("want a report that says %q, got\n%v", test.says, report)
			}
		})
	}
}

// TestPixels counts the pixels of a map by their class.
func TestPixels(t *testing.T) {
	m := anyModel{manifest: &contract.Manifest{Inputs: []contract.Input{plain("x", -1, 1)},
		Outputs: map[string][]contract.Output{"answer": {{Name: "y", Kind: contract.Map}}}}}
	m.run = func(in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
		rows := in["x"].Shape[0]
		y := slices.Repeat([]float32{0.9, 0.1, 0.2, 0.8, 0.3, 0.7, 0.6, 0.4}, int(rows))
		return map[string]tensor.Tensor{"y": floats(tensor.Shape{rows, 2, 2, 2}, y...)}, nil
	}
	dir := writeFormat2(t, m.manifest, nil, map[string]tensor.Tensor{
		"inputs/x": floats(tensor.Shape{1}, 1),
		"y":        floats(tensor.Shape{2, 2, 2}, 0.9, 0.1, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6),
	})
	pack, err := golden.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if pack, err = pack.Tolerating(map[string]float64{"y": 0.3}); err != nil {
		t.Fatal(err)
	}
	for share, ok := range map[float64]bool{0: true, 0.75: true, 0.76: false} {
		pack.MinTop1 = share
		report, err := golden.Verify(t.Context(), m, pack)
		if err != nil {
			t.Fatal(err)
		}
		want := &golden.Agreement{Of: "pixels", K: 1, Cases: 4, Top1: 3, TopK: 3}
		if diff := cmp.Diff(want, report.Stages[0].Agreement); report.OK != ok || diff != "" {
			t.Errorf("a share of %v: got ok %v, want %v; agreement (-want +got):\n%s", share,
				report.OK, ok, diff)
		}
		if text := report.String(); !ok && !strings.Contains(text,
			"expected the reference's class for 0.76 of the pixels or more, got it for 3 of 4") {
			t.Errorf("got %s, want how many pixels there are", text)
		}
	}
}

// TestEncoded gives the images themselves to a model that decodes them, also as padding.
func TestEncoded(t *testing.T) {
	m := anyModel{manifest: &contract.Manifest{
		Inputs: []contract.Input{{Name: "files", Kind: contract.KindEncoded, DType: "string",
			Shape: tensor.Shape{-1}}},
		Outputs: map[string][]contract.Output{"answer": {{Name: "last", Kind: contract.Tensor}}},
	}}
	m.run = func(in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
		var last []int64
		for _, file := range in["files"].Data.([][]byte) {
			if !bytes.HasPrefix(file, []byte("case")) {
				return nil, fmt.Errorf("no image: %q", file)
			}
			last = append(last, int64(file[len(file)-1]))
		}
		y, err := tensor.New(tensor.Shape{int64(len(last))}, last)
		return map[string]tensor.Tensor{"last": y}, err
	}
	scalar := func(value int64) map[string]tensor.Tensor {
		return map[string]tensor.Tensor{"last": {DType: tensor.Int64, Shape: tensor.Shape{},
			Data: []int64{value}}}
	}
	dir := writeFormat2(t, m.manifest, func(index map[string]any) {
		index["reference_kind"] = "manifest"
	}, scalar('0'), scalar('1'))
	if report := verify(t, m, dir); !report.OK || len(report.Stages) != 4 ||
		!strings.Contains(report.String(), "nothing was assumed about how images are prepared") {
		t.Errorf("got %v, want four stages that are ok", report)
	}
}

// TestDiagnosis says what a failure looks like.
func TestDiagnosis(t *testing.T) {
	changed := func(change func(rows int64, y []float32)) anyModel {
		m := double(contract.Probabilities, -1)
		run := m.run
		m.run = func(in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
			out, err := run(in)
			change(in["x"].Shape[0], out["y"].Data.([]float32))
			return out, err
		}
		return m
	}
	for name, test := range map[string]struct {
		model anyModel
		want  string
	}{
		"rounding": {changed(func(_ int64, y []float32) { y[0] += 3e-5 }),
			"It looks like rounding: the inputs are the pack's own, every top class is the " +
				"reference's, and y differs by up to 3e-05, 503 units"},
		"other weights": {changed(func(_ int64, y []float32) { y[0] += 0.1 }),
			"It looks like another model or other weights, not like rounding: the inputs are the " +
				"pack's own, but y differs by up to 0.1"},
		"another class": {changed(func(_ int64, y []float32) { y[0] -= 0.7 }),
			"not like rounding: the inputs are the pack's own, but top classes are not"},
		"NaN": {changed(func(_ int64, y []float32) { y[0] -= y[0] / 0 * 0 }), "not like rounding"},
		"the rest of the batch": {changed(func(rows int64, y []float32) {
			y[0] += 0.1 * float32(rows-1)
			y[len(y)/2] += 0.1 * float32(rows-1)
		}), "depends on the other rows of its batch"},
		"no answer": {anyModel{double(contract.Probabilities, -1).manifest,
			func(map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
				return nil, errors.New("no memory")
			}}, "or one that cannot run here: nothing of y alone could be compared"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeFormat2(t, test.model.manifest, nil, doubled(0, 0.4, 0.1),
				doubled(0, 0.3, 0.2))
			report := verify(t, test.model, dir)
			if report.OK || !strings.Contains(report.Diagnosis, test.want) ||
				!strings.Contains(report.String(), report.Diagnosis) {
				t.Errorf("got %q, want %q\n%v", report.Diagnosis, test.want, report)
			}
		})
	}
	dir := writePack(t, func(_ map[string]any, arrays []map[string]tensor.Tensor) {
		arrays[1]["resized"].Data.([]uint8)[0]++
	})
	want := "images prepared otherwise, not like rounding: they differ at the stage resize already"
	if report := verify(t, model{}, dir); !strings.Contains(report.Diagnosis, want) {
		t.Errorf("got %q, want %q", report.Diagnosis, want)
	}
}

// TestCheckContract names every field that differs.
func TestCheckContract(t *testing.T) {
	image := contract.Input{Name: "image", Kind: contract.KindImage, DType: "float32",
		Shape: tensor.Shape{-1, 8, 8, 3}, Layout: "NHWC",
		Decode:    &contract.Decode{By: "pillow", Color: "rgb"},
		Resize:    &contract.Resize{By: "pillow", Method: "nearest", Fit: "stretch"},
		Normalize: &contract.Normalize{DType: "float32"}}
	manifest := &contract.Manifest{Inputs: []contract.Input{image, plain("age", -1, 4)},
		Outputs: map[string][]contract.Output{"answer": {{Name: "y", Kind: contract.Regression}}}}
	for name, test := range map[string]struct {
		change func(p *golden.Pack)
		want   []golden.Difference
	}{
		"the same": {func(p *golden.Pack) { p.Inputs[0].Normalize.Steps = []contract.Step{} }, nil},
		"method and colour": {func(p *golden.Pack) {
			p.Inputs[0].Resize.Method, p.Inputs[0].Decode.Color = "bicubic", "bgr"
		}, []golden.Difference{{"image.decode.color", `"rgb"`, `"bgr"`},
			{"image.resize.method", `"nearest"`, `"bicubic"`}}},
		"steps": {func(p *golden.Pack) {
			p.Inputs[0].Normalize.Steps = []contract.Step{{Op: "divide", Values: []float64{255}}}
		}, []golden.Difference{{"image.normalize.steps", `[]`,
			`[{"op":"divide","values":[255]}]`}}},
		"shape": {func(p *golden.Pack) { p.Inputs[1].Shape = tensor.Shape{-1, 5} },
			[]golden.Difference{{"age.shape", "[-1,4]", "[-1,5]"}}},
		"kind": {func(p *golden.Pack) {
			p.Inputs[0] = plain("image", -1, 8, 8, 3)
		}, []golden.Difference{
			{"image.decode", `{"by":"pillow","color":"rgb","exif":false}`, "none"},
			{"image.kind", `"image"`, `"tensor"`}, {"image.layout", `"NHWC"`, "none"},
			{"image.normalize", `{"dtype":"float32","steps":[]}`, "none"},
			{"image.resize", `{"antialias":false,"by":"pillow","fill":0,"fit":"stretch",` +
				`"method":"nearest","short_side":0}`, "none"}}},
		"inputs": {func(p *golden.Pack) { p.Inputs = p.Inputs[:1] },
			[]golden.Difference{{"inputs", `["age","image"]`, `["image"]`}}},
		"output": {func(p *golden.Pack) { p.Outputs = []string{"z"} },
			[]golden.Difference{{"outputs of answer", `["y"]`, `"z"`}}},
		"signature": {func(p *golden.Pack) { p.Signature = "serving_default" },
			[]golden.Difference{{"signature", `["answer"]`, `"serving_default"`}}},
	} {
		t.Run(name, func(t *testing.T) {
			pack, err := golden.Open(writeFormat2(t, manifest, nil, nil))
			if err != nil {
				t.Fatal(err)
			}
			test.change(pack)
			err = pack.CheckContract(manifest)
			var wrong *golden.ContractError
			if errors.As(err, &wrong) != (test.want != nil) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if wrong == nil {
				return
			}
			if diff := cmp.Diff(test.want, wrong.Differences); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
			_, verified := golden.Verify(t.Context(), anyModel{manifest: manifest}, pack)
			for _, word := range []string{pack.Dir, wrong.Differences[0].Field, "--out pack"} {
				if verified == nil || !strings.Contains(verified.Error(), word) {
					t.Errorf("got %v, want it to say %q", verified, word)
				}
			}
		})
	}
}

// TestOpenFormat2Errors takes packs of format 2 that are not what they should be.
func TestOpenFormat2Errors(t *testing.T) {
	m := double(contract.Regression, -1)
	for name, test := range map[string]struct {
		change func(index map[string]any)
		want   string
	}{
		"no kind of reference": {func(i map[string]any) { delete(i, "reference_kind") },
			`expected a reference_kind of "function" or "manifest", got ""`},
		"no inputs": {func(i map[string]any) { delete(i, "inputs") }, "expected inputs, got none"},
		"a field of tomorrow": {func(i map[string]any) {
			i["inputs"] = []map[string]any{{"name": "x", "kind": "tensor", "gamma": 2.2}}
		}, `inputs: json: unknown field "gamma"`},
		"no batch": {func(i map[string]any) { i["inputs"] = []contract.Input{plain("x")} },
			"expected inputs with a name and a batch dimension"},
		"two batches": {func(i map[string]any) {
			i["inputs"] = []contract.Input{plain("x", 2, 1), plain("y", 3, 1)}
		}, "expected inputs of one batch size, got [2 3]"},
		"an output twice": {func(i map[string]any) {
			i["outputs"] = []string{"y", "y"}
		}, `expected each output once, got "y" twice`},
		"an output with a stage's name": {func(i map[string]any) {
			i["outputs"] = []string{"tensor"}
		}, `expected outputs of other names than the stages and their arrays, got "tensor"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeFormat2(t, m.manifest, test.change, doubled(0, 1))
			if _, err := golden.Open(dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to say %q", err, test.want)
			}
		})
	}
	pack, err := golden.Open(writeFormat2(t, m.manifest, nil, doubled(0, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pack.Tolerating(map[string]float64{"z": 1}); err == nil ||
		!strings.Contains(err.Error(), `expected one of the outputs ["y"]`) {
		t.Errorf("got %v, want that there is no output z", err)
	}
	pack.MinTop1 = 0.9
	if _, err := golden.Verify(t.Context(), m, pack); err == nil ||
		!strings.Contains(err.Error(), "expected an output of classes") {
		t.Errorf("got %v, want that there are no classes", err)
	}
	if _, err := golden.Open(os.DevNull); err == nil {
		t.Error("got a pack of no directory")
	}
}
