package main

import (
	"bytes"
	"encoding/binary"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	tg "github.com/galeone/tfgo"
)

// openTFGo is what tfgo's documentation shows: LoadModel, NewTensor, Exec, Value.
func openTFGo(dir, output string, images []float32, batch int) (func() ([]float32, error), error) {
	model := tg.LoadModel(dir, []string{"serve"}, nil)
	return func() ([]float32, error) {
		// A [][][][]float32 would be slower still; ReadTensor is the quickest way that the bindings
		// have.
		raw := make([]byte, 0, 4*len(images))
		raw, err := binary.Append(raw, binary.LittleEndian, images)
		if err != nil {
			return nil, err
		}
		tensor, err := tf.ReadTensor(tf.Float, []int64{int64(batch), 224, 224, 3},
			bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		results := model.Exec([]tf.Output{model.Op(output, 0)},
			map[tf.Output]*tf.Tensor{model.Op("images", 0): tensor})
		var flat []float32
		for _, row := range results[0].Value().([][]float32) {
			flat = append(flat, row...)
		}
		return flat, nil
	}, nil
}
