package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// answerModel answers each image, of 2 x 2, with its row: a multiple of the image's first value. It
// may take another tensor beside, whose first value is added.
type answerModel struct {
	fakeModel
	output  contract.Output
	row     []float32
	shape   tensor.Shape // of a row
	beside  bool
	encoded bool // the graph takes the bytes of files, and its first value is their number
	weights string
}

func (m *answerModel) SavedModel() *savedmodel.Model {
	directory := m.fakeModel.SavedModel()
	inputs := map[string]savedmodel.TensorInfo{"images": info("images", tensor.Float32, -1, 2, 2, 3)}
	if m.encoded {
		inputs["images"] = info("images", tensor.String, -1)
		directory.Manifest.Inputs = []contract.Input{{Name: "images", Kind: contract.KindEncoded,
			DType: "string", Shape: tensor.Shape{-1}}}
	}
	if m.beside {
		inputs["age"] = info("age", tensor.Float32, -1, 1)
		directory.Manifest.Inputs = append(directory.Manifest.Inputs, contract.Input{Name: "age",
			Kind: contract.KindTensor, DType: "float32", Shape: tensor.Shape{-1, 1}})
	}
	directory.MetaGraphs[0].Signatures = []savedmodel.Signature{{
		Key: "serving_default", Inputs: inputs,
		Outputs: map[string]savedmodel.TensorInfo{m.output.Name: info(m.output.Name, tensor.Float32,
			append([]int64{-1}, m.shape...)...)},
	}}
	directory.Manifest.Outputs = map[string][]contract.Output{
		contract.DefaultSignature: {m.output}}
	directory.Manifest.Answer = m.output.Name
	directory.Manifest.Weights.Source = m.weights
	return directory
}

func (m *answerModel) Labels() labels.Labels {
	names := labels.Labels{{ID: "c", Name: "cat"}, {ID: "d", Name: "dog"}, {ID: "e", Name: "emu"}}
	if m.output.Kind == contract.Binary {
		return names[:2]
	}
	return names
}

func (m *answerModel) RunSignature(_ context.Context, _ string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	rows := in["images"].Shape[0]
	var values []float32
	for i := range rows {
		factor := float32(0)
		switch data := in["images"].Data.(type) {
		case [][]byte:
			factor = float32(len(data[i]))
		case []float32:
			factor = data[12*i]
		}
		if m.beside {
			factor += in["age"].Data.([]float32)[i]
		}
		for _, x := range m.row {
			values = append(values, factor*x)
		}
	}
	out, err := tensor.New(append(tensor.Shape{rows}, m.shape...), values)
	return map[string]tensor.Tensor{m.output.Name: out}, err
}

// post sends an image of the first value 1.
func post(t *testing.T, m Model, path string) *httptest.ResponseRecorder {
	t.Helper()
	return request(startServer(t, m, nil).Handler(), "POST", path, string(pngImage(t, 1, 2, 3)))
}

