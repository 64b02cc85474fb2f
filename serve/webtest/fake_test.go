// Package webtest holds the pages of serve and evaluate against a browser.
package webtest

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kerasrun/batch"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/serve"
	"kerasrun/tensor"
)

// fakeModel is a classifier of 2 x 2 images into three classes. It uses no TensorFlow.
type fakeModel struct{}

func (fakeModel) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{
		MetaGraphs: []savedmodel.MetaGraph{{
			Tags: []string{"serve"},
			Signatures: []savedmodel.Signature{{
				Key: "serving_default",
				Inputs: map[string]savedmodel.TensorInfo{
					"images": {
						Op: "images", DType: tensor.Float32, Shape: tensor.Shape{-1, 2, 2, 3},
					},
				},
				Outputs: map[string]savedmodel.TensorInfo{
					"probs": {Op: "probs", DType: tensor.Float32, Shape: tensor.Shape{-1, 3}},
				},
			}},
		}},
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

func (m fakeModel) Signature(string) (savedmodel.Signature, error) {
	return m.SavedModel().MetaGraphs[0].Signatures[0], nil
}

func (fakeModel) Tags() []string { return []string{"serve"} }

func (fakeModel) Labels() labels.Labels {
	return labels.Labels{
		{ID: "n0", Name: "red"}, {ID: "n1", Name: "green"}, {ID: "n2", Name: "blue"},
	}
}

func (fakeModel) Close() error { return nil }

// RunSignature gives each class its channel's share of the image's light.
func (fakeModel) RunSignature(
	_ context.Context, _ string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	images := in["images"]
	pixels, err := images.Float32s()
	if err != nil {
		return nil, err
	}
	probs := make([]float32, 3*images.Shape[0])
	for row := range int(images.Shape[0]) {
		sum := float32(1e-9)
		for i, v := range pixels[12*row : 12*(row+1)] {
			probs[3*row+i%3] += v
			sum += v
		}
		for c := range 3 {
			probs[3*row+c] /= sum
		}
	}
	out, err := tensor.New(tensor.Shape{images.Shape[0], 3}, probs)
	return map[string]tensor.Tensor{"probs": out}, err
}

// startServer serves the fake over HTTP, as version 1 of "fake", and gives its address; change
// alters the configuration first.
func startServer(t *testing.T, change func(*serve.Config)) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := serve.Config{
		Models:   []serve.ModelConfig{{Name: "fake", Path: dir}},
		Load:     func(context.Context, string) (serve.Model, error) { return fakeModel{}, nil },
		Batching: batch.Default(),
		Limits:   serve.DefaultLimits(),
		Version:  "test",
	}
	if change != nil {
		change(&c)
	}
	s, err := serve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	listeners := serve.Listeners{HTTP: listener, DrainTimeout: 10 * time.Second}
	go func() { done <- s.Serve(ctx, listeners) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// pngImage gives a PNG of one colour.
func pngImage(t *testing.T, r, g, b uint8) []byte {
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
