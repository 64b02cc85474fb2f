package classify_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/preprocess"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// recorder keeps the inputs of each run. Its output is, of each row, the number of the row in all
// runs.
type recorder struct {
	input contract.Input
	mu    sync.Mutex
	runs  []tensor.Tensor
	rows  float32
}

func (r *recorder) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{Manifest: &contract.Manifest{
		Inputs: []contract.Input{r.input},
		Outputs: map[string][]contract.Output{contract.DefaultSignature: {
			{Name: "row", Kind: contract.Regression}}},
		Answer: "row",
	}}
}

func (r *recorder) Signature(key string) (savedmodel.Signature, error) {
	dtype, err := tensor.ParseDType(r.input.DType)
	return savedmodel.Signature{
		Key:     key,
		Inputs:  map[string]savedmodel.TensorInfo{"x": {DType: dtype, Shape: r.input.Shape}},
		Outputs: map[string]savedmodel.TensorInfo{"row": {DType: tensor.Float32}},
	}, err
}

func (r *recorder) Labels() labels.Labels { return nil }

func (r *recorder) RunSignature(
	_ context.Context, _ string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := in["x"]
	if values, ok := kept.Data.([]float32); ok { // whose memory is used again
		kept.Data = slices.Clone(values)
	}
	r.runs = append(r.runs, kept)
	out := make([]float32, kept.Shape[0])
	for i := range out {
		out[i] = r.rows
		r.rows++
	}
	t, err := tensor.New(tensor.Shape{int64(len(out)), 1}, out)
	return map[string]tensor.Tensor{"row": t}, err
}

// spotted returns an image in which no two filters and decoders see the same.
func spotted(width, height int, asJPEG bool) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		x, y := i%width, i/width
		img.Set(x, y, color.NRGBA{uint8(x * 37), uint8(y * 53), uint8(x * y * 11), 255})
	}
	var out bytes.Buffer
	encode := png.Encode
	if asJPEG {
		encode = func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) }
	}
	if err := encode(&out, img); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// TestPipelines compares what the model gets of images with what their pipeline makes of them, for
// every kind of tensor.
func TestPipelines(t *testing.T) {
	images := [][]byte{spotted(9, 7, false), spotted(8, 11, true), spotted(9, 7, true),
		spotted(5, 5, false), spotted(8, 11, false), spotted(9, 7, false)}
	rgb := func(by, method, fit string, dtype, layout string, shape ...int64) contract.Input {
		return contract.Input{Name: "x", Kind: contract.KindImage, DType: dtype, Layout: layout,
			Shape:     shape,
			Decode:    &contract.Decode{By: by, Color: "rgb"},
			Resize:    &contract.Resize{By: by, Method: method, Fit: fit},
			Normalize: &contract.Normalize{DType: "float32"}}
	}
	divided := func(in contract.Input) contract.Input {
		in.Normalize.Steps = []contract.Step{{Op: "divide", Values: []float64{255}}}
		return in
	}
	grey := divided(rgb("pillow", "bilinear", "stretch", "float32", "NHW", -1, 6, 4))
	grey.Decode.Color = "grayscale"
	opencv := rgb("opencv", "linear", "stretch", "float16", "NHWC", -1, 6, 4, 3)
	opencv.Decode.Color = "bgr"
	for name, c := range map[string]struct {
		input contract.Input
		runs  [][]int // the images of each run
	}{
		"floats of a resize": {
			divided(rgb("tensorflow", "bilinear", "stretch", "float32", "NHWC", -1, 6, 4, 3)),
			[][]int{{0, 1, 2, 3, 4, 5}}},
		"channels first": {
			divided(rgb("pillow", "nearest", "stretch", "float32", "NCHW", -1, 3, 6, 4)),
			[][]int{{0, 1, 2, 3, 4, 5}}},
		"uint8": {rgb("pillow", "bicubic", "stretch", "uint8", "NHWC", -1, 6, 4, 3),
			[][]int{{0, 1, 2, 3, 4, 5}}},
		"uint8 of floats": {rgb("tensorflow", "bilinear", "stretch", "uint8", "NHWC", -1, 6, 4, 3),
			[][]int{{0, 1, 2, 3, 4, 5}}},
		"float16 by OpenCV": {opencv, [][]int{{0, 1, 2, 3, 4, 5}}},
		"grey without axis": {grey, [][]int{{0, 1, 2, 3, 4, 5}}},
		"a fixed batch of 4": {
			divided(rgb("pillow", "nearest", "stretch", "float32", "NHWC", 4, 6, 4, 3)),
			[][]int{{0, 1, 2, 3}, {4, 5, 5, 5}}},
		"any size": {
			divided(rgb("pillow", "nearest", "none", "float32", "NHWC", -1, -1, -1, 3)),
			[][]int{{0, 2, 5}, {1, 4}, {3}}},
		"any size one by one": {
			divided(rgb("tensorflow", "nearest", "none", "float32", "NHWC", 1, -1, -1, 3)),
			[][]int{{0}, {2}, {5}, {1}, {4}, {3}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &recorder{input: c.input}
			answers, err := newClassifier(t, m, classify.Options{BatchSize: 8}).Answer(t.Context(),
				1, images...)
			if err != nil {
				t.Fatal(err)
			}
			pipeline, err := c.input.Pipeline()
			if err != nil {
				t.Fatal(err)
			}
			var want []tensor.Tensor
			row := float32(0)
			for _, run := range c.runs {
				want = append(want, tensorOf(t, pipeline, images, run))
				seen := map[int]bool{}
				for _, i := range run {
					if got := answers[i].Values.Data.([]float32)[0]; got != row && !seen[i] {
						t.Errorf("image %d: got the answer of row %v, want of %v", i, got, row)
					}
					seen[i] = true
					row++
				}
			}
			if diff := cmp.Diff(want, m.runs); diff != "" {
				t.Errorf("-want +got:\n%.2000s", diff)
			}
		})
	}
}

