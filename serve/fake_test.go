package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"kerasrun/batch"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// fakeModel is a classifier of 2 x 2 images into three classes, with TensorFlow Serving's
// half_plus_two and a signature of many types beside it. It uses no TensorFlow.
type fakeModel struct {
	gate   chan struct{} // if not nil, each run takes one from it first
	closed atomic.Bool

	waiting atomic.Int64 // runs that wait at the gate
	rows    atomic.Int64 // of half_plus_two
}

var errFake = errors.New("the fake failed")

func info(op string, d tensor.DType, shape ...int64) savedmodel.TensorInfo {
	return savedmodel.TensorInfo{Op: op, DType: d, Shape: shape}
}

var fakeSignatures = []savedmodel.Signature{
	{
		Key: "serving_default", Method: "tensorflow/serving/predict",
		Inputs: map[string]savedmodel.TensorInfo{"images": info("images", tensor.Float32, -1, 2, 2,
			3)},
		Outputs: map[string]savedmodel.TensorInfo{
			"probs": info("probs", tensor.Float32, -1, 3), "logits": info("logits", tensor.Float32,
				-1, 3),
		},
	},
	{
		Key: "half_plus_two", Method: "tensorflow/serving/predict",
		Inputs:  map[string]savedmodel.TensorInfo{"x": info("x", tensor.Float32, -1)},
		Outputs: map[string]savedmodel.TensorInfo{"y": info("y", tensor.Float32, -1)},
	},
	{
		Key: "echo", Method: "tensorflow/serving/predict",
		Inputs: map[string]savedmodel.TensorInfo{
			"tag": info("tag", tensor.String, -1), "signal": info("signal", tensor.Int32, -1,
				-1), "on": info("on", tensor.Bool, -1),
		},
		Outputs: map[string]savedmodel.TensorInfo{
			"tag": info("tag", tensor.String, -1), "signal": info("signal", tensor.Int32, -1,
				-1), "on": info("on", tensor.Bool, -1),
			"tag_bytes": info("tag", tensor.String, -1),
		},
	},
	{
		Key: "sum", Method: "tensorflow/serving/predict", // cannot be batched
		Inputs:  map[string]savedmodel.TensorInfo{"x": info("x", tensor.Float64, -1)},
		Outputs: map[string]savedmodel.TensorInfo{"sum": info("sum", tensor.Float64)},
	},
}

func (m *fakeModel) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{
		MetaGraphs: []savedmodel.MetaGraph{{Tags: []string{"serve"}, Signatures: fakeSignatures}},
		Manifest: &contract.Manifest{
			Inputs: []contract.Input{contract.Input1{
				Name: "images", DType: "float32", Height: 2, Width: 2, Channels: 3, Layout: "NHWC",
				ColorOrder: "RGB", Mode: "none", Resample: "nearest", Fit: "stretch",
			}.Input()},
			Outputs: map[string][]contract.Output{contract.DefaultSignature: {
				{Name: "probs", Kind: contract.Probabilities}}},
			Answer: "probs",
		},
	}
}

func (m *fakeModel) Tags() []string { return []string{"serve"} }

func (m *fakeModel) Labels() labels.Labels {
	return labels.Labels{{ID: "n0", Name: "red"}, {ID: "n1", Name: "green"},
		{ID: "n2", Name: "blue"}}
}

func (m *fakeModel) Close() error {
	m.closed.Store(true)
	return nil
}

func (m *fakeModel) RunSignature(_ context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	if m.closed.Load() {
		return nil, errors.New("the fake was run after it was closed")
	}
	if m.gate != nil {
		m.waiting.Add(1)
		<-m.gate
		m.waiting.Add(-1)
	}
	switch key {
	case "half_plus_two":
		x := in["x"].Data.([]float32)
		m.rows.Add(int64(len(x)))
		y := make([]float32, len(x))
		for i, v := range x {
			if v == 666 {
				return nil, errFake
			}
			y[i] = v/2 + 2
		}
		return map[string]tensor.Tensor{"y": {DType: tensor.Float32, Shape: in["x"].Shape,
			Data: y}}, nil
	case "echo":
		return map[string]tensor.Tensor{"tag": in["tag"], "signal": in["signal"], "on": in["on"],
			"tag_bytes": in["tag"]}, nil
	case "sum":
		sum := 0.0
		for _, v := range in["x"].Data.([]float64) {
			sum += v
		}
		return map[string]tensor.Tensor{"sum": {DType: tensor.Float64, Shape: tensor.Shape{},
			Data: []float64{sum}}}, nil
	}
	return classifyPixels(in["images"])
}

// classifyPixels gives each class its channel's share of the image's light, and the light itself as
// its logit.
func classifyPixels(images tensor.Tensor) (map[string]tensor.Tensor, error) {
	pixels := images.Data.([]float32)
	rows := int(images.Shape[0])
	logits, probs := make([]float32, 3*rows), make([]float32, 3*rows)
	for row := range rows {
		sum := float32(1e-9)
		for i, v := range pixels[12*row : 12*(row+1)] {
			logits[3*row+i%3] += v
			sum += v
		}
		for c := range 3 {
			probs[3*row+c] = logits[3*row+c] / sum
		}
	}
	shape := tensor.Shape{int64(rows), 3}
	return map[string]tensor.Tensor{
		"logits": {DType: tensor.Float32, Shape: shape, Data: logits}, "probs": {
			DType: tensor.Float32, Shape: shape, Data: probs},
	}, nil
}

// image returns a PNG of one colour.
func pngImage(t testing.TB, r, g, b uint8) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 4, 3))
	for i := range 12 {
		img.Set(i%4, i/4, color.NRGBA{r, g, b, 255})
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// startServer serves model as version 1 of "fake"; change alters the configuration first.
func startServer(t testing.TB, model Model, change func(*Config)) *Server {
	t.Helper()
	c := Config{
		Models: []ModelConfig{
			{Name: "fake", Path: modelDirectory(t), Labels: map[string]int64{"stable": 1}}},
		Load:     func(context.Context, string) (Model, error) { return model, nil },
		Batching: batch.Default(),
		Limits:   DefaultLimits(),
		Version:  "test",
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// modelDirectory makes a directory with an empty version 1.
func modelDirectory(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	addVersion(t, dir, "1")
	return dir
}

// request sends one request to a handler and returns the answer.
func request(h http.Handler, method, path, body string,
	headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// jsonText is text as it stands in a JSON string.
func jsonText(text string) string {
	quoted, _ := json.Marshal(text)
	return strings.Trim(string(quoted), `"`)
}
