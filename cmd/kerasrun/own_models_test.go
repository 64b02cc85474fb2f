package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kerasrun/batch"
	"kerasrun/contract"
	"kerasrun/runner"
	"kerasrun/savedmodel"
	"kerasrun/serve"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// ownModel is what Keras says of one of testdata/own_models.py's models.
type ownModel struct {
	Output string
	Kind   string
	Shape  []int64
	Rows   [][]float32 // the answer of each image, flat; after softmax
	Images []string    // where they are others
	Ages   [][]float32 // of two_inputs
	Steps  string      // of sequence: the file of its tensor
}

var ownModelsDir shared

// ownModels runs testdata/own_models.py, once for all tests, and returns its directory, its images
// and its models by name. It goes to the repository as inRepository does.
func ownModels(t *testing.T) (dir string, images []string, models map[string]ownModel) {
	t.Helper()
	inRepository(t)
	dir = ownModelsDir.of(t, "own_models.py")
	var all map[string]json.RawMessage
	unmarshal(t, []byte(readFile(t, filepath.Join(dir, "expected.json"))), &all)
	unmarshal(t, all["images"], &images)
	delete(all, "images")
	models = map[string]ownModel{}
	for name, raw := range all {
		var m ownModel
		unmarshal(t, raw, &m)
		models[name] = m
	}
	return dir, images, models
}

// TestClassifyOwnModels compares the answers to files, of models of every kind of input and output,
// with what Keras predicts of tensors that were made as training code makes them.
func TestClassifyOwnModels(t *testing.T) {
	dir, images, models := ownModels(t)
	for name, want := range models {
		images := images
		if want.Images != nil {
			images = want.Images
		}
		if want.Ages != nil || want.Steps != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			model := filepath.Join(dir, name)
			args := []string{"classify", "--model", model, "--topk", "1000", "--format", "jsonl"}
			if name == "decoding" {
				args = append(args, "--allow-op", "DecodeJpeg")
			}
			lines := strings.Split(strings.TrimSpace(well(t, append(args, images...)...)), "\n")
			of := map[string][]map[string]any{} // the rows of each image
			for _, line := range lines {
				var row map[string]any
				unmarshal(t, []byte(line), &row)
				path := row["path"].(string)
				of[path] = append(of[path], row)
			}
			for i, image := range images {
				if err := sameAnswer(of[image], want, want.Rows[i]); err != nil {
					t.Errorf("%s: %v", filepath.Base(image), err)
				}
			}
		})
	}
}

// sameAnswer compares the rows that classify wrote of an image with Keras's row.
func sameAnswer(rows []map[string]any, want ownModel, values []float32) error {
	near := func(got any, want float32) error {
		if x := got.(float64); !(math.Abs(x-float64(want)) <= 1e-5*max(1, math.Abs(float64(want)))) {
			return fmt.Errorf("got %v, want %v", x, want)
		}
		return nil
	}
	first := func() int { return int(rows[0]["index"].(float64)) }
	switch want.Kind {
	case contract.Regression, contract.Embedding:
		got := rows[0]["values"].([]any)
		if len(rows) != 1 || len(got) != len(values) {
			return fmt.Errorf("got %v, want %d values", rows, len(values))
		}
		for i, x := range got {
			if err := near(x, values[i]); err != nil {
				return fmt.Errorf("value %d: %w", i, err)
			}
		}
	case contract.Map:
		pixels := map[int]int{}
		classes := int(want.Shape[2])
		for pixel := range slices.Chunk(values, classes) {
			pixels[slices.Index(pixel, slices.Max(pixel))]++
		}
		for _, row := range rows {
			if index := int(row["index"].(float64)); pixels[index] != int(row["pixels"].(float64)) {
				return fmt.Errorf("class %d: got %v pixels, want %d", index, row["pixels"], pixels[index])
			}
		}
		if len(rows) != len(pixels) {
			return fmt.Errorf("got %d classes, want %d", len(rows), len(pixels))
		}
	case contract.Binary:
		decided := 0
		if values[0] > 0.5 {
			decided = 1
		}
		if len(rows) != 2 || first() != decided || rows[0]["name"] != []string{"no", "yes"}[decided] {
			return fmt.Errorf("got %v, want class %d decided", rows, decided)
		}
		p := values[0]
		if decided == 0 {
			p = 1 - p
		}
		return near(rows[0]["probability"], p)
	case contract.Multilabel:
		found := map[int]any{}
		for _, row := range rows {
			if index, ok := row["index"]; ok {
				found[int(index.(float64))] = row["probability"]
			}
		}
		for i, p := range values {
			got, ok := found[i]
			if over := p > []float32{0.3, 0.5, 0.7, 0.5}[i]; over != ok {
				return fmt.Errorf("class %d of %v: over its threshold: got %v, want %v", i, p, ok, over)
			} else if ok {
				if err := near(got, p); err != nil {
					return fmt.Errorf("class %d: %w", i, err)
				}
			}
		}
	default:
		if len(rows) != len(values) || first() != slices.Index(values, slices.Max(values)) {
			return fmt.Errorf("got %v, want the best of %v", rows, values)
		}
		for _, row := range rows {
			if err := near(row["probability"], values[int(row["index"].(float64))]); err != nil {
				return fmt.Errorf("class %v: %w", row["index"], err)
			}
		}
	}
	return nil
}

