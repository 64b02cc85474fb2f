package webtest

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/serve"
	"kerasrun/tensor"
)

// kindModel answers every image with one row of an output of any kind.
type kindModel struct {
	fakeModel
	output    contract.Output
	names     labels.Labels
	fit       string
	row       []float32
	shape     tensor.Shape // of the row
	synthetic bool
}

func (m kindModel) SavedModel() *savedmodel.Model {
	directory := m.fakeModel.SavedModel()
	directory.MetaGraphs[0].Signatures[0].Outputs = map[string]savedmodel.TensorInfo{
		"y": {Op: "y", DType: tensor.Float32, Shape: append(tensor.Shape{-1}, m.shape...)},
	}
	m.output.Name = "y"
	directory.Manifest.Outputs[contract.DefaultSignature] = []contract.Output{m.output}
	directory.Manifest.Answer = "y"
	if m.fit != "" {
		directory.Manifest.Inputs[0].Resize.Fit = m.fit
	}
	if m.synthetic {
		directory.Manifest.Weights.Source = "synthetic:0"
	}
	return directory
}

func (m kindModel) Labels() labels.Labels { return m.names }

func (m kindModel) RunSignature(
	_ context.Context, _ string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	rows := in["images"].Shape[0]
	var values []float32
	for range rows {
		values = append(values, m.row...)
	}
	out, err := tensor.New(append(tensor.Shape{rows}, m.shape...), values)
	return map[string]tensor.Tensor{"y": out}, err
}

// landscape returns a PNG of 300 x 200.
func landscape(t *testing.T) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 300, 200))
	for i := range 300 * 200 {
		x, y := i%300, i/300
		img.Set(x, y, color.NRGBA{uint8(x / 2), uint8(120 + y/3), uint8(220 - y), 255})
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func names(words ...string) (l labels.Labels) {
	for _, word := range words {
		l = append(l, labels.Class{ID: word, Name: word})
	}
	return l
}

// TestPageKinds shows each kind of answer, in the light, in the dark and on a telephone.
func TestPageKinds(t *testing.T) {
	half := []float64{0.5}
	spots := make([]float32, 0, 12*18*3)
	for i := range 12 * 18 {
		x, y := i%18, i/18
		spot := []float32{1, 0, 0}
		if (x-6)*(x-6)+(y-6)*(y-6) < 16 {
			spot = []float32{0, 1, 0}
		} else if y > 9 {
			spot = []float32{0, 0, 1}
		}
		spots = append(spots, spot...)
	}
	for name, c := range map[string]struct {
		model kindModel
		want  string
	}{
		"binary": {kindModel{output: contract.Output{Kind: contract.Binary, Thresholds: half},
			names: names("cat", "dog"), row: []float32{0.875}, shape: tensor.Shape{1}},
			"dog 87.5 % cat 12.5 %"},
		"multilabel": {kindModel{output: contract.Output{Kind: contract.Multilabel, Thresholds: half},
			names: names("sea", "sky", "tree"), row: []float32{0.75, 0.9, 0.25},
			shape: tensor.Shape{3}}, "sky 90.0 % sea 75.0 %"},
		"none": {kindModel{output: contract.Output{Kind: contract.Multilabel, Thresholds: half},
			row: []float32{0.25}, shape: tensor.Shape{1}}, "No class is over its threshold."},
		"regression": {kindModel{output: contract.Output{Kind: contract.Regression},
			names: names("age", "height"), row: []float32{31, -1.5}, shape: tensor.Shape{2}},
			"age 31 height -1.5"},
		"embedding": {kindModel{output: contract.Output{Kind: contract.Embedding}, synthetic: true,
			row: []float32{3, 4, 0, 0, 0, 0, 0, 0, 0}, shape: tensor.Shape{9}},
			"9 values, of the length 5.00000: 3.000, 4.000, 0.000, 0.000, 0.000, 0.000, 0.000, 0.000, ..."},
		"map": {kindModel{output: contract.Output{Kind: contract.Map},
			names: names("sky", "balloon", "sea"), row: spots, shape: tensor.Shape{12, 18, 3}},
			"sky 62.5 % balloon 20.8 % sea 16.7 %"},
		"cropped": {kindModel{output: contract.Output{Kind: contract.Map}, fit: "crop",
			row: spots, shape: tensor.Shape{12, 18, 3}},
			"class 0 62.5 % class 1 20.8 % class 2 16.7 %"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := browser(t, func(config *serve.Config) {
				config.Load = func(context.Context, string) (serve.Model, error) { return c.model, nil }
			})
			do(t, ctx, upload(t, "image.png", landscape(t)))
			do(t, ctx, chromedp.WaitVisible(chromedp.ID("times")))
			got := get(t, ctx, chromedp.Evaluate[string](`["summary", "classes"].map((id) => `+
				`document.getElementById(id)).filter((e) => !e.hidden).map((e) => e.innerText).join(" ")`))
			if got = strings.Join(strings.Fields(got), " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			warned := get(t, ctx, chromedp.Evaluate[bool](
				`!document.getElementById("warning").hidden`))
			if warned != c.model.synthetic {
				t.Errorf("got a warning: %v, want %v", warned, c.model.synthetic)
			}
			over := get(t, ctx, chromedp.Evaluate[bool](`!document.getElementById("map").hidden && `+
				`document.getElementById("map").clientWidth === document.getElementById("image").clientWidth`))
			if over != (name == "map") {
				t.Errorf("got a map over the image: %v", over)
			}
			screenshot(t, ctx, "kind-"+name)
			dark := emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, dark); err != nil {
				t.Fatal(err)
			}
			do(t, ctx, chromedp.EmulateViewport(360, 780))
			screenshot(t, ctx, "kind-"+name+"-dark-narrow")
			if width := get(t, ctx, chromedp.Evaluate[int](
				`document.documentElement.scrollWidth`)); width > 360 {
				t.Errorf("on a telephone the page is %d wide", width)
			}
		})
	}
}
