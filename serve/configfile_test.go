package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kerasrun/batch"
)

func textFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.config")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// The text is in the form of TensorFlow Serving's own documentation.
func TestReadModels(t *testing.T) {
	path := textFile(t, `
model_config_list {
  config {
    name: 'my_first_model'
    base_path: '/tmp/my_first_model/'
    model_platform: 'tensorflow'
  }
  config {
    name: "my_second_model"
    base_path: "my_second_model"
    model_version_policy { specific { versions: 42 versions: 43 } }
    version_labels { key: 'stable' value: 42 }
    version_labels { key: 'canary' value: 43 }
  }
  config: {
    name: "third", base_path: "/third", model_version_policy: { latest: { num_versions: 2 } }
  }
  config { name: "fourth" base_path: "/fourth" model_version_policy { all {} } }
  config { name: "fifth" base_path: "s3://bucket/fifth" }
}`)
	got, err := ReadModels(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []ModelConfig{
		{Name: "my_first_model", Path: "/tmp/my_first_model/"},
		{Name: "my_second_model", Path: filepath.Join(filepath.Dir(path), "my_second_model"),
			Policy: Policy{Specific: []int64{42, 43}},
			Labels: map[string]int64{"stable": 42, "canary": 43}},
		{Name: "third", Path: "/third", Policy: Policy{Latest: 2}},
		{Name: "fourth", Path: "/fourth", Policy: Policy{All: true}},
		{Name: "fifth", Path: "s3://bucket/fifth"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		"":                     "at least one config",
		"model_config_list {}": "at least one config",
		"model_config_list { config { name: 'a' model_platform: 'onnx' } }": "expected tensorflow",
		"model_config_list { config { nme: 'a' } }":                         "nme",
		"model_config_list {": "file.config",
	} {
		if got, err := ReadModels(textFile(t, text)); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want an error with %q", text, got, err, want)
		}
	}
	if _, err := ReadModels(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("got %v, want no such file", err)
	}
}

func TestReadBatching(t *testing.T) {
	got, err := ReadBatching(textFile(t, `
max_batch_size { value: 128 }
batch_timeout_micros { value: 1500 }
max_enqueued_batches { value: 1000000 }
num_batch_threads { value: 8 }
allowed_batch_sizes: 64
allowed_batch_sizes: 128
enable_large_batch_splitting { value: false }`), batch.Default())
	if err != nil {
		t.Fatal(err)
	}
	want := batch.Parameters{MaxBatchSize: 128, BatchTimeout: 1500 * time.Microsecond,
		MaxEnqueuedBatches: 1000000, NumBatchThreads: 8,
		QueueTimeout:      batch.Default().QueueTimeout,
		AllowedBatchSizes: []int{64, 128}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := ReadBatching(textFile(t, ""), batch.Default()); err != nil ||
		!cmp.Equal(got, batch.Default()) {
		t.Errorf("an empty file: %+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"max_batch_size { value: 0 }":                         "max_batch_size",
		"batch_timeout_micros { value: 9223372036854775807 }": "too long",
		"pad_variable_length_inputs: true":                    "pad_variable_length_inputs",
	} {
		if got, err := ReadBatching(textFile(t, text), batch.Default()); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want an error with %q", text, got, err, want)
		}
	}
}