// TestModelAnswer has the same by Go's API, and an output that is not the first.
func TestModelAnswer(t *testing.T) {
	dir, images, models := ownModels(t)
	m, err := runner.Open(t.Context(), filepath.Join(dir, "numbers")) // its export vouches for it
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	answers, err := m.Answer(t.Context(), 1, []byte(readFile(t, images[0])))
	if err != nil {
		t.Fatal(err)
	}
	got := answers[0].Values.Data.([]float32)
	want := models["numbers"].Rows[0]
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= 1e-5*math.Abs(float64(want[i]))) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if _, err := m.Classify(t.Context(), 1, []byte(readFile(t, images[0]))); err == nil ||
		!strings.Contains(err.Error(), "got regression: Answer returns it") {
		t.Errorf("Classify: got %v, want Answer to be named", err)
	}
}

// TestClassifyNeedsMore has the errors of models that an image alone, or nothing, makes run.
func TestClassifyNeedsMore(t *testing.T) {
	dir, images, _ := ownModels(t)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"cannot be answered from an image alone: run it on tensors, by `kerasrun predict`",
			[]string{"--model", filepath.Join(dir, "two_inputs"), images[0]}},
		{"--allow-op DecodeJpeg", []string{"--model", filepath.Join(dir, "decoding"), images[1]}},
		{"--map-dir: expected a model that answers with a map, got regression",
			[]string{"--model", filepath.Join(dir, "numbers"), "--map-dir", t.TempDir(), images[1]}},
	} {
		status, _, stderr := call(t, nil, append([]string{"classify"}, c.args...)...)
		if status == 0 || !strings.Contains(stderr, c.want) {
			t.Errorf("got exit status %d and %q, want %q", status, stderr, c.want)
		}
	}
}

// TestClassifyMaps reads back the maps that --map-dir writes.
func TestClassifyMaps(t *testing.T) {
	dir, images, models := ownModels(t)
	out := t.TempDir()
	args := []string{"classify", "--model", filepath.Join(dir, "segmentation"), "--map-dir", out}
	text := well(t, append(args, images...)...)
	if !strings.Contains(text, "%  class ") {
		t.Errorf("got %s, want the share of each class", text)
	}
	want := models["segmentation"]
	for i, path := range images {
		file, err := os.Open(filepath.Join(out, path) + ".png")
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		size := got.Bounds().Size()
		if int64(size.Y) != want.Shape[0] || int64(size.X) != want.Shape[1] {
			t.Fatalf("%s: got %v, want %v", path, size, want.Shape)
		}
		palette := []string{"[0 0 0]", "[128 0 0]", "[0 128 0]", "[128 128 0]"}
		n := 0
		for pixel := range slices.Chunk(want.Rows[i], int(want.Shape[2])) {
			r, g, b, _ := got.At(n%size.X, n/size.X).RGBA()
			class := slices.Index(pixel, slices.Max(pixel))
			if rgb := fmt.Sprint([]uint32{r >> 8, g >> 8, b >> 8}); rgb != palette[class] {
				t.Fatalf("%s: pixel %d: got %s, want class %d, %s", path, n, rgb, class, palette[class])
			}
			n++
		}
	}
}

