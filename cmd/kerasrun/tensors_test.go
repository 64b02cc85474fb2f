package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/internal/version"
	"kerasrun/preprocess"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

func readNPY(t *testing.T, path string) tensor.Tensor {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	array, err := npy.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return array
}

// TestPreprocessAsKeras wants of every flag what Keras in Python makes of the same images, bit for
// bit.
func TestPreprocessAsKeras(t *testing.T) {
	inRepository(t)
	type keras struct {
		Size     [2]int `json:"size"`
		Mode     string `json:"mode"`
		Resample string `json:"resample"`
		Keep     bool   `json:"keep"`
	}
	cases := map[string]struct {
		flags string
		keras keras
	}{
		"contract": {"--model " + model, keras{[2]int{224, 224}, "caffe", "nearest", false}},
		"default":  {"--mode caffe", keras{[2]int{224, 224}, "caffe", "nearest", false}},
		"tf": {"--mode tf --image-size 96x128 --resample bilinear",
			keras{[2]int{96, 128}, "tf", "bilinear", false}},
		"torch": {"--mode torch --image-size 99x50 --resample lanczos",
			keras{[2]int{99, 50}, "torch", "lanczos", false}},
		"box": {"--resample box --image-size 64x64 --model " + model,
			keras{[2]int{64, 64}, "caffe", "box", false}},
		"hamming": {"--resample hamming --image-size 61x67",
			keras{[2]int{61, 67}, "caffe", "hamming", false}},
		"keep": {"--keep-aspect-ratio --resample bicubic",
			keras{[2]int{224, 224}, "caffe", "bicubic", true}},
	}
	asked := map[string]keras{}
	for name, c := range cases {
		asked[name] = c.keras
	}
	request, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	images, err := filepath.Glob("testdata/photos/*.[jpw][pne][gb]*")
	if err != nil || len(images) < 8 {
		t.Fatalf("got the images %q, %v", images, err)
	}
	dir := t.TempDir()
	answers := filepath.Join(dir, "keras.npz")
	program := []string{"cmd/kerasrun/testdata/keras_preprocess.py", answers}
	cmd := exec.Command(pythontest.Python(t), append(program, images...)...)
	cmd.Stdin = bytes.NewReader(request)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	want, err := npy.ReadZip(answers)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		for stage, key := range map[string]string{"tensor": name, "resize": name + ".resized"} {
			out := filepath.Join(dir, name+stage+".npy")
			args := slices.Concat([]string{"preprocess", "-o", out, "--stage", stage},
				strings.Fields(c.flags), images)
			stdout := well(t, args...)
			got := readNPY(t, out)
			if !reflect.DeepEqual(got, want[key]) {
				t.Errorf("%s, stage %s: got %v %v, want Keras's %v %v", name, stage, got.DType, got.Shape,
					want[key].DType, want[key].Shape)
			}
			if want := fmt.Sprintf("%s: %v %v\n", out, got.DType, got.Shape); stdout != want {
				t.Errorf("%s, stage %s: said %q, want %q", name, stage, stdout, want)
			}
		}
	}
}

