package savedmodel

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/tensor"
)

// expected is testdata/expected.json: what TensorFlow says of the models beside it.
type expected struct {
	Models  map[string]expectedModel
	Ops     map[string]bool     // every operation of TensorFlow, and whether it has state
	Exports map[string][]string // the operations of Keras's exports of keras.applications
}

type expectedModel struct {
	Graphs    []expectedGraph
	Variables map[string]expectedVariable
}

type expectedGraph struct {
	Tags           []string
	TensorFlow     string
	Signatures     map[string]expectedSignature
	Ops, Functions map[string]int
}

type expectedSignature struct {
	Method          string
	Inputs, Outputs map[string]expectedTensor
}

type expectedTensor struct {
	Name, DType string
	Shape       tensor.Shape
}

type expectedVariable struct {
	DType string
	Shape tensor.Shape
}

func readExpected(t testing.TB) expected {
	t.Helper()
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var e expected
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func open(t testing.TB, name string) *Model {
	t.Helper()
	m, err := Open(t.Context(), filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scanned returns the findings of a scan that is not ended.
func scanned(t testing.TB, m *Model, options ...ScanOption) []Finding {
	t.Helper()
	findings, err := m.Scan(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// wantScan reads a model and holds that a scan refuses it for what is wanted, or passes it where
// that is "".
func wantScan(t *testing.T, name, want string, files fs.FS, options ...ScanOption) {
	t.Helper()
	m, err := Read(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	err = Join(scanned(t, m, options...))
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}

// ofGraph is a model of nothing but a graph.
func ofGraph(graph []byte) fs.FS { return fstest.MapFS{GraphPath: {Data: graph}} }

// TestTensorFlowAgrees holds what is read of each model against what TensorFlow's protobufs and
// checkpoint reader give.
func TestTensorFlowAgrees(t *testing.T) {
	for name, want := range readExpected(t).Models {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, summarize(open(t, name))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func summarize(m *Model) expectedModel {
	got := expectedModel{Variables: map[string]expectedVariable{}}
	for _, g := range m.MetaGraphs {
		graph := expectedGraph{g.Tags, g.TensorFlow, map[string]expectedSignature{},
			map[string]int{}, map[string]int{}}
		for _, s := range g.Signatures {
			graph.Signatures[s.Key] = expectedSignature{s.Method, summarizeTensors(s.Inputs),
				summarizeTensors(s.Outputs)}
		}
		for _, o := range g.Ops {
			graph.Ops[o.Op] = o.Count
		}
		for _, f := range g.Functions {
			graph.Functions[f.Name] = f.Nodes
		}
		got.Graphs = append(got.Graphs, graph)
	}
	for _, v := range m.Variables {
		if !strings.HasPrefix(v.Name, "\x00") { // a slice, which TensorFlow's reader does not list
			got.Variables[v.Name] = expectedVariable{v.DType.String(), v.Shape}
		}
	}
	return got
}

func summarizeTensors(tensors map[string]TensorInfo) map[string]expectedTensor {
	got := map[string]expectedTensor{}
	for name, t := range tensors {
		if t.DType == 0 { // an initialiser's
			got[name] = expectedTensor{t.Op, "", t.Shape}
			continue
		}
		got[name] = expectedTensor{t.Name(), t.DType.String(), t.Shape}
	}
	return got
}

func TestOpenErrors(t *testing.T) {
	graph, err := os.ReadFile("testdata/dense/saved_model.pb")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		files fstest.MapFS
		want  string
	}{
		{"no model", fstest.MapFS{"photo.jpg": {}},
			"expected a SavedModel, found no saved_model.pb"},
		{"text", fstest.MapFS{"saved_model.pbtxt": {}},
			"saved_model.pbtxt is not supported: expected saved_model.pb"},
		{"parts", fstest.MapFS{"saved_model.cpb": {}},
			"saved_model.cpb is not supported: expected saved_model.pb"},
		{"empty", fstest.MapFS{GraphPath: {}}, "expected at least one graph, got none"},
		{"a directory", fstest.MapFS{GraphPath + "/x": {}},
			"expected a SavedModel, found no saved_model.pb"},
		{"cut off", fstest.MapFS{GraphPath: {Data: graph[:len(graph)/2]}},
			"saved_model.pb is malformed: byte "},
		{"not protobuf", fstest.MapFS{GraphPath: {Data: []byte("<html>")}},
			"saved_model.pb is malformed: byte "},
		{"too deep", fstest.MapFS{GraphPath: {Data: []byte(strings.Repeat("\x0b", 1000))}},
			"nested more than 100 deep"},
		{"two nodes of a name",
			fstest.MapFS{GraphPath: {Data: modelOf(nodeOf("a", "NoOp"), nodeOf("a", "NoOp"))}},
			`two nodes are called "a"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Read(t.Context(), test.files)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestOpenWithoutModel(t *testing.T) {
	if _, err := Open(t.Context(), "testdata/none"); !errors.Is(err, fs.ErrNotExist) ||
		err.Error() != "testdata/none: expected a SavedModel, found no directory" {
		t.Errorf("got %v, want an fs.ErrNotExist", err)
	}
	for name, want := range map[string]string{
		"my.keras": "expected a SavedModel, got a Keras file; " +
			"`kerasrun-export %s --out DIR` makes one of it, and asks how its images were made",
		"my.txt": "expected a SavedModel's directory, got a file",
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want = file + ": " + strings.Replace(want, "%s", file, 1)
		if _, err := Open(t.Context(), file); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// message returns a field whose value is a message, or bytes.
func message(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// modelOf returns a SavedModel of one graph with these nodes.
func modelOf(nodes ...[]byte) []byte { return message(2, message(2, slices.Concat(nodes...))) }

// nodeOf returns a node as a field of a GraphDef.
func nodeOf(name, op string, fields ...[]byte) []byte {
	return message(1, slices.Concat(message(1, []byte(name)), message(2, []byte(op)),
		slices.Concat(fields...)))
}

func TestSignature(t *testing.T) {
	m := open(t, "dense")
	s, err := m.Signature([]string{"serve"}, "serving_default")
	if err != nil {
		t.Fatal(err)
	}
	want := TensorInfo{Op: "serving_default_x", DType: tensor.Float32, Shape: tensor.Shape{-1, 4}}
	if got := s.Inputs["x"]; !cmp.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, test := range []struct {
		model string
		tags  []string
		key   string
		want  string
	}{
		{"dense", []string{"train"}, "serving_default",
			`expected a graph with the tags ["train"], got ["serve"]`},
		{"dense", nil, "serving_default", `expected a graph with the tags [], got ["serve"]`},
		{"partitioned", []string{"gpu"}, "serving_default",
			`tags ["gpu"], got ["serve"], ["gpu" "serve"]`},
		{"dense", []string{"serve"}, "features",
			`expected a signature "features", got ["logits" "serving_default"]`},
		{"dense", []string{"serve"}, initSignature,
			`"__saved_model_init_op", got ["logits" "serving_default"]`},
	} {
		_, err := open(t, test.model).Signature(test.tags, test.key)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %q %s: got %v, want %q", test.model, test.tags, test.key, err, test.want)
		}
	}
	if _, err := open(t, "partitioned").Signature([]string{"serve", "gpu"},
		"serving_default"); err != nil {
		t.Error(err)
	}
}

// forwardFS hides from the reader that its files can seek.
type forwardFS struct{ fs.FS }

type forwardFile struct{ fs.File }

func (f forwardFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if dir, ok := file.(fs.ReadDirFile); ok {
		return dir, err
	}
	return forwardFile{file}, err
}

func TestReadWithoutSeeking(t *testing.T) {
	dir := os.DirFS("testdata/convolutions")
	if _, ok := any(forwardFile{}).(io.Seeker); ok {
		t.Fatal("forwardFile seeks")
	}
	m, err := Read(t.Context(), forwardFS{dir})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(summarize(open(t, "convolutions")), summarize(m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMemory opens a graph with a constant of a gigabyte, and files whose lengths lie, and looks at
// the memory taken.
func TestMemory(t *testing.T) {
	const size = 1 << 30
	constant := slices.Concat(
		protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1),
		message(2, message(2, protowire.AppendVarint(protowire.AppendTag(nil, 1,
			protowire.VarintType), size/4))),
	)
	// The bytes of the constant are a hole at the end of the file, which every message around it
	// has to count.
	around := func(number protowire.Number, inner ...[]byte) []byte {
		fields := slices.Concat(inner...)
		length := protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.BytesType),
			uint64(len(fields)+size))
		return append(length, fields...)
	}
	attr := around(5, message(1, []byte("value")), around(2, around(8, constant, around(4))))
	head := around(2, around(2, around(1, message(1, []byte("c")), message(2, []byte("Const")),
		attr)))
	dir := t.TempDir()
	file := filepath.Join(dir, GraphPath)
	if err := os.WriteFile(file, head, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, int64(len(head)+size)); err != nil {
		t.Fatal(err)
	}
	var m *Model
	taken := allocated(func() {
		var err error
		if m, err = Open(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	})
	if taken > 1<<20 {
		t.Errorf("a constant of %d bytes: got %d bytes, want under 1 MiB of memory", size, taken)
	}
	if got := m.MetaGraphs[0].graph.nodes[0].value(); got == nil || got.content != size {
		t.Errorf("got %+v, want a constant of %d bytes", got, size)
	}

	for name, data := range map[string][]byte{
		"a name of 2 GiB": protowire.AppendVarint([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0x0f,
			0x0a}, 1<<31-1),
		"a message of 2^64 - 1": protowire.AppendVarint([]byte{0x12}, 1<<64-1),
	} {
		files := fstest.MapFS{GraphPath: {Data: data}}
		taken := allocated(func() { _, _ = Read(t.Context(), files) })
		if taken > 1<<20 {
			t.Errorf("%s: got %d bytes, want under 1 MiB of memory", name, taken)
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestFiles(t *testing.T) {
	m := open(t, "half_plus_two")
	var got []string
	for _, f := range m.Files {
		got = append(got, f.Path)
	}
	want := []string{"assets/foo.txt", GraphPath, "variables/variables.data-00000-of-00001",
		IndexPath}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := m.MetaGraphs[0].Assets; !slices.Equal(got, []Asset{{"Const:0", "foo.txt"}}) {
		t.Errorf("got %v, want the asset foo.txt", got)
	}
	if got := slices.Sorted(maps.Keys(m.MetaGraphs[0].Signatures[0].Inputs)); !slices.Equal(got,
		[]string{"inputs"}) {
		t.Errorf("got %q, want the input \"inputs\"", got)
	}
}
