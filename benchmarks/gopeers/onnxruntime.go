package main

import (
	"runtime"

	ort "github.com/yalue/onnxruntime_go"
)

func openONNX(
	library, path string, images []float32, batch int,
) (func() ([]float32, error), error) {
	ort.SetSharedLibraryPath(library)
	if err := ort.InitializeEnvironment(); err != nil {
		return nil, err
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	if err := options.SetIntraOpNumThreads(runtime.NumCPU()); err != nil {
		return nil, err
	}
	in, err := ort.NewTensor(ort.NewShape(int64(batch), 224, 224, 3), images)
	if err != nil {
		return nil, err
	}
	session, err := ort.NewDynamicAdvancedSession(path, []string{"images"}, []string{"output"},
		options)
	if err != nil {
		return nil, err
	}
	outputs := []ort.Value{nil} // made by the first run, as large as the model says, and reused
	return func() ([]float32, error) {
		if err := session.Run([]ort.Value{in}, outputs); err != nil {
			return nil, err
		}
		return outputs[0].(*ort.Tensor[float32]).GetData(), nil
	}, nil
}
