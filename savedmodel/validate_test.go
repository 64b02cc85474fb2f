package savedmodel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"kerasrun/contract"
	"kerasrun/tensor"
)

// load reads a directory of testdata into memory, so that a test can break it.
func load(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	dir := os.DirFS(filepath.Join("testdata", name))
	err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(dir, path)
		files[path] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// manifestOf returns a manifest of the model "convolutions" and these files.
func manifestOf(files fstest.MapFS) *contract.Manifest {
	m := &contract.Manifest{
		Format: 2, Architecture: "convolutions", Graph: "reference", Precision: "float32",
		Parameters: 282, FLOPs: 4128,
		Weights: contract.Weights{Source: "synthetic:0", SHA256: strings.Repeat("0", 64)},
		Inputs: []contract.Input{{Name: "images", Kind: contract.KindTensor, DType: "float32",
			Shape: tensor.Shape{-1, 8, 8, 2}}},
		Outputs: map[string][]contract.Output{"serving_default": {{Name: "y",
			Kind: contract.Probabilities, Labels: "assets.extra/labels.json"}}},
		Answer:   "y",
		Versions: map[string]string{"tensorflow": "2.21.0"},
		Files:    map[string]contract.File{},
	}
	for name, f := range files {
		if name != contract.ManifestPath {
			sum := sha256.Sum256(f.Data)
			m.Files[name] = contract.File{SHA256: hex.EncodeToString(sum[:]),
				Bytes: int64(len(f.Data))}
		}
	}
	return m
}

// exported returns the model "convolutions" as an exporter would leave it: with labels and a
// manifest that change may alter.
func exported(t testing.TB, change func(*contract.Manifest)) fstest.MapFS {
	t.Helper()
	files := load(t, "convolutions")
	files["assets.extra/labels.json"] = &fstest.MapFile{Data: []byte(
		`{"0": ["a", "a"], "1": ["b", "b"], "2": ["c", "c"], "3": ["d", "d"], "4": ["e", "e"]}`)}
	m := manifestOf(files)
	if change != nil {
		change(m)
	}
	files[contract.ManifestPath] = &fstest.MapFile{Data: written(t, m)}
	return files
}

// written returns the manifest's file, with its own sum.
func written(t testing.TB, m *contract.Manifest) []byte {
	t.Helper()
	m.SHA256 = strings.Repeat("0", 64)
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(text, []byte(m.SHA256))
	copy(text[at:], contract.Sum(text, m.SHA256))
	return text
}

// declare changes what the graph says of a variable: bytes of the node that makes it.
func declare(t testing.TB, files fstest.MapFS, variable, old, changed string) {
	t.Helper()
	data := files[GraphPath].Data
	start := bytes.Index(data, []byte(variable+"\x12\x0bVarHandleOp"))
	at := bytes.Index(data[max(start, 0):], []byte(old))
	if start < 0 || at < 0 || len(old) != len(changed) {
		t.Fatalf("variable %s: expected a node with the bytes %q", variable, old)
	}
	copy(data[start+at:], changed)
}

// TestValidate takes a directory that is right, breaks one thing a row, and looks for the finding.
func TestValidate(t *testing.T) {
	const shard = "variables/variables.data-00000-of-00001"
	manifest := func(change func(*contract.Manifest)) func(testing.TB) fstest.MapFS {
		return func(t testing.TB) fstest.MapFS { return exported(t, change) }
	}
	files := func(model string, change func(fstest.MapFS)) func(testing.TB) fstest.MapFS {
		return func(t testing.TB) fstest.MapFS {
			f := load(t, model)
			change(f)
			return f
		}
	}
	for _, test := range []struct {
		name string
		make func(testing.TB) fstest.MapFS
		want []string // beginnings of the findings, in order; none: the directory is right
	}{
		{"as exported", manifest(nil), nil},
		{"dense", files("dense", func(fstest.MapFS) {}), nil},
		{"a partitioned variable", files("partitioned", func(fstest.MapFS) {}), nil},
		{"a compressed index", files("compressed", func(fstest.MapFS) {}), nil},
		{"text beside the graph",
			files("dense", func(f fstest.MapFS) { f["saved_model.pbtxt"] = &fstest.MapFile{} }),
			[]string{"saved_model.pbtxt: expected saved_model.pb alone"}},
		{"a missing asset", files("half_plus_two",
			func(f fstest.MapFS) { delete(f, "assets/foo.txt") }),
			[]string{`assets/foo.txt: asset of tensor "Const:0": expected a file, got none`}},

		{"no variables", files("dense",
			func(f fstest.MapFS) { delete(f, IndexPath); delete(f, shard) }),
			[]string{"variables/variables.index: expected the variables of the graph's 4 " +
				"VarHandleOp, got no file"}},
		{"no variables, version 1",
			files("half_plus_two", func(f fstest.MapFS) { delete(f, IndexPath) }),
			[]string{"variables/variables.index: expected the variables of the graph's 4 " +
				"VariableV2, got no file"}},
		{"no shard", files("dense", func(f fstest.MapFS) { delete(f, shard) }),
			[]string{shard + ": expected a shard with 5 variables, got no file"}},
		{"a short shard", files("dense",
			func(f fstest.MapFS) { f[shard].Data = f[shard].Data[:60] }),
			[]string{shard + ": expected at least "}},
		{"a changed number", files("dense", func(f fstest.MapFS) { f[shard].Data[0] ^= 1 }),
			[]string{shard + `: variable "`}},
		{"a changed index", files("dense", func(f fstest.MapFS) { f[IndexPath].Data[20] ^= 1 }),
			[]string{IndexPath + ": block at byte 0: expected the checksum "}},
		{"a cut index", files("dense",
			func(f fstest.MapFS) { f[IndexPath].Data = f[IndexPath].Data[:40] }),
			[]string{IndexPath + ": expected a footer of 48 bytes, got a file of 40"}},
		{"the index of another model", files("dense", func(f fstest.MapFS) {
			other := load(t, "half_plus_two")
			f[IndexPath], f[shard] = other[IndexPath], other[shard]
		}), []string{
			IndexPath + `: variable "kernel/.ATTRIBUTES/VARIABLE_VALUE": expected the variable ` +
				`that the graph restores, got none`,
			IndexPath + `: variable "bias/.ATTRIBUTES/VARIABLE_VALUE": expected`,
			IndexPath + `: variable "steps/.ATTRIBUTES/VARIABLE_VALUE": expected`,
			IndexPath + `: variable "words/.ATTRIBUTES/VARIABLE_VALUE": expected`,
			IndexPath + `: variable "_CHECKPOINTABLE_OBJECT_GRAPH": expected`,
		}},
		{"a variable's axes exchanged", files("dense", func(f fstest.MapFS) {
			declare(t, f, "kernel", "\x12\x02\x08\x04\x12\x02\x08\x03",
				"\x12\x02\x08\x03\x12\x02\x08\x04")
		}), []string{IndexPath +
			`: variable "kernel/.ATTRIBUTES/VARIABLE_VALUE": expected shape (3, 4) as kernel, ` +
			`got (4, 3)`}},
		{"a variable of another size", files("dense", func(f fstest.MapFS) {
			declare(t, f, "bias", "\x12\x02\x08\x03", "\x12\x02\x08\x02")
		}), []string{IndexPath +
			`: variable "bias/.ATTRIBUTES/VARIABLE_VALUE": expected shape (2,) as bias, got (3,)`}},
		{"a variable of unknown rank", files("dense", func(f fstest.MapFS) {
			declare(t, f, "bias", "\x12\x02\x08\x03", "\x18\x01\x18\x01")
		}), nil},
		{"a variable of another type", files("dense", func(f fstest.MapFS) {
			declare(t, f, "steps", "\x12\x02\x30\x09", "\x12\x02\x30\x03")
		}), []string{IndexPath +
			`: variable "steps/.ATTRIBUTES/VARIABLE_VALUE": expected int32 as steps, got int64`}},

		{"another format", manifest(func(m *contract.Manifest) { m.Format = 3 }),
			[]string{contract.ManifestPath + ": format: expected 1 to 2, got 3"}},
		{"a changed manifest", func(t testing.TB) fstest.MapFS {
			f := exported(t, nil)
			f[contract.ManifestPath].Data = bytes.Replace(f[contract.ManifestPath].Data,
				[]byte(`"synthetic:0"`), []byte(`"synthetic:1"`), 1)
			return f
		}, []string{contract.ManifestPath + ": sha256: expected "}},
		{"a manifest without its sum", func(t testing.TB) fstest.MapFS {
			f := exported(t, nil)
			f[contract.ManifestPath].Data = regexp.MustCompile(
				`,"sha256":"[0-9a-f]*"}$`).ReplaceAll(f[contract.ManifestPath].Data, []byte("}"))
			return f
		}, []string{contract.ManifestPath +
			": sha256: expected 64 lower-case hexadecimal digits, " +
			"got \"\"; export the model again"}},
		{"faults of the manifest", manifest(func(m *contract.Manifest) {
			m.Inputs[0].Kind, m.Inputs[0].DType = "photo", "float31"
			m.Outputs["serving_default"][0].Labels = "/etc/passwd"
		}),
			[]string{
				contract.ManifestPath + `: inputs: 0 ("images"): dtype: tensor: no data type`,
				contract.ManifestPath + `: inputs: 0 ("images"): kind: expected one of ["image" ` +
					`"encoded" "tensor"], got "photo"`,
				contract.ManifestPath +
					`: outputs: serving_default: 0 ("y"): labels: expected a path in the directory, ` +
					`got "/etc/passwd"`,
			}},
		{"an unknown field", files("convolutions", func(f fstest.MapFS) {
			f[contract.ManifestPath] = &fstest.MapFile{
				Data: []byte(`{"format": 1, "colour": "red"}`)}
		}), []string{contract.ManifestPath + `: json: unknown field "colour"`}},
		{"no JSON", files("convolutions", func(f fstest.MapFS) {
			f[contract.ManifestPath] = &fstest.MapFile{Data: []byte("{")}
		}),
			[]string{contract.ManifestPath + ": unexpected end of JSON input"}},

		{"a changed file", func(t testing.TB) fstest.MapFS {
			f := exported(t, nil)
			f["assets.extra/labels.json"].Data[8] ^= 2
			return f
		}, []string{"assets.extra/labels.json: expected the manifest's SHA-256 "}},
		{"a longer file", func(t testing.TB) fstest.MapFS {
			f := exported(t, nil)
			f["assets.extra/labels.json"].Data = append(f["assets.extra/labels.json"].Data, '\n')
			return f
		}, []string{"assets.extra/labels.json: expected the manifest's 85 bytes, got 86"}},
		{"files besides and missing", func(t testing.TB) fstest.MapFS {
			f := exported(t, func(m *contract.Manifest) {
				m.Files["notes.txt"] = m.Files[GraphPath]
			})
			f["more/notes.txt"] = &fstest.MapFile{}
			return f
		}, []string{
			"notes.txt: expected the file of the manifest, got none",
			"more/notes.txt: expected only files of the manifest, got one that it does not name " +
				"(assets.extra/kerasrun.json)",
		}},

		{"another input", manifest(func(m *contract.Manifest) { m.Inputs[0].Name = "x" }),
			[]string{`saved_model.pb: signature serving_default: expected the manifest's inputs ` +
				`["x"], got ["images"]`}},
		{"another type and shape", manifest(func(m *contract.Manifest) {
			m.Inputs[0].DType, m.Inputs[0].Shape = "uint8", tensor.Shape{-1, 2, 9, 8}
		}),
			[]string{
				`saved_model.pb: signature serving_default: input "images": expected the ` +
					`manifest's uint8, got float32`,
				`saved_model.pb: signature serving_default: input "images": expected the ` +
					`manifest's shape (-1, 2, 9, 8), got (-1, 8, 8, 2)`,
			}},
		{"another output", manifest(func(m *contract.Manifest) {
			m.Outputs["serving_default"][0].Name, m.Answer = "probs", ""
		}),
			[]string{`saved_model.pb: signature serving_default: expected the manifest's outputs ` +
				`["probs"], got ["y"]`}},
		{"another signature", manifest(func(m *contract.Manifest) {
			m.Outputs = map[string][]contract.Output{"features": m.Outputs["serving_default"]}
			m.Answer, m.Signature = "", "features"
		}), []string{
			`saved_model.pb: tags ["serve"]: expected a signature "features", got ` +
				`["serving_default"]`,
			"saved_model.pb: signature serving_default: expected only signatures of the manifest",
		}},
		{"no goldens", manifest(func(m *contract.Manifest) { m.Goldens = "assets.extra/goldens" }),
			[]string{"assets.extra/goldens/goldens.json: expected the goldens of the manifest, " +
				"got none"}},
		{"too few labels", func(t testing.TB) fstest.MapFS {
			f := exported(t, nil)
			f["assets.extra/labels.json"].Data = []byte(`{"0": ["a", "a"]}`)
			f[contract.ManifestPath].Data = written(t, manifestOf(f))
			return f
		}, []string{`assets.extra/labels.json: expected the 5 classes of the output "y", got 1`}},
		{"two faults of different kinds", func(t testing.TB) fstest.MapFS {
			f := exported(t, func(m *contract.Manifest) { m.Inputs[0].Shape[1] = 9 })
			f["saved_model.cpb"] = &fstest.MapFile{}
			return f
		}, []string{
			"saved_model.cpb: expected saved_model.pb alone",
			"saved_model.cpb: expected only files of the manifest",
			`saved_model.pb: signature serving_default: input "images": expected the ` +
				`manifest's shape`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := Read(t.Context(), test.make(t))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if err := m.Validate(t.Context()); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if !slices.EqualFunc(got, test.want,
				func(got, want string) bool { return strings.HasPrefix(got, want) }) {
				t.Errorf("want\n%s\ngot\n%s", strings.Join(test.want, "\n"),
					strings.Join(got, "\n"))
			}
		})
	}
}

// TestAdopted gives the model "dense", which has two signatures, a manifest that names one of them,
// fixes a size that its graph leaves free, and finds the graph under whatever tags it has.
func TestAdopted(t *testing.T) {
	for _, test := range []struct {
		name, graph, tags string
		shape             tensor.Shape
		want              string // in the findings; "": none
	}{
		{"as it is", "adopted", "serve", tensor.Shape{-1, 4}, ""},
		{"a fixed batch", "adopted", "serve", tensor.Shape{1, 4}, ""},
		{"other tags", "adopted", "other", tensor.Shape{-1, 4}, ""},
		{"another size", "adopted", "serve", tensor.Shape{-1, 5},
			`signature serving_default: input "x": expected the manifest's shape (-1, 5), got (-1, 4)`},
		{"of the exporter", "reference", "serve", tensor.Shape{-1, 4},
			"signature logits: expected only signatures of the manifest"},
		{"of the exporter, other tags", "reference", "other", tensor.Shape{-1, 4},
			`expected a graph with the tags ["serve"], got ["other"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := load(t, "dense")
			files[GraphPath].Data = bytes.Replace(files[GraphPath].Data, []byte("\"\x05serve"),
				[]byte("\"\x05"+test.tags), 1)
			manifest := manifestOf(files)
			manifest.Graph = test.graph
			manifest.Inputs[0].Name, manifest.Inputs[0].Shape = "x", test.shape
			manifest.Outputs = map[string][]contract.Output{"serving_default": {
				{Name: "probs", Kind: contract.Probabilities}, {Name: "steps", Kind: "tensor"}}}
			manifest.Answer = "probs"
			files[contract.ManifestPath] = &fstest.MapFile{Data: written(t, manifest)}
			m, err := Read(t.Context(), files)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := m.Validate(t.Context()); err != nil {
				got = err.Error()
			}
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if test.want == "" && !slices.Equal(m.ServeTags(), []string{test.tags}) {
				t.Errorf("tags: got %q, want %q", m.ServeTags(), test.tags)
			}
		})
	}
}

// TestLinks makes links into the directory, out of it and to nothing, and a link in place of each
// file.
func TestLinks(t *testing.T) {
	copied := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "model")
		if err := os.CopyFS(dir, os.DirFS("testdata/half_plus_two")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, test := range []struct{ name, file, target, want string }{
		{"inside", "assets/bar.txt", "foo.txt", "<nil>"},
		{"outside", "assets/bar.txt", "../../secret.txt",
			"assets/bar.txt: expected a file of the directory: "},
		{"absolute", "assets/bar.txt", "/etc/hostname",
			"assets/bar.txt: expected a file of the directory: "},
		{"to nothing", "assets/bar.txt", "none.txt",
			"assets/bar.txt: expected a file of the directory: "},
		{"to a directory", "assets/bar", "../variables", "assets/bar: expected a file, got "},
		{"an asset", "assets/foo.txt", "../../secret.txt",
			"assets/foo.txt: expected a file of the directory: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copied(t)
			if err := os.WriteFile(filepath.Join(dir, "..", "secret.txt"), []byte("secret"),
				0o666); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, filepath.FromSlash(test.file))
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(test.target, file); err != nil {
				t.Fatal(err)
			}
			m, err := Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			err = m.Validate(t.Context())
			if got := fmt.Sprint(err); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	dir := copied(t)
	graph := filepath.Join(dir, GraphPath)
	if err := os.Rename(graph, filepath.Join(dir, "..", "elsewhere.pb")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../elsewhere.pb", graph); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), GraphPath) {
		t.Errorf("a graph outside of the directory: got %v, want an error that names %s", err,
			GraphPath)
	}
}

// TestEveryChangeIsFound flips 1,000 bits and cuts 200 times, anywhere in a directory with a
// manifest: each is an error that names the file.
func TestEveryChangeIsFound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	files := exported(t, nil)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range 1200 {
		name := names[i%len(names)]
		whole := files[name].Data
		broken := slices.Clone(whole)
		if i < 1000 {
			broken[random.IntN(len(broken))] ^= 1 << random.IntN(8)
		} else {
			broken = broken[:random.IntN(len(broken))]
		}
		files[name].Data = broken
		m, err := Read(t.Context(), files)
		if err == nil {
			err = Join(scanned(t, m))
		}
		files[name].Data = whole
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("change %d: got %v, want an error that names %s", i, err, name)
		}
	}
}
