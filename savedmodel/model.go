package savedmodel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"kerasrun/contract"
	"kerasrun/tensor"
)

// GraphPath is the file with the graphs, in every SavedModel directory.
const GraphPath = "saved_model.pb"

// maxGraphBytes is protobuf's own limit for a message.
const maxGraphBytes = 1<<31 - 1

// Model is a SavedModel directory as it was when it was read.
type Model struct {
	MetaGraphs []MetaGraph // in the file's order; most models have one
	// Variables are the entries of variables/variables.index, sorted by name; nil without that
	// file.
	Variables []Variable
	Files     []File             // every file, sorted by path
	Manifest  *contract.Manifest // nil where the directory has none, or one that Validate refuses

	fsys     fs.FS
	links    []link
	targets  map[string]string // of the files that are links, the paths that they lead to
	index    *index            // nil where the directory has none, or one that cannot be read
	indexErr error             // why the index could not be read

	manifestErr error // why the manifest was refused

	hashing sync.Mutex
	hashed  int64             // bytes of files that were hashed, or were to be
	sums    map[string]string // of files that were hashed, by the paths without links
}

// MetaGraph is one graph of the model with its signatures, chosen by its tags.
type MetaGraph struct {
	Tags       []string    // sorted
	TensorFlow string      // the version that wrote it
	Signatures []Signature // sorted by key
	// Ops counts those of the graph and its functions together, the most frequent first.
	Ops       []OpCount
	Functions []Function // the library, sorted by name
	Assets    []Asset

	graph *graph
}

// Signature is a way to call the graph: named tensors in, named tensors out.
type Signature struct {
	Key     string // as "serving_default"
	Method  string // as "tensorflow/serving/predict"
	Inputs  map[string]TensorInfo
	Outputs map[string]TensorInfo
}

// TensorInfo is a tensor of the graph: output Index of the operation Op. In Shape, -1 is a
// dimension not known, nil an unknown rank.
type TensorInfo struct {
	Op    string
	Index int
	DType tensor.DType
	Shape tensor.Shape
}

// Name returns TensorFlow's spelling, "op:index".
func (t TensorInfo) Name() string { return t.Op + ":" + strconv.Itoa(t.Index) }

// OpCount is an operation and how many nodes are one.
type OpCount struct {
	Op    string
	Count int
}

// Function is a function of the graph's library.
type Function struct {
	Name  string
	Nodes int
}

// Asset is a file in assets/ that an initialiser reads; File is its name below assets/, Tensor the
// one that receives its path.
type Asset struct {
	Tensor string
	File   string
}

// File is a file of the directory, its path with slashes.
type File struct {
	Path  string
	Bytes int64
}

// Open reads the SavedModel in the directory dir. An error means that there is no graph:
// saved_model.pb is missing or malformed. [Model.Validate] reports what else is wrong.
//
// Nothing outside of the directory is read, whatever links it holds. The context ends the reading.
func Open(ctx context.Context, dir string) (*Model, error) {
	root, err := openRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	m, err := Read(ctx, root.FS()) // which keeps root open until the Model is garbage
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// Read is Open for a file system whose root is the SavedModel directory.
func Read(ctx context.Context, fsys fs.FS) (*Model, error) {
	return read(newWork(ctx), fsys)
}

func read(w *work, fsys fs.FS) (*Model, error) {
	m := &Model{fsys: fsys, targets: map[string]string{}}
	if err := m.list(w); err != nil {
		return nil, err
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	if err := m.readGraphs(w); err != nil {
		return nil, err
	}
	m.readVariables(w)
	m.readManifest()
	if err := w.end(); err != nil {
		return nil, err
	}
	return m, nil
}

// openRoot opens the directory. Its errors do not name it.
func openRoot(dir string) (*os.Root, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &missingError{"no directory"}
	case err == nil && !info.IsDir():
		if slices.Contains([]string{".keras", ".h5"}, filepath.Ext(dir)) {
			return nil, fmt.Errorf("expected a SavedModel, got a Keras file; "+
				"`kerasrun-export %s --out DIR` makes one of it, and asks how its images were made",
				dir)
		}
		return nil, errors.New("expected a SavedModel's directory, got a file")
	}
	root, err := os.OpenRoot(dir)
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return nil, failed.Err // without the path
	}
	return root, err
}

func (m *Model) readGraphs(w *work) error {
	if m.file(GraphPath) == nil {
		for _, other := range textModels {
			if m.file(other) != nil {
				return &UnsupportedError{other, "expected " + GraphPath}
			}
		}
		for _, link := range m.links {
			if link.path == GraphPath {
				return &UnsupportedError{GraphPath, link.fault}
			}
		}
		return &missingError{"no " + GraphPath}
	}
	f, err := m.fsys.Open(GraphPath)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxGraphBytes {
		return &FormatError{GraphPath, fmt.Errorf("expected at most %d bytes, got %d",
			int64(maxGraphBytes), info.Size())}
	}
	graphs, err := readGraphs(newDecoder(w, f, info.Size()))
	if w.err != nil {
		return w.err
	}
	if err != nil {
		return &FormatError{GraphPath, err}
	}
	if len(graphs) == 0 {
		return &FormatError{GraphPath, errors.New("expected at least one graph, got none")}
	}
	for _, g := range graphs {
		m.MetaGraphs = append(m.MetaGraphs, newMetaGraph(g))
	}
	return nil
}