// TestPreprocessDecode writes images of different size, which only an npz file takes.
func TestPreprocessDecode(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "x.npz")
	coffee := "testdata/photos/coffee.jpg"
	well(t, "preprocess", "--stage", "decode", "-o", out, cat, coffee)
	arrays, err := npy.ReadZip(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{cat, coffee} {
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := preprocess.Decode{}.Image(image, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := arrays[path]
		if !slices.Equal(got.Shape, tensor.Shape{int64(want.Height), int64(want.Width), 3}) ||
			!reflect.DeepEqual(got.Data, want.Pix) {
			t.Errorf("%s: got %v %v", path, got.DType, got.Shape)
		}
	}

	out = filepath.Join(dir, "x.npy")
	status, _, stderr := call(t, nil, "preprocess", "--stage", "decode", "-o", out, cat, coffee)
	if status != exitFailed || !strings.Contains(stderr, "expected images of one size") ||
		!strings.Contains(stderr, coffee) {
		t.Errorf("npy: exit status %d, stderr %q", status, stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Errorf("npy: want no file")
	}
	well(t, "preprocess", "--stage", "decode", "-o", out, cat, cat)
	if got := readNPY(t, out); got.DType != tensor.Uint8 || len(got.Shape) != 4 || got.Shape[0] != 2 {
		t.Errorf("npy of one size: got %v %v", got.DType, got.Shape)
	}
}

// TestPreprocessBadImage leaves a bad image out and keeps the others in their order.
func TestPreprocessBadImage(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	bad, out := filepath.Join(dir, "bad.png"), filepath.Join(dir, "x.npy")
	if err := os.WriteFile(bad, []byte("\x89PNG\r\n\x1a\nno more"), 0o666); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call(t, nil, "preprocess", "-o", out, "--image-size", "8x9", cat, bad,
		"testdata/photos/coffee.jpg")
	if status != exitFailed || stdout != out+": float32 (2, 8, 9, 3)\n" ||
		!strings.HasPrefix(stderr, "kerasrun: "+bad+": ") {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	got := readNPY(t, out)
	well(t, "preprocess", "-o", out, "--image-size", "8x9", cat, "testdata/photos/coffee.jpg")
	if want := readNPY(t, out); !reflect.DeepEqual(got, want) {
		t.Errorf("got other arrays with a bad image among them than without")
	}

	missing := filepath.Join(dir, "none", "x.npy")
	status, _, stderr = call(t, nil, "preprocess", "-o", missing, "--image-size", "8x9", cat)
	if status != exitFailed || !strings.Contains(stderr, missing) {
		t.Errorf("no such directory: exit status %d, stderr %q", status, stderr)
	}
}

// TestPredictAsTensorFlow runs both signatures and wants what TensorFlow in Python computes of the
// same tensor and model.
func TestPredictAsTensorFlow(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	x := filepath.Join(dir, "x.npy")
	well(t, "preprocess", "-o", x, cat, "testdata/photos/coffee.jpg", "testdata/photos/rocket.jpg")
	zipped := filepath.Join(dir, "x.npz")
	var packed bytes.Buffer
	if err := npy.WriteZip(&packed, map[string]tensor.Tensor{"images": readNPY(t, x)}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(zipped, packed.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	expected := filepath.Join(dir, "want.npz")
	tensorflow := python(t, "tensorflow_predict.py", model, x, expected, "serving_default", "features")
	want, err := npy.ReadZip(expected)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		signature, input string
		outputs          map[string]tensor.Shape
	}{
		{"serving_default", x, map[string]tensor.Shape{"logits": {3, 1000}, "probs": {3, 1000}}},
		{"features", zipped + "[images]", map[string]tensor.Shape{"features": {3, 2048}}},
	} {
		out := filepath.Join(dir, "out.npz")
		stdout := well(t, "predict", "--inputs", "images="+test.input, "-o", out, "--signature_def",
			test.signature)
		got, err := npy.ReadZip(out)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(test.outputs) {
			t.Errorf("%s: got %d outputs, want %d", test.signature, len(got), len(test.outputs))
		}
		for name, shape := range test.outputs {
			g, w := got[name], want[name]
			if g.DType != tensor.Float32 || !slices.Equal(g.Shape, shape) || !slices.Equal(w.Shape, shape) {
				t.Errorf("%s: %s: got %v %v, want %v, as Python's %v", test.signature, name, g.DType, g.Shape,
					shape, w.Shape)
				continue
			}
			if most := difference(g.Data.([]float32), w.Data.([]float32)); !(most <= 1e-5) {
				t.Errorf("%s: %s: differs from Python by %v of the largest value", test.signature, name, most)
			}
			line := fmt.Sprintf("%s: %s float32 %v\n", out, name, shape)
			if !strings.Contains(stdout, line) {
				t.Errorf("%s: said %q, want %q", test.signature, stdout, line)
			}
		}
	}
	got, versions := well(t, "version"), "kerasrun "+version.String()+"\nTensorFlow "+tensorflow
	if got != versions {
		t.Errorf("version: got %q, want %q", got, versions)
	}
}

// difference is the largest difference as a share of the largest value; NaN stays NaN.
func difference(got, want []float32) float64 {
	var most, largest float64
	for i := range want {
		most = max(most, math.Abs(float64(got[i])-float64(want[i])))
		largest = max(largest, math.Abs(float64(want[i])))
	}
	return most / largest
}

func TestPredictErrors(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	file := func(name string, write func(*bytes.Buffer) error) string {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	array := func(t tensor.Tensor) func(*bytes.Buffer) error {
		return func(b *bytes.Buffer) error { return npy.Write(b, t) }
	}
	narrow := file("narrow.npy", array(tensor.Tensor{DType: tensor.Float32,
		Shape: tensor.Shape{1, 1, 1, 3}, Data: make([]float32, 3)}))
	bytes8 := file("uint8.npy", array(tensor.Tensor{
		DType: tensor.Uint8, Shape: tensor.Shape{1, 224, 224, 3}, Data: make([]uint8, 224*224*3),
	}))
	none := file("none.npy", array(tensor.Tensor{DType: tensor.Float32,
		Shape: tensor.Shape{0, 224, 224, 3}, Data: []float32{}}))
	text := file("text.npy", func(b *bytes.Buffer) error {
		_, err := b.WriteString("no array")
		return err
	})
	raw := func(name, shape, data string) string {
		header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': %s}\n", shape)
		size := binary.LittleEndian.AppendUint16(nil, uint16(len(header)))
		return file(name, func(b *bytes.Buffer) error {
			_, err := b.WriteString("\x93NUMPY\x01\x00" + string(size) + header + data)
			return err
		})
	}
	negative := raw("negative.npy", "(-1, 224, 224, 3)", "")
	overflow := raw("overflow.npy", "(4294967296, 4294967296, 224, 3)", "1234")
	deep := raw("deep.npy", "("+strings.Repeat("1, ", 255)+")", "1234")
	short := raw("short.npy", "(1, 224, 224, 3)", "1234")
	zip := file("x.npz", func(b *bytes.Buffer) error {
		return npy.WriteZip(b, map[string]tensor.Tensor{})
	})
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"--inputs", "images=" + narrow}, []string{`"images"`, "float32 (-1, 224, 224, 3)",
			"(1, 1, 1, 3)"}},
		{[]string{"--inputs", "images=" + bytes8}, []string{`"images"`, "uint8"}},
		{[]string{"--inputs", "images=" + none}, []string{`"images"`, "(0, 224, 224, 3)"}},
		{[]string{"--inputs", "images=" + negative}, []string{negative, `dimension "-1" is not a size`}},
		{[]string{"--inputs", "images=" + overflow},
			[]string{overflow, "more elements than can be addressed"}},
		{[]string{"--inputs", "images=" + deep}, []string{deep, "255 dimensions"}},
		{[]string{"--inputs", "images=" + short},
			[]string{short, "expected 602112 bytes of data, got 4"}},
		{[]string{"--inputs", "photos=" + narrow}, []string{`"photos"`, `["images"]`}},
		{[]string{"--inputs", "images=" + text}, []string{text}},
		{[]string{"--inputs", "images=" + filepath.Join(dir, "missing.npy")},
			[]string{"missing.npy", "no such file"}},
		{[]string{"--inputs", "images=" + zip + "[x]"}, []string{zip, `expected an array "x"`}},
		{[]string{"--inputs", "images=" + narrow, "--signature_def", "logits"},
			[]string{`expected a signature "logits"`, "serving_default"}},
	} {
		out := filepath.Join(dir, "out.npz")
		status, stdout, stderr := call(t, nil, append([]string{"predict", "-o", out}, test.args...)...)
		if status != exitFailed || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit status %d, stdout %q, stderr %q, want one line", test.args, status, stdout,
				stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%q: got %q, want %q in it", test.args, stderr, want)
			}
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%q: want no file", test.args)
		}
	}
}
