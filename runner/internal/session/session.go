package session

/*
#cgo LDFLAGS: -ltensorflow
#cgo linux LDFLAGS: -ldl
#include <stdlib.h>
#include "tensorflow/c/c_api.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"unsafe"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	"github.com/galeone/tfgo"
	"google.golang.org/protobuf/proto"
)

// Session is a graph that can be run. Close frees it.
type Session struct {
	session *tf.Session
	graph   *tf.Graph
	c       *C.TF_Session
	g       *C.TF_Graph
}

// Load loads a SavedModel's graph with these tags, and its variables, with tfgo. config is a
// ConfigProto. Errors do not name dir.
func Load(dir string, tags []string, config []byte) (s *Session, err error) {
	defer func() {
		// tfgo panics with a string where it cannot load.
		switch fault := recover().(type) {
		case nil:
		case runtime.Error:
			panic(fault)
		case string:
			err = tensorFlowError(fault)
		case error:
			err = tensorFlowError(fault.Error())
		default:
			panic(fault)
		}
	}()
	Trim() // what the library's initialisers have touched
	model := tfgo.LoadModel(dir, tags, &tf.SessionOptions{Config: config})
	// tfgo closes the session when the model is garbage, and has no other way to. Close does it
	// here.
	runtime.SetFinalizer(model, nil)
	pointer, err := field(model, "saved", reflect.TypeFor[*tf.SavedModel]().String())
	if err != nil {
		return nil, err
	}
	saved := (*tf.SavedModel)(pointer)
	// The binding has made two copies of the graph in Go to read the signatures from, and keeps
	// none.
	debug.FreeOSMemory()
	return newSession(saved.Session, saved.Graph)
}

// New returns a session of a graph. config is a ConfigProto.
func New(graph *graphpb.GraphDef, config []byte) (*Session, error) {
	raw, err := proto.Marshal(graph)
	if err != nil {
		return nil, err
	}
	imported := tf.NewGraph()
	if err := imported.Import(raw, ""); err != nil {
		return nil, fmt.Errorf("the graph: %w", tensorFlowError(err.Error()))
	}
	s, err := tf.NewSession(imported, &tf.SessionOptions{Config: config})
	if err != nil {
		return nil, fmt.Errorf("the session: %w", tensorFlowError(err.Error()))
	}
	return newSession(s, imported)
}

// newSession takes over a session and its graph.
func newSession(s *tf.Session, g *tf.Graph) (*Session, error) {
	cs, err := field(s, "c", "*tensorflow._Ctype_struct_TF_Session")
	if err != nil {
		return nil, err
	}
	cg, err := field(g, "c", "*tensorflow._Ctype_struct_TF_Graph")
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(g, nil)
	return &Session{session: s, graph: g, c: (*C.TF_Session)(cs), g: (*C.TF_Graph)(cg)}, nil
}

// field returns the pointer in a field that tfgo or the binding does not export. Neither has had a
// change since the versions in go.mod.
func field(object any, name, want string) (unsafe.Pointer, error) {
	f := reflect.ValueOf(object).Elem().FieldByName(name)
	if !f.IsValid() || f.Type().String() != want || f.IsNil() {
		return nil, fmt.Errorf("tfgo or its binding: expected a %s in the field %s of a %T",
			want, name, object)
	}
	return f.UnsafePointer(), nil
}

// Close frees the session and its graph. Nothing may run.
func (s *Session) Close() (err error) {
	if fault := s.session.Close(); fault != nil {
		err = tensorFlowError(fault.Error())
	}
	C.TF_DeleteGraph(s.g)
	Trim()
	return err
}

// Graph returns a copy of the session's graph, as it was before TensorFlow optimised it.
func (s *Session) Graph() (*graphpb.GraphDef, error) {
	buffer := C.TF_NewBuffer()
	defer C.TF_DeleteBuffer(buffer)
	status := C.TF_NewStatus()
	defer C.TF_DeleteStatus(status)
	C.TF_GraphToGraphDef(s.g, buffer, status)
	if err := statusError(status); err != nil {
		return nil, fmt.Errorf("the graph: %w", err)
	}
	graph := new(graphpb.GraphDef)
	if err := proto.Unmarshal(bytesOf(buffer), graph); err != nil {
		return nil, fmt.Errorf("the graph: %w", err)
	}
	return graph, nil
}

// bytesOf is what a buffer holds, as long as the buffer is there.
func bytesOf(b *C.TF_Buffer) []byte { return unsafe.Slice((*byte)(b.data), int(b.length)) }

func statusError(status *C.TF_Status) error {
	if C.TF_GetCode(status) == C.TF_OK {
		return nil
	}
	return tensorFlowError(C.GoString(C.TF_Message(status)))
}

// tensorFlowError makes an error of one line of TensorFlow's messages, which go on with the nodes
// they are about.
func tensorFlowError(message string) error {
	return errors.New("TensorFlow: " + strings.Join(strings.Fields(message), " "))
}