func newMetaGraph(g *graph) MetaGraph {
	mg := MetaGraph{Tags: slices.Sorted(slices.Values(g.tags)), TensorFlow: g.version, graph: g}
	counts := map[string]int{}
	for _, n := range g.nodes {
		counts[n.op]++
	}
	for _, f := range g.functions {
		for _, n := range f.nodes {
			counts[n.op]++
		}
		mg.Functions = append(mg.Functions, Function{Name: f.name, Nodes: len(f.nodes)})
	}
	for op, count := range counts {
		mg.Ops = append(mg.Ops, OpCount{op, count})
	}
	slices.SortFunc(mg.Ops, func(a, b OpCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Op, b.Op))
	})
	slices.SortFunc(mg.Functions, func(a, b Function) int { return cmp.Compare(a.Name, b.Name) })
	for key, s := range g.signatures {
		signature := Signature{Key: key, Method: s.method, Inputs: tensors(s.inputs),
			Outputs: tensors(s.outputs)}
		mg.Signatures = append(mg.Signatures, signature)
	}
	slices.SortFunc(mg.Signatures, func(a, b Signature) int { return cmp.Compare(a.Key, b.Key) })
	mg.Assets = g.assets
	if len(g.assets) == 0 { // TensorFlow's own order of looking
		mg.Assets = g.oldAssets
	}
	return mg
}

func tensors(infos map[string]*tensorInfo) map[string]TensorInfo {
	t := make(map[string]TensorInfo, len(infos))
	for name, info := range infos {
		op, index := splitTensor(info.name)
		t[name] = TensorInfo{Op: op, Index: index, DType: info.dtype, Shape: info.shape}
	}
	return t
}

// splitTensor splits a tensor's name, "op:1", into operation and output; without an output it is
// the first. A name that is neither is returned whole: no operation is called that.
func splitTensor(name string) (op string, index int) {
	op, number, found := strings.Cut(name, ":")
	if !found {
		return name, 0
	}
	index, err := strconv.Atoi(number)
	if err != nil || index < 0 {
		return name, 0
	}
	return op, index
}

// MetaGraph returns the graph whose tags are exactly tags, in any order. Where there is none, the
// error lists the tags there are.
func (m *Model) MetaGraph(tags []string) (*MetaGraph, error) {
	g, err := m.findGraph(tags)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", GraphPath, err)
	}
	return g, nil
}

func (m *Model) findGraph(tags []string) (*MetaGraph, error) {
	want := slices.Compact(slices.Sorted(slices.Values(tags)))
	var have []string
	for i := range m.MetaGraphs {
		got := slices.Compact(slices.Clone(m.MetaGraphs[i].Tags))
		if slices.Equal(got, want) {
			return &m.MetaGraphs[i], nil
		}
		have = append(have, fmt.Sprintf("%q", got))
	}
	return nil, fmt.Errorf("expected a graph with the tags %q, got %s", want,
		strings.Join(have, ", "))
}

// initSignature is the key under which TensorFlow 2 stores an initialiser as if it were a
// signature.
const initSignature = "__saved_model_init_op"

// Signature returns the signature called key of the graph with exactly these tags. Where there is
// none, the error lists those that there are. A signature of other than dense tensors is an
// [UnsupportedError]; one whose tensors are not in the graph, a [FormatError].
func (m *Model) Signature(tags []string, key string) (Signature, error) {
	g, err := m.MetaGraph(tags)
	if err != nil {
		return Signature{}, err
	}
	return g.Signature(key)
}

// Signature is Model.Signature for this graph.
func (g *MetaGraph) Signature(key string) (Signature, error) {
	s, err := g.findSignature(key)
	if err != nil {
		return Signature{}, fmt.Errorf("%s: %w", GraphPath, err)
	}
	if err := g.checkSignature(key); err != nil {
		return Signature{}, err
	}
	return s, nil
}

func (g *MetaGraph) findSignature(key string) (Signature, error) {
	i := slices.IndexFunc(g.Signatures, func(s Signature) bool {
		return s.Key == key && key != initSignature
	})
	if i < 0 {
		var have []string
		for _, s := range g.Signatures {
			if s.Key != initSignature {
				have = append(have, s.Key)
			}
		}
		return Signature{}, fmt.Errorf("tags %q: expected a signature %q, got %s", g.Tags, key,
			quoteAll(have))
	}
	return g.Signatures[i], nil
}

// checkSignature returns an error where a tensor of the signature cannot be fed or fetched.
func (g *MetaGraph) checkSignature(key string) error {
	s := g.graph.signatures[key]
	for _, side := range []struct {
		what    string
		tensors map[string]*tensorInfo
	}{{"input", s.inputs}, {"output", s.outputs}} {
		for name, t := range side.tensors {
			where := fmt.Sprintf("signature %s: %s %s", shorten(key, maxQuoted), side.what,
				quote(name))
			op, _ := splitTensor(t.name)
			switch {
			case t.encoding != "":
				return &UnsupportedError{GraphPath,
					fmt.Sprintf("%s: expected a dense tensor, got %s", where, t.encoding)}
			case g.graph.names[op] == nil:
				return &FormatError{GraphPath,
					fmt.Errorf("%s: expected a tensor of the graph, got %q", where, t.name)}
			}
			for i, size := range t.shape {
				if size < -1 {
					return &FormatError{GraphPath,
						fmt.Errorf("%s: dimension %d: expected a size or -1, got %d", where, i,
							size)}
				}
			}
		}
	}
	return nil
}

// file returns the file at path, nil where there is none.
func (m *Model) file(path string) *File {
	i, found := slices.BinarySearchFunc(m.Files, path,
		func(f File, path string) int { return cmp.Compare(f.Path, path) })
	if !found {
		return nil
	}
	return &m.Files[i]
}

func (m *Model) readManifest() {
	data, err := m.readFile(contract.ManifestPath, contract.MaxManifestBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		m.Manifest, err = contract.Parse(data)
	}
	m.manifestErr = err
}