// TestServeOwnModels serves a model that decodes for itself by TensorFlow Serving's b64 pattern,
// and one that takes an image and a tensor.
func TestServeOwnModels(t *testing.T) {
	dir, images, models := ownModels(t)
	post := func(name, path, body string, allow ...string) string {
		t.Helper()
		base := t.TempDir()
		if err := os.Symlink(filepath.Join(dir, name), filepath.Join(base, "1")); err != nil {
			t.Fatal(err)
		}
		s, err := serve.New(serve.Config{
			Models: []serve.ModelConfig{{Name: "own", Path: base}},
			Load: func(ctx context.Context, dir string) (serve.Model, error) {
				return runner.Open(ctx, dir, runner.WithScan(savedmodel.AllowOps(allow...)), probed)
			},
			Batching: batch.Default(), Limits: serve.DefaultLimits(), Version: "test",
		})
		if err == nil {
			err = s.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body)))
		if w.Code != 200 {
			t.Fatalf("%s: got %d %s", path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	b64 := func(path string) string {
		data := base64.StdEncoding.EncodeToString([]byte(readFile(t, path)))
		return `{"b64": "` + data + `"}`
	}
	compare := func(answer string, want [][]float32) {
		t.Helper()
		var got struct{ Predictions []json.RawMessage }
		unmarshal(t, []byte(answer), &got)
		for i, row := range want {
			var values struct{ Probs []float32 } // of several outputs
			if text := got.Predictions[i]; text[0] == '{' {
				unmarshal(t, text, &values)
			} else {
				unmarshal(t, text, &values.Probs)
			}
			for j, p := range row {
				if d := math.Abs(float64(values.Probs[j] - p)); !(d <= 1e-5) {
					t.Errorf("row %d: got %v, want %v", i, values.Probs, row)
				}
			}
		}
	}

	decoding := models["decoding"]
	var instances []string
	for _, path := range decoding.Images {
		instances = append(instances, b64(path))
	}
	body := `{"instances": [` + strings.Join(instances, ", ") + `]}`
	compare(post("decoding", "/v1/models/own:predict", body, "DecodeJpeg"), decoding.Rows)
	row := decoding.Rows[0]
	best := []string{"ape", "bee", "cow"}[slices.Index(row, slices.Max(row))]
	answer := post("decoding", "/classify", readFile(t, decoding.Images[0]), "DecodeJpeg")
	if want := `"predictions":[{"index":`; !strings.Contains(answer, want) ||
		strings.Index(answer, best) > strings.Index(answer, `"probability"`) {
		t.Errorf("got %s, want %s first", answer, best)
	}

	// Images of any size, of fixed batches and of every type go in one request.
	for _, name := range []string{"grey", "dataset", "channels_first", "free", "fixed",
		"whole_numbers"} {
		instances = nil
		for _, path := range images {
			instances = append(instances, b64(path))
		}
		body = `{"instances": [` + strings.Join(instances, ", ") + `]}`
		compare(post(name, "/v1/models/own:predict", body), models[name].Rows)
	}

	both := models["two_inputs"]
	instances = nil
	for i, path := range images {
		instances = append(instances, fmt.Sprintf(`{"photo": %s, "age": [%v, %v]}`, b64(path),
			both.Ages[i][0], both.Ages[i][1]))
	}
	body = `{"instances": [` + strings.Join(instances, ", ") + `]}`
	compare(post("two_inputs", "/v1/models/own:predict", body), both.Rows)
}

// TestPredictSequence runs an LSTM on a tensor that might have been taken for grey images.
func TestPredictSequence(t *testing.T) {
	dir, images, models := ownModels(t)
	want, out := models["sequence"], t.TempDir()
	model := filepath.Join(dir, "sequence")
	file := filepath.Join(out, "out.npz")
	well(t, "predict", "--model", model, "--inputs", "steps="+want.Steps, "-o", file)
	arrays, err := npy.ReadZip(file)
	if err != nil {
		t.Fatal(err)
	}
	values := arrays["probs"].Data.([]float32)
	for i, x := range slices.Concat(want.Rows...) {
		if d := math.Abs(float64(values[i] - x)); !(d <= 1e-6) {
			t.Errorf("value %d: got %v, want %v", i, values[i], x)
		}
	}
	status, _, stderr := call(t, nil, "classify", "--model", model, images[0])
	if status == 0 || !strings.Contains(stderr, "does not say how to make the input of an image") {
		t.Errorf("classify: got exit status %d and %q, want a refusal", status, stderr)
	}
	if text := well(t, "inspect", model); !regexp.MustCompile(`FLOPs +unknown`).MatchString(text) {
		t.Errorf("inspect: got %s, want unknown FLOPs", text)
	}
}

// TestPredictStrings runs a model of strings on NumPy's, and reads back strings that it gives.
func TestPredictStrings(t *testing.T) {
	dir, _, models := ownModels(t)
	want := models["decoding"]
	var files [][]byte
	for _, path := range want.Images {
		files = append(files, []byte(readFile(t, path)))
	}
	in, err := tensor.New(tensor.Shape{int64(len(files))}, files)
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	file, err := os.Create(filepath.Join(scratch, "in.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(npy.Write(file, in), file.Close()); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(scratch, "out.npz")
	well(t, "predict", "--model", filepath.Join(dir, "decoding"), "--allow-op", "DecodeJpeg",
		"--inputs", "image_bytes="+file.Name(), "-o", out)
	arrays, err := npy.ReadZip(out)
	if err != nil {
		t.Fatal(err)
	}
	got := arrays["scores"].Data.([]float32)
	for i, p := range slices.Concat(want.Rows...) {
		if !(math.Abs(float64(got[i]-p)) <= 1e-5) {
			t.Errorf("got %v, want %v", got, want.Rows)
		}
	}
}

// TestPreprocessContract makes the same tensors by a model's manifest and by a contract alone.
func TestPreprocessContract(t *testing.T) {
	dir, images, _ := ownModels(t)
	for name, shape := range map[string]tensor.Shape{
		"channels_first": {5, 3, 24, 24}, "whole_numbers": {5, 24, 24, 3}, "dataset": {5, 32, 40, 3},
	} {
		model := filepath.Join(dir, name)
		var manifest struct{ Inputs json.RawMessage }
		unmarshal(t, []byte(readFile(t, filepath.Join(model, contract.ManifestPath))), &manifest)
		scratch := t.TempDir()
		file := filepath.Join(scratch, "contract.json")
		if err := os.WriteFile(file, manifest.Inputs, 0o666); err != nil {
			t.Fatal(err)
		}
		var tensors []string
		for _, flag := range [][]string{{"--model", model}, {"--contract", file}} {
			out := filepath.Join(scratch, flag[0]+".npy")
			args := append([]string{"preprocess", flag[0], flag[1], "-o", out}, images...)
			if text := well(t, args...); !strings.Contains(text, shape.String()) {
				t.Errorf("%s: got %s, want %v", name, text, shape)
			}
			tensors = append(tensors, readFile(t, out))
		}
		if tensors[0] != tensors[1] {
			t.Errorf("%s: got other tensors by the contract than by the model", name)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`[{"name": "x", "kind": "tensor"}]`), 0o666); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := call(t, nil, "preprocess", "--contract", bad, "-o", "x.npy", images[0])
	if status != exitFailed || !strings.Contains(stderr, "expected one input of the kind image") {
		t.Errorf("got exit status %d, %s", status, stderr)
	}
}
