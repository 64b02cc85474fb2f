package session

/*
#include <stdlib.h>
#include "tensorflow/c/c_api.h"
*/
import "C"

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	tfpb "github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"
)

// Endpoint is a tensor of a graph: output Index of the operation Op.
type Endpoint struct {
	Op    string
	Index int
}

// String returns TensorFlow's spelling, "op:index".
func (e Endpoint) String() string { return e.Op + ":" + strconv.Itoa(e.Index) }

// Request says what to run of a graph.
type Request struct {
	Feeds   []Endpoint // given in every run
	Bound   []Bound    // fed in every run, the same each time
	Fetches []Endpoint // returned
	Targets []string   // operations that are run, and not returned
}

// Bound is a tensor that every run is fed. It has to outlive the call.
type Bound struct {
	At     Endpoint
	Tensor *Tensor
}

// Call is a request that can be run, many at a time.
type Call struct {
	session        *Session
	given          int // feeds that Run is given
	feeds, fetches []C.TF_Output
	bound          []*C.TF_Tensor
	targets        []*C.TF_Operation

	first sync.Mutex // held in the first run
	ran   atomic.Bool
}

// NewCall looks a request up in the graph.
func (s *Session) NewCall(r Request) (*Call, error) {
	c := &Call{session: s, given: len(r.Feeds)}
	for _, at := range r.Feeds {
		if err := s.appendOutput(&c.feeds, at); err != nil {
			return nil, err
		}
	}
	for _, b := range r.Bound {
		if err := s.appendOutput(&c.feeds, b.At); err != nil {
			return nil, err
		}
		c.bound = append(c.bound, b.Tensor.c)
	}
	for _, at := range r.Fetches {
		if err := s.appendOutput(&c.fetches, at); err != nil {
			return nil, err
		}
	}
	for _, name := range r.Targets {
		op := s.operation(name)
		if op == nil {
			return nil, fmt.Errorf("expected an operation %s in the graph, found none", name)
		}
		c.targets = append(c.targets, op)
	}
	return c, nil
}

func (s *Session) operation(name string) *C.TF_Operation {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return C.TF_GraphOperationByName(s.g, text)
}

func (s *Session) appendOutput(to *[]C.TF_Output, at Endpoint) error {
	op := s.operation(at.Op)
	if op == nil || at.Index < 0 || at.Index >= int(C.TF_OperationNumOutputs(op)) {
		return fmt.Errorf("expected a tensor %v in the graph, found none", at)
	}
	*to = append(*to, C.TF_Output{oper: op, index: C.int(at.Index)})
	return nil
}

// Run runs a call. in are the tensors of Feeds, in their order, which Run deletes; the caller
// deletes those that it returns, in the order of Fetches.
//
// In a call's first run TensorFlow optimises the graph, in memory of several times its size. Other
// runs wait for it, so that none optimises the graph again.
func (c *Call) Run(in []*Tensor) ([]*Tensor, error) {
	defer Delete(in)
	if !c.ran.Load() {
		c.first.Lock()
		if c.ran.Load() {
			c.first.Unlock()
		} else {
			defer func() {
				c.ran.Store(true)
				c.first.Unlock()
			}()
			out, err := c.run(in, nil, nil)
			Trim()
			return out, err
		}
	}
	return c.run(in, nil, nil)
}

// run is given a RunOptions and a RunMetadata to be filled in, both of which may be nil.
func (c *Call) run(in []*Tensor, options, metadata *C.TF_Buffer) ([]*Tensor, error) {
	if len(in) != c.given {
		return nil, fmt.Errorf("expected %d tensors, got %d", c.given, len(in))
	}
	fed := make([]*C.TF_Tensor, 0, len(c.feeds))
	for _, t := range in {
		fed = append(fed, t.c)
	}
	fed = append(fed, c.bound...)
	fetched := make([]*C.TF_Tensor, len(c.fetches))
	status := C.TF_NewStatus()
	defer C.TF_DeleteStatus(status)
	C.TF_SessionRun(c.session.c, options, unsafe.SliceData(c.feeds), unsafe.SliceData(fed),
		C.int(len(fed)),
		unsafe.SliceData(c.fetches), unsafe.SliceData(fetched), C.int(len(fetched)),
		unsafe.SliceData(c.targets), C.int(len(c.targets)), metadata, status)
	if err := statusError(status); err != nil {
		return nil, err
	}
	out := make([]*Tensor, len(fetched))
	for i, t := range fetched {
		out[i] = &Tensor{t}
	}
	return out, nil
}

// Read returns the first outputs of operations by their names, as those that read variables. The
// caller deletes them.
func (s *Session) Read(names []string) (map[string]*Tensor, error) {
	values := make(map[string]*Tensor, len(names))
	if len(names) == 0 {
		return values, nil // TensorFlow does not run nothing
	}
	var r Request
	for _, name := range names {
		r.Fetches = append(r.Fetches, Endpoint{Op: name})
	}
	c, err := s.NewCall(r)
	if err != nil {
		return nil, err
	}
	out, err := c.run(nil, nil, nil)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		values[name] = out[i]
	}
	return values, nil
}

// Optimize returns the graph that TensorFlow makes of another for the targets, on one device. in
// are the tensors of the feeds, which Optimize deletes. TensorFlow shows an optimised graph only
// after a run: the targets are run, in a session of their own.
func Optimize(graph *graphpb.GraphDef, config []byte, feeds []Endpoint, in []*Tensor,
	targets []string) (optimized *graphpb.GraphDef, err error) {
	defer Delete(in)
	s, err := New(graph, config)
	if err != nil {
		return nil, err
	}
	defer func() {
		if fault := s.Close(); err == nil {
			err = fault
		}
	}()
	c, err := s.NewCall(Request{Feeds: feeds, Targets: targets})
	if err != nil {
		return nil, err
	}
	raw, err := proto.Marshal(&tfpb.RunOptions{OutputPartitionGraphs: true})
	if err != nil {
		return nil, err
	}
	options := C.TF_NewBufferFromString(unsafe.Pointer(unsafe.SliceData(raw)), C.size_t(len(raw)))
	defer C.TF_DeleteBuffer(options)
	buffer := C.TF_NewBuffer()
	defer C.TF_DeleteBuffer(buffer)
	_, err = c.run(in, options, buffer)
	Trim()
	if err != nil {
		return nil, err
	}
	var metadata tfpb.RunMetadata
	if err := proto.Unmarshal(bytesOf(buffer), &metadata); err != nil {
		return nil, err
	}
	if n := len(metadata.PartitionGraphs); n != 1 {
		return nil, fmt.Errorf("expected one graph, for one device, got %d", n)
	}
	return metadata.PartitionGraphs[0], nil
}
