package runner

import (
	"fmt"
	"os"
	"testing"

	"kerasrun/tensor"
)

// exported is the model that `make run` exports.
const exported = "../models/resnext50"

func openExported(b *testing.B) *Model {
	b.Helper()
	m, err := Open(b.Context(), exported, probed)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	return m
}

// BenchmarkOpen measures loading, up to the first answer.
func BenchmarkOpen(b *testing.B) {
	image := readPhoto(b)
	for b.Loop() {
		m, err := Open(b.Context(), exported, probed)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.Classify(b.Context(), 5, image); err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRun measures the model alone, tensor to tensor; time is that of a batch.
func BenchmarkRun(b *testing.B) {
	m := openExported(b)
	for _, batch := range []int64{1, 8, 32} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			shape := tensor.Shape{batch, int64(m.pipeline.Height), int64(m.pipeline.Width), 3}
			images, err := tensor.New(shape, make([]float32,
				int(batch)*m.pipeline.Height*m.pipeline.Width*3))
			if err != nil {
				b.Fatal(err)
			}
			in := map[string]tensor.Tensor{m.directory.Manifest.Image().Name: images}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Run(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkClassify measures the whole way, bytes of image files to the best five classes; time
// is that of all the files.
func BenchmarkClassify(b *testing.B) {
	m, image := openExported(b), readPhoto(b)
	for _, files := range []int{1, 8, 32, 96} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			images := make([][]byte, files)
			for i := range images {
				images[i] = image
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Classify(b.Context(), 5, images...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func readPhoto(b *testing.B) []byte {
	b.Helper()
	image, err := os.ReadFile("../testdata/photos/china.jpg")
	if err != nil {
		b.Fatal(err)
	}
	return image
}