// TestClassifyKinds has the fields of each kind of answer, and no others.
func TestClassifyKinds(t *testing.T) {
	half := []float64{0.5}
	for name, c := range map[string]struct {
		model *answerModel
		want  string // without the times
	}{
		"binary": {&answerModel{output: contract.Output{Name: "y", Kind: contract.Binary,
			Thresholds: half}, row: []float32{0.25}, shape: tensor.Shape{1}},
			`"kind":"binary","predictions":[{"index":0,"id":"c","name":"cat","probability":0.75},` +
				`{"index":1,"id":"d","name":"dog","probability":0.25}]`},
		"multilabel": {&answerModel{output: contract.Output{Name: "y", Kind: contract.Multilabel,
			Thresholds: half}, row: []float32{0.75, 0.5, 0.25}, shape: tensor.Shape{3}},
			`"kind":"multilabel","predictions":[{"index":0,"id":"c","name":"cat","probability":0.75}]`},
		"multilabel, none": {&answerModel{output: contract.Output{Name: "y",
			Kind: contract.Multilabel, Thresholds: half}, row: make([]float32, 3),
			shape: tensor.Shape{3}}, `"kind":"multilabel","predictions":[]`},
		"logits": {&answerModel{output: contract.Output{Name: "y", Kind: contract.Logits,
			Activation: "softmax"}, row: []float32{0, 0, -200}, shape: tensor.Shape{3}},
			`"kind":"logits","predictions":[{"index":1,"id":"d","name":"dog","probability":0.5},` +
				`{"index":0,"id":"c","name":"cat","probability":0.5},` +
				`{"index":2,"id":"e","name":"emu","probability":0}]`},
		"regression": {&answerModel{output: contract.Output{Name: "y", Kind: contract.Regression},
			row: []float32{1.5, -2, 1e9}, shape: tensor.Shape{3}},
			`"kind":"regression","shape":[3],"values":[1.5,-2,1e+09],"names":["cat","dog","emu"]`},
		"embedding": {&answerModel{output: contract.Output{Name: "y", Kind: contract.Embedding},
			row: []float32{0.5, 1}, shape: tensor.Shape{2}},
			`"kind":"embedding","shape":[2],"values":[0.5,1]`},
		"synthetic": {&answerModel{output: contract.Output{Name: "y", Kind: contract.Embedding},
			row: []float32{1}, shape: tensor.Shape{1}, weights: "synthetic:3"},
			`"kind":"embedding","shape":[1],"values":[1]`},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(t, c.model, "/classify")
			body, _, _ := strings.Cut(w.Body.String(), `,"times_ms"`)
			_, body, _ = strings.Cut(body, `"output":"y",`)
			if w.Code != 200 || body != c.want {
				t.Errorf("got %d %s, want %s", w.Code, body, c.want)
			}
			warned := strings.Contains(w.Body.String(), `"warning":"The model has synthetic weights`)
			if warned != (c.model.weights != "") {
				t.Errorf("got %s", w.Body)
			}
		})
	}
}

func TestClassifyMap(t *testing.T) {
	m := answerModel{output: contract.Output{Name: "y", Kind: contract.Map,
		Palette: [][3]uint8{{1, 2, 3}, {255, 0, 9}}}, row: []float32{1, 0, 0, 1, 0, 1},
		shape: tensor.Shape{1, 3, 2}}
	w := post(t, &m, "/classify")
	var got struct{ Map classMap }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("%v, %d %s", err, w.Code, w.Body)
	}
	want := []mapClass{{0, "c", "cat", 1, "#010203"}, {1, "d", "dog", 2, "#ff0009"}}
	if got.Map.Height != 1 || got.Map.Width != 3 || got.Map.Fit != "stretch" ||
		!slices.Equal(got.Map.Classes, want) {
		t.Errorf("got %+v, want %+v", got.Map, want)
	}
	img, err := png.Decode(bytes.NewReader(got.Map.PNG))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := img.(*image.Paletted); !ok || !bytes.Equal(p.Pix, []byte{0, 1, 1}) {
		t.Errorf("got %v, want the classes 0 1 1 of a palette", img)
	}
}

// :classify has every class of an image, and answers for what has classes.
func TestServingClassifyKinds(t *testing.T) {
	examples := `{"examples": [{"images": {"b64": "` +
		base64.StdEncoding.EncodeToString(pngImage(t, 1, 2, 3)) + `"}}]}`
	for _, c := range []struct {
		model *answerModel
		code  int
		want  string
	}{
		{&answerModel{output: contract.Output{Name: "y", Kind: contract.Multilabel,
			Thresholds: []float64{0.5}}, row: []float32{0.25, 0.5, 0}, shape: tensor.Shape{3}}, 200,
			`{"results": [[["dog", 0.5], ["cat", 0.25], ["emu", 0.0]]]}`},
		{&answerModel{output: contract.Output{Name: "y", Kind: contract.Binary,
			Thresholds: []float64{0.9}}, row: []float32{0.75}, shape: tensor.Shape{1}}, 200,
			`{"results": [[["dog", 0.75], ["cat", 0.25]]]}`},
		{&answerModel{output: contract.Output{Name: "y", Kind: contract.Regression},
			row: []float32{0.75}, shape: tensor.Shape{1}}, 400,
			"expected classes, which classify is for, got regression: use predict"},
	} {
		h := startServer(t, c.model, nil).Handler()
		w := request(h, "POST", "/v1/models/fake:classify", examples)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: got %d %s, want %s", c.model.output.Kind, w.Code, w.Body, c.want)
		}
	}
}

