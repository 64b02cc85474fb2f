package serve

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"kerasrun/batch"
	"kerasrun/internal/tfrecord"
	"kerasrun/serve/internal/servingpb"
	"kerasrun/tensor"
)

// recording is a fake that remembers what it was run with.
type recording struct {
	*fakeModel
	runs []string
}

func (r *recording) RunSignature(ctx context.Context, key string, in map[string]tensor.Tensor) (
	map[string]tensor.Tensor, error) {
	r.runs = append(r.runs, key+" "+shapes(in))
	return r.fakeModel.RunSignature(ctx, key, in)
}

func shapes(in map[string]tensor.Tensor) string {
	if t, ok := in["images"]; ok {
		sum := float32(0)
		for _, v := range t.Data.([]float32) {
			sum += v
		}
		return t.Shape.String() + " sum " + fmt.Sprint(sum)
	}
	if t, ok := in["x"]; ok {
		return t.Shape.String()
	}
	return in["signal"].Shape.String()
}

// testdata/warmup.py wrote the requests, with TensorFlow.
func TestWarmup(t *testing.T) {
	m := &recording{fakeModel: &fakeModel{}}
	startServer(t, m, func(c *Config) {
		c.Models[0].Path = modelWith(t, "testdata/warmup")
		c.Batching.AllowedBatchSizes = []int{4, 32}
	})
	want := "serving_default (1, 2, 2, 3) sum 12; half_plus_two (3,); echo (1, 1); sum (1,); " +
		"serving_default (4, 2, 2, 3) sum 0; serving_default (32, 2, 2, 3) sum 0"
	if got := strings.Join(m.runs, "; "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWarmupWithoutRequests(t *testing.T) {
	m := &recording{fakeModel: &fakeModel{}}
	startServer(t, m, nil)
	if got, want := strings.Join(m.runs, "; "),
		"serving_default (1, 2, 2, 3) sum 0; serving_default (32, 2, 2, 3) sum 0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// modelWith makes a directory whose version 1 has the warm-up requests of dir.
func modelWith(t *testing.T, dir string) string {
	t.Helper()
	requests, err := os.ReadFile(filepath.Join(dir, WarmupPath))
	if err != nil {
		t.Fatal(err)
	}
	return modelWithRequests(t, requests)
}

func modelWithRequests(t *testing.T, requests []byte) string {
	t.Helper()
	models := modelDirectory(t)
	path := filepath.Join(models, "1", WarmupPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, requests, 0o644); err != nil {
		t.Fatal(err)
	}
	return models
}

func TestBrokenWarmupRefusesTheVersion(t *testing.T) {
	good, err := os.ReadFile("testdata/warmup/" + WarmupPath)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	for _, c := range []struct {
		name     string
		requests []byte
		want     string
	}{
		{"length", flip(0), "checksum of the length"},
		{"data", flip(14), "checksum of the data"},
		{"cut short", good[:len(good)-1], "unexpected EOF"},
		{"cut in the header", good[:5], "unexpected EOF"},
	} {
		m := &fakeModel{}
		s, err := New(Config{
			Models:   []ModelConfig{{Name: "fake", Path: modelWithRequests(t, c.requests)}},
			Load:     func(context.Context, string) (Model, error) { return m, nil },
			Batching: batch.Default(), Limits: DefaultLimits(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), "record ") {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
		if !m.closed.Load() {
			t.Errorf("%s: the model was not closed", c.name)
		}
		s.Close()
	}
}

// Whatever stands in the file of warm-up requests, reading it ends with tensors that hold together
// or an error.
func FuzzWarmup(f *testing.F) {
	good, err := os.ReadFile("testdata/warmup/" + WarmupPath)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		for {
			record, err := tfrecord.Read(in, maxWarmupRecordBytes)
			if err == io.EOF {
				return
			}
			if err != nil {
				record, in = data, bytes.NewReader(nil) // no record; then the message itself
			}
			var log servingpb.PredictionLog
			if proto.Unmarshal(record, &log) != nil {
				continue
			}
			held := &account{memory: newMemory(maxWarmupRecordBytes)}
			for _, p := range log.GetPredictLog().GetRequest().GetInputs() {
				if n, err := readTensorProto(p, held); err == nil {
					if err := n.Validate(); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
}