// tensorOf makes the tensor of a run by the pipeline alone.
func tensorOf(t *testing.T, p *preprocess.Pipeline, images [][]byte, run []int) tensor.Tensor {
	t.Helper()
	rows := make([]tensor.Tensor, len(run))
	for row, i := range run {
		m, err := p.Image(images[i])
		if err != nil {
			t.Fatal(err)
		}
		if rows[row], err = p.Tensor(m); err != nil {
			t.Fatal(err)
		}
		rows[row].Shape = slices.Concat(tensor.Shape{1}, rows[row].Shape)
	}
	all, err := tensor.Concat(rows)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The floats of a resize are not whole numbers: nothing rounds them while they wait.
func TestFloatsStayFloats(t *testing.T) {
	m := &recorder{input: contract.Input{Name: "x", Kind: contract.KindImage, DType: "float32",
		Layout: "NHWC", Shape: tensor.Shape{-1, 6, 4, 3},
		Decode:    &contract.Decode{By: "tensorflow", Color: "rgb"},
		Resize:    &contract.Resize{By: "tensorflow", Method: "bilinear", Fit: "stretch"},
		Normalize: &contract.Normalize{DType: "float32"}}}
	_, err := newClassifier(t, m, classify.Options{}).Answer(t.Context(), 1, spotted(9, 7, false))
	if err != nil {
		t.Fatal(err)
	}
	values := m.runs[0].Data.([]float32)
	if !slices.ContainsFunc(values, func(x float32) bool { return x != float32(int(x)) }) {
		t.Errorf("got %v, want fractions among them", values)
	}
}

// A graph that decodes for itself gets the bytes of files as they are; no image is decoded here, so
// that none is refused.
func TestEncoded(t *testing.T) {
	m := &recorder{input: contract.Input{Name: "x", Kind: contract.KindEncoded, DType: "string",
		Shape: tensor.Shape{-1}}}
	files := [][]byte{spotted(5, 5, true), []byte("anything"), spotted(9, 7, false)}
	d, err := classify.NewDecoders(classify.Limits{ImageBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	c := newClassifier(t, m, classify.Options{Decoders: d})
	if _, err := c.Answer(t.Context(), 1, files...); err != nil {
		t.Fatal(err)
	}
	if got := m.runs[0].Data.([][]byte); !slices.EqualFunc(got, files, bytes.Equal) {
		t.Errorf("got %q, want %q", got, files)
	}
	if _, err := c.Answer(t.Context(), 1, make([]byte, 1001)); err == nil {
		t.Error("got no error of a file over the limit")
	}
}
