package contract_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kerasrun/contract"
)

// valid1 returns the bytes of a manifest of format 1 that is right in every field.
func valid1(t testing.TB) []byte { return read(t, "testdata/kerasrun.json") }

// valid returns the bytes of a manifest of format 2 that is right in every field.
func valid(t testing.TB) []byte { return read(t, "testdata/kerasrun2.json") }

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// changed returns a manifest with one change and the sum that then is right.
func changed(t testing.TB, data []byte, change func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	zeros := strings.Repeat("0", 64)
	m["sha256"] = zeros
	change(m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Replace(data, []byte(zeros), []byte(contract.Sum(data, zeros)), 1)
}

// set changes the field at a path of keys and indices.
func set(value any, path ...any) func(m map[string]any) {
	return func(m map[string]any) {
		var at any = m
		for _, step := range path[:len(path)-1] {
			if i, ok := step.(int); ok {
				at = at.([]any)[i]
			} else {
				at = at.(map[string]any)[step.(string)]
			}
		}
		last := path[len(path)-1].(string)
		if value == nil {
			delete(at.(map[string]any), last)
		} else {
			at.(map[string]any)[last] = value
		}
	}
}

func TestParse(t *testing.T) {
	data := valid(t)
	m, err := contract.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if m.Image().Name != "images" || m.Parameters != 25097128 || len(m.Files) != 2 ||
		m.Answer != "probs" {
		t.Errorf("got %+v, want the fields of testdata/kerasrun2.json", m)
	}
	sum := sha256.Sum256(data)
	if want := hex.EncodeToString(sum[:]); m.ID() != want {
		t.Errorf("ID: got %s, want %s", m.ID(), want)
	}
	if _, err := contract.Parse(changed(t, data, func(map[string]any) {})); err != nil {
		t.Errorf("written by another JSON encoder: %v", err)
	}
}

// TestFormat1 reads a manifest of format 1 as the one of format 2 that says the same.
func TestFormat1(t *testing.T) {
	got, err := contract.Parse(valid1(t))
	if err != nil {
		t.Fatal(err)
	}
	want, err := contract.Parse(valid(t))
	if err != nil {
		t.Fatal(err)
	}
	want.Inputs = want.Inputs[:1] // format 1 has one
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(contract.Manifest{}, "Format", "SHA256"),
		cmpopts.IgnoreUnexported(contract.Manifest{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// refuse holds that a change of one field is reported, and nothing else.
func refuse(t *testing.T, name string, data []byte, change func(m map[string]any), want string) {
	t.Run(name, func(t *testing.T) {
		_, err := contract.Parse(changed(t, data, change))
		if err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %q alone", err, want)
		}
	})
}

// TestParseRefuses changes one field of a valid manifest a row.
func TestParseRefuses(t *testing.T) {
	file := func(name string, sum string, size any) func(m map[string]any) {
		return set(map[string]any{"sha256": sum, "bytes": size}, "files", name)
	}
	good := strings.Repeat("d", 64)
	for _, c := range []struct {
		name   string
		change func(m map[string]any)
		want   string
	}{
		{"no format", set(nil, "format"), "format: expected 1 to 2, got none"},
		{"a later format", set(3, "format"), "format: expected 1 to 2, got 3; this kerasrun is " +
			"older than the exporter"},
		{"an unknown field", set("red", "colour"), `unknown field "colour"`},
		{"another JSON type", set("many", "flops"), "cannot unmarshal string"},
		{"architecture", set("", "architecture"), "architecture: expected a name, got none"},
		{"graph", set("frozen", "graph"),
			`graph: expected one of ["optimized" "reference" "adopted"], got "frozen"`},
		{"precision", set("int4", "precision"),
			`precision: expected one of ["float32" "bfloat16" "float16" "int8"], got "int4"`},
		{"int8 without its quantization", set("int8", "precision"),
			"quantization: expected it with precision int8 and no other, got precision int8"},
		{"parameters", set(-1, "parameters"),
			"parameters, flops: expected counts, got -1, 8465123328"},
		{"flops", set(-1, "flops"), "parameters, flops: expected counts, got 25097128, -1"},
		{"weights", set("x", "weights", "sha256"),
			`weights.sha256: expected 64 lower-case hexadecimal digits, got "x"`},
		{"reference_difference", set(-0.5, "reference_difference"),
			"reference_difference: expected a difference, got -0.5"},
		{"no inputs", set([]any{}, "inputs"), "inputs: expected at least one, got none"},
		{"input name", set("", "inputs", 0, "name"), "name: expected a name, got none"},
		{"input kind", set("photo", "inputs", 1, "kind"),
			`inputs: 1 ("age"): kind: expected one of ["image" "encoded" "tensor"], got "photo"`},
		{"input type", set("float31", "inputs", 1, "dtype"), `inputs: 1 ("age"): dtype: `},
		{"no shape", set(nil, "inputs", 1, "shape"), "shape: expected the dimensions, got none"},
		{"shape", set([]int{-2}, "inputs", 1, "shape"), "got (-2,)"},
		{"rank", set([]int{-1, 4}, "inputs", 0, "shape"),
			"shape: expected 4 dimensions of layout NHWC, got (-1, 4)"},
		{"no pixels", set([]int{-1, 0, 0, 3}, "inputs", 0, "shape"),
			"expected sizes of 1 or more, -1 where one is free, got (-1, 0, 0, 3)"},
		{"height", set([]int{-1, 32768, 224, 3}, "inputs", 0, "shape"), "height 32768"},
		{"half free", set([]int{-1, -1, 224, 3}, "inputs", 0, "shape"), "both known or both free"},
		{"channels", set([]int{-1, 224, 224, 1}, "inputs", 0, "shape"),
			"shape: expected the 3 channels of color rgb, got (-1, 224, 224, 1)"},
		{"layout", set("nhwc", "inputs", 0, "layout"), `got "nhwc"`},
		{"no layout", set(nil, "inputs", 0, "layout"), `got ""`},
		{"no decode", set(nil, "inputs", 0, "decode"), "expected decode, resize and normalize"},
		{"a decode too many", set(map[string]any{"by": "pillow", "color": "rgb", "exif": false},
			"inputs", 1, "decode"), `of the kind "image" alone, got some of "tensor"`},
		{"library", set("cv2", "inputs", 0, "decode", "by"), `got "cv2"`},
		{"color", set("RGB", "inputs", 0, "decode", "color"), `got "RGB"`},
		{"method", set("area", "inputs", 0, "resize", "method"), "got area"},
		{"fit", set("fill", "inputs", 0, "resize", "fit"), `got "fill"`},
		{"a free size resized", set([]int{-1, -1, -1, 3}, "inputs", 0, "shape"),
			"expected the fit none where the size is free, got stretch"},
		{"no short side", set("short_side", "inputs", 0, "resize", "fit"),
			"expected a short side from the larger side of the tensor, 224, to 32767, got 0"},
		{"antialias of Pillow", set(true, "inputs", 0, "resize", "antialias"),
			"expected antialias of tensorflow alone, got it of pillow"},
		{"EXIF by TensorFlow", set(map[string]any{"by": "tensorflow", "color": "rgb", "exif": true},
			"inputs", 0, "decode"), "TensorFlow does not read the orientation"},
		{"a layout without channels", func(m map[string]any) {
			set("NHW", "inputs", 0, "layout")(m)
			set([]int{-1, 224, 224}, "inputs", 0, "shape")(m)
		}, "expected the 3 channels of color rgb, got (-1, 224, 224)"},
		{"fill", set(0.1, "inputs", 0, "resize", "fill"), "expected a float32, got 0.1"},
		{"arithmetic", set("float16", "inputs", 0, "normalize", "dtype"), `got "float16"`},
		{"step", set([]any{map[string]any{"op": "power", "values": []int{2}}}, "inputs", 0,
			"normalize", "steps"), `got "power"`},
		{"values", set([]any{map[string]any{"op": "add", "values": []int{1, 2}}}, "inputs", 0,
			"normalize", "steps"), "one for each of 3 channels, got 2"},
		{"output name", set("", "outputs", "features", 0, "name"), "expected a name, got none"},
		{"output twice", set("probs", "outputs", "serving_default", 0, "name"),
			`expected each name once, got "probs" twice`},
		{"output kind", set("classes", "outputs", "features", 0, "kind"), `got "classes"`},
		{"activation", set("relu", "outputs", "serving_default", 0, "activation"), `got "relu"`},
		{"activation of probabilities", set("softmax", "outputs", "serving_default", 1,
			"activation"), `expected none of probabilities, got "softmax"`},
		{"thresholds", set([]float64{0.5}, "outputs", "serving_default", 1, "thresholds"),
			"got [0.5] of probabilities"},
		{"normalized", set(true, "outputs", "serving_default", 1, "normalized"),
			"got it of probabilities"},
		{"palette", set([][]int{{1, 2, 3}}, "outputs", "features", 0, "palette"),
			"got one of embedding"},
		{"labels", set("/etc/passwd", "outputs", "serving_default", 0, "labels"),
			`labels: expected a path in the directory, got "/etc/passwd"`},
		{"signature", set("other", "signature"),
			`signature: expected one of ["features" "serving_default"], got "other"`},
		{"answer", set("answer", "answer"),
			`answer: expected an output of serving_default, got "answer"`},
		{"goldens", set("../goldens", "goldens"),
			`goldens: expected a path in the directory, got "../goldens"`},
		{"a file outside", file("../saved_model.pb", good, 1), `got "../saved_model.pb"`},
		{"itself", file("assets.extra/kerasrun.json", good, 1),
			"files: expected paths of other files in the directory"},
		{"a file's sum", file("saved_model.pb", "x", 1),
			"files: saved_model.pb: sha256: expected 64 lower-case hexadecimal digits"},
		{"a file's size", file("saved_model.pb", good, -1),
			"files: saved_model.pb: bytes: expected a size, got -1"},
	} {
		refuse(t, c.name, valid(t), c.change, c.want)
	}
}

// TestParseRefusesFormat1 does the same with what only format 1 has.
func TestParseRefusesFormat1(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m map[string]any)
		want   string
	}{
		{"a field of format 2", set("probs", "answer"), `unknown field "answer"`},
		{"graph", set("adopted", "graph"),
			`graph: expected one of ["optimized" "reference"], got "adopted"`},
		{"trained_with", set("keras", "trained_with"),
			`trained_with: expected one of ["caffe" "tf" "torch" "none"], got "keras"`},
		{"input name", set("", "input", "name"), "input.name: expected a name, got none"},
		{"input type", set("float31", "input", "dtype"), "input.dtype: "},
		{"input height", set(0, "input", "height"), "input.height: expected 1 to 32767, got 0"},
		{"input width", set(32768, "input", "width"),
			"input.width: expected 1 to 32767, got 32768"},
		{"input channels", set(5, "input", "channels"), "input.channels: expected 1 to 4, got 5"},
		{"input layout", set("nhwc", "input", "layout"),
			`input.layout: expected one of ["NHWC" "NCHW"], got "nhwc"`},
		{"input color order", set("GBR", "input", "color_order"),
			`input.color_order: expected one of ["BGR" "RGB"], got "GBR"`},
		{"input mode", set("", "input", "mode"),
			`input.mode: expected one of ["caffe" "tf" "torch" "none"], got ""`},
		{"input resample", set("area", "input", "resample"),
			`input.resample: expected one of ["nearest" "box" "bilinear" "hamming" "bicubic" ` +
				`"lanczos"], got "area"`},
		{"input fit", set("pad", "input", "fit"),
			`input.fit: expected one of ["stretch" "keep_aspect_ratio" "center_crop"], got "pad"`},
		{"outputs", set(map[string]any{}, "outputs"),
			"outputs: expected at least one signature, got none"},
		{"labels", set("/etc/passwd", "labels"),
			`labels: expected a path in the directory, got "/etc/passwd"`},
	} {
		refuse(t, c.name, valid1(t), c.change, c.want)
	}
}

// TestParseRefusesBytes changes the file rather than a field.
func TestParseRefusesBytes(t *testing.T) {
	data := valid(t)
	sum := data[bytes.LastIndex(data, []byte(`"sha256": "`))+len(`"sha256": "`):][:64]
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "unexpected end of JSON input"},
		{"cut short", data[:len(data)/2], "unexpected end of JSON input"},
		{"more behind it", append(bytes.Clone(data), "{}"...), "invalid character '{'"},
		{"a changed byte", bytes.Replace(data, []byte("imagenet"), []byte("imagined"), 1),
			"the manifest is not as it was written"},
		{"another sum", bytes.Replace(data, sum, bytes.Repeat([]byte("e"), 64), 1),
			"the manifest is not as it was written"},
		{"no sum", bytes.Replace(data, sum, nil, 1),
			`sha256: expected 64 lower-case hexadecimal digits, got ""; export the model again`},
	} {
		if _, err := contract.Parse(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestParseListsEverything(t *testing.T) {
	_, err := contract.Parse(changed(t, valid(t), func(m map[string]any) {
		m["architecture"], m["graph"], m["goldens"] = "", "", "/"
	}))
	if err == nil {
		t.Fatal("got no error, want three")
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 3 ||
		!strings.HasPrefix(lines[0], "architecture: ") ||
		!strings.HasPrefix(lines[1], "goldens: ") {
		t.Errorf("got %q, want the faults of architecture, goldens and graph", lines)
	}
}

// FuzzParse holds that whatever Parse accepts can be used without a panic and is known again.
func FuzzParse(f *testing.F) {
	f.Add(valid(f))
	f.Add(valid1(f))
	f.Add(changed(f, valid1(f), set("NCHW", "input", "layout")))
	f.Add(changed(f, valid(f), set("crop", "inputs", 0, "resize", "fit")))
	f.Add([]byte(`{"format": 1, "sha256": ""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := contract.Parse(data)
		if err != nil {
			return
		}
		for _, in := range m.Inputs {
			if p, err := in.Pipeline(); err != nil || (p != nil) != (in.Kind == contract.KindImage) {
				t.Errorf("pipeline of %+v: got %v, %v", in, p, err)
			}
		}
		again, err := contract.Parse(data)
		if err != nil || again.ID() != m.ID() || len(m.ID()) != 64 {
			t.Errorf("got %v, %v, want the ID %s again", again, err, m.ID())
		}
	})
}
