package serve_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kerasrun/batch"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/serve"
	"kerasrun/tensor"
)

// halfPlusTwo stands for a *runner.Model.
type halfPlusTwo struct{}

func (halfPlusTwo) SavedModel() *savedmodel.Model {
	numbers := savedmodel.TensorInfo{DType: tensor.Float32, Shape: tensor.Shape{-1}}
	return &savedmodel.Model{MetaGraphs: []savedmodel.MetaGraph{
		{Tags: []string{"serve"}, Signatures: []savedmodel.Signature{{
			Key:     "serving_default",
			Inputs:  map[string]savedmodel.TensorInfo{"x": numbers},
			Outputs: map[string]savedmodel.TensorInfo{"y": numbers},
		}}}}}
}

func (halfPlusTwo) RunSignature(_ context.Context, _ string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	x, err := in["x"].Float32s()
	if err != nil {
		return nil, err
	}
	y := make([]float32, len(x))
	for i := range x {
		y[i] = x[i]/2 + 2
	}
	out, err := tensor.New(in["x"].Shape, y)
	return map[string]tensor.Tensor{"y": out}, err
}

func (halfPlusTwo) Tags() []string        { return []string{"serve"} }
func (halfPlusTwo) Labels() labels.Labels { return nil }
func (halfPlusTwo) Close() error          { return nil }

// A service answers for a model among its own addresses.
func Example() {
	models, err := os.MkdirTemp("", "models")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(models)
	if err := os.Mkdir(filepath.Join(models, "1"), 0o755); err != nil {
		fmt.Println(err)
		return
	}
	server, err := serve.New(serve.Config{
		Models: []serve.ModelConfig{{Name: "half_plus_two", Path: models}},
		// runner.Open(dir)
		Load: func(_ context.Context, dir string) (serve.Model, error) {
			return halfPlusTwo{},
				nil
		},
		Batching: batch.Default(),
		Limits:   serve.DefaultLimits(),
		Poll:     time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	mux := http.NewServeMux()
	mux.Handle("/", server.Handler())
	service := httptest.NewServer(mux)
	defer service.Close()

	answer, err := http.Post(service.URL+"/v1/models/half_plus_two:predict", "application/json",
		strings.NewReader(`{"instances": [1.0, 2.0, 5.0]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	fmt.Println(answer.Status, string(text), err)
	// Output:
	// 200 OK {"predictions": [2.5, 3.0, 4.5]}
	//  <nil>
}
