package contract_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"kerasrun/contract"
)

// valid returns the bytes of a manifest that is right in every field.
func valid(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/kerasrun.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// changed returns the valid manifest with one change and the sum that then is right.
func changed(t testing.TB, change func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(valid(t), &m); err != nil {
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

func TestParse(t *testing.T) {
	data := valid(t)
	m, err := contract.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if m.Input.Name != "images" || m.Parameters != 25097128 || len(m.Files) != 2 {
		t.Errorf("got %+v, want the fields of testdata/kerasrun.json", m)
	}
	sum := sha256.Sum256(data)
	if want := hex.EncodeToString(sum[:]); m.ID() != want {
		t.Errorf("ID: got %s, want %s", m.ID(), want)
	}
	if _, err := contract.Parse(changed(t, func(map[string]any) {})); err != nil {
		t.Errorf("written by another JSON encoder: %v", err)
	}
}

// TestParseRefuses changes one field of a valid manifest a row. Nothing else may be reported.
func TestParseRefuses(t *testing.T) {
	set := func(key string, value any) func(m map[string]any) {
		return func(m map[string]any) { m[key] = value }
	}
	in := func(object, key string, value any) func(m map[string]any) {
		return func(m map[string]any) { m[object].(map[string]any)[key] = value }
	}
	file := func(name string, sum string, size any) func(m map[string]any) {
		return in("files", name, map[string]any{"sha256": sum, "bytes": size})
	}
	good := strings.Repeat("d", 64)
	for _, c := range []struct {
		name   string
		change func(m map[string]any)
		want   string
	}{
		{"no format", func(m map[string]any) { delete(m, "format") },
			"format: expected 1, got none"},
		{"a later format", set("format", 2), "format: expected 1, got 2"},
		{"an unknown field", set("colour", "red"), `unknown field "colour"`},
		{"another JSON type", set("flops", "many"), "cannot unmarshal string"},
		{"architecture", set("architecture", ""), "architecture: expected a name, got none"},
		{"graph", set("graph", "frozen"),
			`graph: expected one of ["optimized" "reference"], got "frozen"`},
		{"precision", set("precision", "int8"),
			`precision: expected one of ["float32" "bfloat16" "float16"], got "int8"`},
		{"parameters", set("parameters", -1),
			"parameters, flops: expected counts, got -1, 8465123328"},
		{"flops", set("flops", -1), "parameters, flops: expected counts, got 25097128, -1"},
		{"weights", in("weights", "sha256", "x"),
			`weights.sha256: expected 64 lower-case hexadecimal digits, got "x"`},
		{"trained_with", set("trained_with", "keras"),
			`trained_with: expected one of ["caffe" "tf" "torch" "none"], got "keras"`},
		{"reference_difference", set("reference_difference", -0.5),
			"reference_difference: expected a difference, got -0.5"},
		{"input name", in("input", "name", ""), "input.name: expected a name, got none"},
		{"input type", in("input", "dtype", "float31"), "input.dtype: "},
		{"input height", in("input", "height", 0), "input.height: expected 1 to 65536, got 0"},
		{"input width", in("input", "width", 65537), "input.width: expected 1 to 65536, got 65537"},
		{"input channels", in("input", "channels", 5), "input.channels: expected 1 to 4, got 5"},
		{"input layout", in("input", "layout", "nhwc"),
			`input.layout: expected one of ["NHWC" "NCHW"], got "nhwc"`},
		{"input color order", in("input", "color_order", "GBR"),
			`input.color_order: expected one of ["BGR" "RGB"], got "GBR"`},
		{"input mode", in("input", "mode", ""),
			`input.mode: expected one of ["caffe" "tf" "torch" "none"], got ""`},
		{"input resample", in("input", "resample", "area"),
			`input.resample: expected one of ["nearest" "box" "bilinear" "hamming" "bicubic" ` +
				`"lanczos"], got "area"`},
		{"input fit", in("input", "fit", "pad"),
			`input.fit: expected one of ["stretch" "keep_aspect_ratio" "center_crop"], got "pad"`},
		{"outputs", set("outputs", map[string]any{}),
			"outputs: expected at least one signature, got none"},
		{"labels", set("labels", "/etc/passwd"),
			`labels: expected a path in the directory, got "/etc/passwd"`},
		{"goldens", set("goldens", "../goldens"),
			`goldens: expected a path in the directory, got "../goldens"`},
		{"a file outside", file("../saved_model.pb", good, 1),
			`files: expected paths of other files in the directory, got "../saved_model.pb"`},
		{"the manifest itself", file(contract.ManifestPath, good, 1),
			`files: expected paths of other files in the directory, got ` +
				`"assets.extra/kerasrun.json"`},
		{"a file's hash", file("saved_model.pb", strings.Repeat("D", 64), 1),
			"files: saved_model.pb: sha256: expected 64 lower-case hexadecimal digits, got "},
		{"a file's size", file("saved_model.pb", good, -1),
			"files: saved_model.pb: bytes: expected a size, got -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := contract.Parse(changed(t, c.change))
			if err == nil || !strings.Contains(err.Error(), c.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q alone", err, c.want)
			}
		})
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
	_, err := contract.Parse(changed(t, func(m map[string]any) {
		m["architecture"], m["graph"], m["labels"] = "", "", "/"
	}))
	if err == nil {
		t.Fatal("got no error, want three")
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 3 ||
		!strings.HasPrefix(lines[0], "architecture: ") || !strings.HasPrefix(lines[2], "labels: ") {
		t.Errorf("got %q, want the faults of architecture, graph and labels", lines)
	}
}

// FuzzParse holds that whatever Parse accepts can be used without a panic and is known again.
func FuzzParse(f *testing.F) {
	f.Add(valid(f))
	f.Add(changed(f, func(m map[string]any) { m["input"].(map[string]any)["layout"] = "NCHW" }))
	f.Add([]byte(`{"format": 1, "sha256": ""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := contract.Parse(data)
		if err != nil {
			return
		}
		if len(m.Input.Shape()) != 4 {
			t.Errorf("got shape %v, want 4 dimensions", m.Input.Shape())
		}
		if _, err := m.Input.Pipeline(); err != nil {
			t.Errorf("pipeline: %v", err)
		}
		again, err := contract.Parse(data)
		if err != nil || again.ID() != m.ID() || len(m.ID()) != 64 {
			t.Errorf("got %v, %v, want the ID %s again", again, err, m.ID())
		}
	})
}