// :regress has the one number of an image.
func TestServingRegressImages(t *testing.T) {
	for _, c := range []struct {
		row  []float32
		code int
		want string
	}{
		{[]float32{-0.1}, 200, `{"results": [-0.1, -0.1]}`},
		{[]float32{1, 2}, 400, "expected one number an example, got 2: use predict"},
	} {
		m := &answerModel{output: contract.Output{Name: "y", Kind: contract.Regression}, row: c.row,
			shape: tensor.Shape{int64(len(c.row))}}
		example := `{"images": {"b64": "` +
			base64.StdEncoding.EncodeToString(pngImage(t, 1, 2, 3)) + `"}}`
		w := request(startServer(t, m, nil).Handler(), "POST", "/v1/models/fake:regress",
			`{"examples": [`+example+`, `+example+`]}`)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("got %d %s, want %s", w.Code, w.Body, c.want)
		}
	}
}

// The bytes of an image go beside a plain tensor, and rows are joined into batches of both.
func TestImageBesideTensor(t *testing.T) {
	m := &answerModel{output: contract.Output{Name: "y", Kind: contract.Regression},
		row: []float32{1}, shape: tensor.Shape{1}, beside: true}
	h := startServer(t, m, nil).Handler()
	b64 := func(r uint8) string {
		return `{"b64": "` + base64.StdEncoding.EncodeToString(pngImage(t, r, 0, 0)) + `"}`
	}
	body := `{"instances": [{"images": ` + b64(1) + `, "age": [10]}, {"images": ` + b64(2) +
		`, "age": [20]}]}`
	w := request(h, "POST", "/v1/models/fake:predict", body)
	if got := strings.Join(strings.Fields(w.Body.String()), ""); w.Code != 200 ||
		got != `{"predictions":[[11.0],[22.0]]}` {
		t.Errorf("predict: got %d %s", w.Code, got)
	}
	w = request(h, "POST", "/classify", string(pngImage(t, 1, 2, 3)))
	if want := "an image alone cannot be answered: use predict"; w.Code != 400 ||
		!strings.Contains(w.Body.String(), want) {
		t.Errorf("classify: got %d %s, want %s", w.Code, w.Body, want)
	}
}

// A graph that decodes for itself gets the bytes as they came, over every protocol.
func TestEncodedInput(t *testing.T) {
	m := &answerModel{output: contract.Output{Name: "y", Kind: contract.Regression},
		row: []float32{1}, shape: tensor.Shape{1}, encoded: true}
	h := startServer(t, m, nil).Handler()
	for path, body := range map[string]string{
		"/v1/models/fake:predict": `{"instances": [{"b64": "AAEC"}]}`,
		"/v2/models/fake/infer": `{"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], ` +
			`"data": ["abc"]}]}`,
		"/classify": "abc",
	} {
		w := request(h, "POST", path, body)
		if w.Code != 200 || !strings.Contains(w.Body.String(), "3") {
			t.Errorf("%s: got %d %s, want 3 bytes", path, w.Code, w.Body)
		}
	}
}

// The limit of an image's file holds for those that the graph decodes too.
func TestEncodedLimit(t *testing.T) {
	m := &answerModel{output: contract.Output{Name: "y", Kind: contract.Regression},
		row: []float32{1}, shape: tensor.Shape{1}, encoded: true}
	h := startServer(t, m, func(c *Config) { c.Limits.Image = 2 }).Handler()
	w := request(h, "POST", "/v1/models/fake:predict", `{"instances": [{"b64": "AAEC"}]}`)
	if w.Code != 413 || !strings.Contains(w.Body.String(), "3 bytes is over the limit of 2") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
