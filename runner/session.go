package runner

/*
#cgo LDFLAGS: -ltensorflow
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

static TF_TString* string_at(void* data, size_t i) { return (TF_TString*)data + i; }
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tfgo"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// session is a loaded graph that can be run, concurrently. It calls TensorFlow's C API below the Go binding, which frees the memory of
// tensors in finalizers only, copies them twice, and has no strings of any shape and no uint32 and uint64.
type session struct {
	session *tf.Session
	graph   *tf.Graph
	c       *C.TF_Session
	g       *C.TF_Graph

	packing []byte     // the ConfigProto of the sessions that show how to pack kernels; nil: nothing is packed
	loading []byte     // that of the sessions of packed kernels
	bf16    bool       // convolutions of packed kernels are ours, in bfloat16
	packed  []*session // of calls whose kernels are packed
	kernels kernels    // of such a session
}

// load loads the directory's graph with tfgo, which panics with a string where it cannot.
func load(dir string, tags []string, config []byte) (s *session, err error) {
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case runtime.Error:
			panic(fault)
		case string:
			err = fmt.Errorf("runner: %s: TensorFlow: %s", dir, oneLine(fault))
		case error:
			err = fmt.Errorf("runner: %s: TensorFlow: %s", dir, oneLine(fault.Error()))
		default:
			panic(fault)
		}
	}()
	trim() // what the library's initialisers have touched
	model := tfgo.LoadModel(dir, tags, &tf.SessionOptions{Config: config})
	// tfgo closes the session when the model is garbage, and has no other way to: take it out of the model, and close it in close.
	runtime.SetFinalizer(model, nil)
	pointer, err := field(model, "saved", reflect.TypeFor[*tf.SavedModel]().String())
	if err != nil {
		return nil, err
	}
	saved := (*tf.SavedModel)(pointer)
	// The binding has made two copies of the graph in Go to read the signatures from, and keeps none.
	debug.FreeOSMemory()
	return newSession(saved.Session, saved.Graph)
}

// newSession takes over a session and its graph.
func newSession(s *tf.Session, g *tf.Graph) (*session, error) {
	cs, err := field(s, "c", "*tensorflow._Ctype_struct_TF_Session")
	if err != nil {
		return nil, err
	}
	cg, err := field(g, "c", "*tensorflow._Ctype_struct_TF_Graph")
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(g, nil)
	return &session{session: s, graph: g, c: (*C.TF_Session)(cs), g: (*C.TF_Graph)(cg)}, nil
}

// field returns the pointer in a field that tfgo or the binding does not export. Neither has had a change since the versions in go.mod.
func field(object any, name, want string) (unsafe.Pointer, error) {
	f := reflect.ValueOf(object).Elem().FieldByName(name)
	if !f.IsValid() || f.Type().String() != want || f.IsNil() {
		return nil, fmt.Errorf("runner: this version of tfgo or its TensorFlow binding is not known: want a %s in the field %s of a %T",
			want, name, object)
	}
	return f.UnsafePointer(), nil
}

// close frees the session and the graph, and those of its calls. Nothing may run.
func (s *session) close() (err error) {
	for _, packed := range s.packed {
		err = errors.Join(err, packed.close())
	}
	if fault := s.session.Close(); fault != nil {
		err = errors.Join(err, fmt.Errorf("runner: TensorFlow: %s", oneLine(fault.Error())))
	}
	C.TF_DeleteGraph(s.g)
	err = errors.Join(err, s.kernels.free())
	trim()
	return err
}

// call is a signature in a session's graph: what to feed and to fetch, in the order of the names.
type call struct {
	session         *session
	inputs, outputs []string
	feeds, fetches  []C.TF_Output
	kernels         []*C.TF_Tensor    // fed behind the inputs
	targets         []*C.TF_Operation // run, and not fetched
	ran             atomic.Bool
	first           chan struct{} // holds one while the first run is under way
}

func (s *session) call(signature savedmodel.Signature) (*call, error) {
	if s.packing != nil {
		return s.pack(signature)
	}
	return s.newCall(signature)
}

func (s *session) newCall(signature savedmodel.Signature) (*call, error) {
	c := &call{session: s, first: make(chan struct{}, 1), inputs: slices.Sorted(maps.Keys(signature.Inputs)), outputs: slices.Sorted(maps.Keys(signature.Outputs))}
	for _, name := range c.inputs {
		t, err := s.endpoint(signature.Inputs[name])
		if err != nil {
			return nil, fmt.Errorf("runner: signature %s: input %q: %w", signature.Key, name, err)
		}
		c.feeds = append(c.feeds, t)
	}
	for _, name := range c.outputs {
		t, err := s.endpoint(signature.Outputs[name])
		if err != nil {
			return nil, fmt.Errorf("runner: signature %s: output %q: %w", signature.Key, name, err)
		}
		c.fetches = append(c.fetches, t)
	}
	return c, nil
}

// endpoint finds a tensor of a signature in the graph.
func (s *session) endpoint(t savedmodel.TensorInfo) (C.TF_Output, error) {
	name := C.CString(t.Op)
	defer C.free(unsafe.Pointer(name))
	op := C.TF_GraphOperationByName(s.g, name)
	if op == nil || t.Index >= int(C.TF_OperationNumOutputs(op)) {
		return C.TF_Output{}, fmt.Errorf("the graph has no tensor %s", t.Name())
	}
	return C.TF_Output{oper: op, index: C.int(t.Index)}, nil
}

// run feeds the tensors, in the order of c.inputs, and frees them. It returns the outputs by name.
func (c *call) run(fed []*feed) (map[string]tensor.Tensor, error) {
	out, err := c.execute(fed, nil, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, t := range out {
			C.TF_DeleteTensor(t)
		}
	}()
	results := make(map[string]tensor.Tensor, len(out))
	for i, t := range out {
		result, err := fetch(t)
		if err != nil {
			return nil, fmt.Errorf("runner: output %q: %w", c.outputs[i], err)
		}
		results[c.outputs[i]] = result
	}
	return results, nil
}

// execute is run with a RunOptions, and a RunMetadata to be filled in, both of which may be nil. It returns what c.fetches are, which the caller deletes.
func (c *call) execute(fed []*feed, options, metadata *C.TF_Buffer) ([]*C.TF_Tensor, error) {
	defer free(fed)
	in := make([]*C.TF_Tensor, 0, len(c.feeds))
	for _, f := range fed {
		in = append(in, f.c)
	}
	in = append(in, c.kernels...)
	out := make([]*C.TF_Tensor, len(c.fetches))
	status := C.TF_NewStatus()
	defer C.TF_DeleteStatus(status)
	C.TF_SessionRun(c.session.c, options, unsafe.SliceData(c.feeds), unsafe.SliceData(in), C.int(len(in)),
		unsafe.SliceData(c.fetches), unsafe.SliceData(out), C.int(len(out)), unsafe.SliceData(c.targets), C.int(len(c.targets)), metadata, status)
	// In the first run TensorFlow optimises the graph, in memory of several times its size.
	if !c.ran.Swap(true) {
		trim()
	}
	if C.TF_GetCode(status) != C.TF_OK {
		return nil, fmt.Errorf("runner: TensorFlow: %s", oneLine(C.GoString(C.TF_Message(status))))
	}
	return out, nil
}

// values returns what operations that read variables read. The caller deletes it.
func (s *session) values(reads []string) (map[string]*C.TF_Tensor, error) {
	values := make(map[string]*C.TF_Tensor, len(reads))
	if len(reads) == 0 {
		return values, nil // TensorFlow does not run nothing
	}
	c := &call{session: s}
	c.ran.Store(true) // what is only read is not optimised
	for _, name := range reads {
		out, err := s.endpoint(savedmodel.TensorInfo{Op: name})
		if err != nil {
			return nil, fmt.Errorf("runner: %w", err)
		}
		c.fetches = append(c.fetches, out)
	}
	out, err := c.execute(nil, nil, nil)
	if err != nil {
		return nil, err
	}
	for i, name := range reads {
		values[name] = out[i]
	}
	return values, nil
}

func deleteAll(tensors map[string]*C.TF_Tensor) {
	for _, t := range tensors {
		deleteTensor(t)
	}
}

// deleteTensor is TensorFlow's; a test counts with another in its place.
var deleteTensor = func(t *cTensor) { C.TF_DeleteTensor(t) }

// cTensor has a name here because tests cannot import "C".
type cTensor = C.TF_Tensor

// feed is a tensor in C memory.
type feed struct{ c *C.TF_Tensor }

func free(fed []*feed) {
	for _, f := range fed {
		C.TF_DeleteTensor(f.c)
	}
}

// newFeeds copies the valid tensors of a signature's inputs, in the order of the names, into C memory.
func newFeeds(key string, names []string, in map[string]tensor.Tensor) ([]*feed, error) {
	var fed []*feed
	for _, name := range names {
		f, err := newFeed(in[name])
		if err != nil {
			free(fed)
			return nil, &InputError{key, name, err}
		}
		fed = append(fed, f)
	}
	return fed, nil
}

// newFeed copies a valid tensor into C memory.
func newFeed(t tensor.Tensor) (*feed, error) {
	if t.DType == tensor.String {
		texts := t.Data.([][]byte)
		length := len(texts) * int(unsafe.Sizeof(C.TF_TString{}))
		b, err := newBuffer(int64(length))
		if err != nil {
			return nil, err
		}
		for i, text := range texts {
			s := C.string_at(b.data, C.size_t(i))
			C.TF_StringInit(s)
			C.TF_StringCopy(s, (*C.char)(unsafe.Pointer(unsafe.SliceData(text))), C.size_t(len(text)))
		}
		return b.feed(t.DType, t.Shape, length, len(texts)), nil
	}
	raw, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	b, err := newBuffer(int64(len(raw)))
	if err != nil {
		return nil, err
	}
	copy(unsafe.Slice((*byte)(b.data), b.length), raw)
	return b.feed(t.DType, t.Shape, b.length, 0), nil
}

// fetch copies a tensor out of C memory.
func fetch(c *C.TF_Tensor) (tensor.Tensor, error) {
	dtype := tensor.DType(C.TF_TensorType(c))
	shape := make(tensor.Shape, C.TF_NumDims(c))
	for i := range shape {
		shape[i] = int64(C.TF_Dim(c, C.int(i)))
	}
	data, length := C.TF_TensorData(c), int(C.TF_TensorByteSize(c))
	if dtype == tensor.String {
		n, err := shape.Elements()
		if err != nil {
			return tensor.Tensor{}, err
		}
		texts := make([][]byte, n)
		for i := range texts {
			s := C.string_at(data, C.size_t(i))
			texts[i] = bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(C.TF_StringGetDataPointer(s))), int(C.TF_StringGetSize(s))))
		}
		return tensor.New(shape, texts)
	}
	raw := make([]byte, length)
	copy(raw, unsafe.Slice((*byte)(data), length))
	return tensor.FromBytes(dtype, shape, raw)
}

// oneLine makes one line of TensorFlow's messages, which go on with the nodes they are about.
func oneLine(message string) string {
	return strings.Join(strings.Fields(message), " ")
}
