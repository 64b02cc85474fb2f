package runner

/*
#include "tensorflow/c/c_api.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unsafe"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
	tfpb "github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"

	"kerasrun/runner/internal/conv"
	"kerasrun/savedmodel"
)

// ownConvolutions says in which precisions package conv computes the convolutions whose kernels are packed.
var ownConvolutions = map[Precision]bool{FP32: conv.Preferred(false), BF16: conv.Preferred(true)}

// errForeign says that a graph has convolutions that package conv does not compute, or none.
var errForeign = errors.New("want convolutions that can be computed in bfloat16")

// kernelOps are the operations whose second input is a kernel: what they do is not known before an input comes.
var kernelOps = []string{"Conv2D", "DepthwiseConv2dNative", "MatMul"}

// pack adds to the graph what TensorFlow makes of a signature when its kernels are constants, with the kernels read from the variables after
// all, and returns the call of that. TensorFlow's operations of oneDNN, and ours, pack a kernel that is constant once, into the order of elements
// that the convolution wants, and any other in each run. So the call is as fast as with constants in the graph, of which TensorFlow makes half
// a dozen copies on the way to its first run. The variables must keep their values.
func (s *session) pack(signature savedmodel.Signature) (*call, error) {
	graph, kernels, err := s.optimized(signature)
	if err != nil {
		return nil, fmt.Errorf("runner: signature %s: the optimised graph: %w", signature.Key, err)
	}
	options := tf.GraphImportOptions{Prefix: fmt.Sprintf("packed_%d", s.packed)}
	s.packed++
	mapped := map[string]bool{}
	to := func(node, op string, index int) {
		mapped[node] = true
		options.AddInputMapping(node, 0, s.graph.Operation(op).Output(index))
	}
	for _, in := range signature.Inputs {
		to(deadName(in), in.Op, in.Index)
	}
	for _, kernel := range kernels {
		if !slices.ContainsFunc(graph.Node, func(node *nodepb.NodeDef) bool { return node.Name == kernel }) {
			return nil, fmt.Errorf("runner: signature %s: the optimised graph: want the variable %s in it, got none of that name", signature.Key, kernel)
		}
		to(kernel, kernel, 0)
	}
	if s.bf16 || ownConvolutions[FP32] {
		if err := conv.Register(processThreads()); err != nil {
			return nil, fmt.Errorf("runner: %w", err)
		}
		if !conv.Replace(graph, kernels, endpointOps(signature), s.bf16) && s.bf16 {
			return nil, fmt.Errorf("runner: signature %s: %w", signature.Key, errForeign)
		}
	}
	// _Arg brings an input in, which is mapped behind it.
	graph.Node = slices.DeleteFunc(graph.Node, func(node *nodepb.NodeDef) bool {
		return mapped[node.Name] || node.Op == "_Arg" || node.Name == alwaysName
	})
	raw, err := proto.Marshal(graph)
	if err != nil {
		return nil, err
	}
	if err := s.graph.ImportWithOptions(raw, options); err != nil {
		return nil, fmt.Errorf("runner: signature %s: the packed graph: TensorFlow: %s", signature.Key, oneLine(err.Error()))
	}
	signature.Outputs = maps.Clone(signature.Outputs)
	for name, out := range signature.Outputs {
		out.Op = options.Prefix + "/" + out.Op
		signature.Outputs[name] = out
	}
	return s.newCall(signature)
}

// optimized returns the graph that TensorFlow runs for a signature, and which of its constants stand for variables. It is that of a session of its
// own, in which all elements of a variable are one number, which takes no room in a graph. Each has its own number: TensorFlow makes one of
// constants that are alike. And it computes what depends on constants alone, so that a variable may be a kernel and nothing else. TensorFlow shows
// a graph only after a run; in this one no operation computes anything or packs a kernel, for the inputs are dead.
func (s *session) optimized(signature savedmodel.Signature) (graph *graphpb.GraphDef, kernels []string, err error) {
	standIn, reads, err := s.part(endpointOps(signature))
	if err != nil {
		return nil, nil, err
	}
	for _, node := range standIn.Node {
		for i, input := range node.Input {
			of := slices.IndexFunc(reads, func(read *nodepb.NodeDef) bool { return read.Name == input })
			if of >= 0 && (i != 1 || !slices.Contains(kernelOps, node.Op)) {
				return nil, nil, fmt.Errorf("variable %s: want it as the kernel of %v alone, got it as input %d of %s", input, kernelOps, i, node.Op)
			}
		}
	}
	for i, read := range reads {
		shape, err := s.graph.Operation(read.Name).Output(0).Shape().ToSlice()
		if err != nil {
			return nil, nil, fmt.Errorf("variable %s: %w", read.Name, err)
		}
		if dtype := read.Attr["dtype"].GetType(); dtype != typespb.DataType_DT_FLOAT {
			return nil, nil, fmt.Errorf("variable %s: want float32, got %v", read.Name, dtype)
		}
		makeConstant(read, shape, &tensorpb.TensorProto{FloatVal: []float32{float32(i + 1)}})
		kernels = append(kernels, read.Name)
	}
	deaden(standIn, signature)
	other, err := sessionOf(standIn, s.packing)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, other.close()) }()
	c, err := other.newCall(signature)
	if err != nil {
		return nil, nil, err
	}
	for _, out := range c.fetches {
		c.targets = append(c.targets, out.oper)
	}
	c.outputs, c.fetches = nil, nil // what is not computed has no value
	in, err := blank(signature)
	if err != nil {
		return nil, nil, err
	}
	fed, err := newFeeds(signature.Key, c.inputs, in)
	if err != nil {
		return nil, nil, err
	}
	raw, err := proto.Marshal(&tfpb.RunOptions{OutputPartitionGraphs: true})
	if err != nil {
		free(fed)
		return nil, nil, err
	}
	options := C.TF_NewBufferFromString(unsafe.Pointer(unsafe.SliceData(raw)), C.size_t(len(raw)))
	defer C.TF_DeleteBuffer(options)
	buffer := C.TF_NewBuffer()
	defer C.TF_DeleteBuffer(buffer)
	if _, err := other.runWith(c, fed, options, buffer); err != nil {
		return nil, nil, err
	}
	var metadata tfpb.RunMetadata
	if err := proto.Unmarshal(unsafe.Slice((*byte)(buffer.data), int(buffer.length)), &metadata); err != nil {
		return nil, nil, err
	}
	if n := len(metadata.PartitionGraphs); n != 1 {
		return nil, nil, fmt.Errorf("want one, for one device, got %d", n)
	}
	return metadata.PartitionGraphs[0], kernels, nil
}

// alwaysName is the constant that says which side is taken.
const alwaysName = "kerasrun/always"

// deadName is the operation that deaden puts after an input.
func deadName(in savedmodel.TensorInfo) string { return fmt.Sprintf("%s/dead_%d", in.Op, in.Index) }

// deaden puts between the inputs of a signature and what reads them the side of a Switch that is never taken. TensorFlow does not run what
// depends on that.
func deaden(graph *graphpb.GraphDef, signature savedmodel.Signature) {
	ofType := func(t typespb.DataType) *attrpb.AttrValue {
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_Type{Type: t}}
	}
	dead := map[string]string{}
	always := &nodepb.NodeDef{Name: alwaysName, Attr: map[string]*attrpb.AttrValue{"dtype": ofType(typespb.DataType_DT_BOOL)}}
	makeConstant(always, nil, &tensorpb.TensorProto{BoolVal: []bool{true}})
	added := []*nodepb.NodeDef{always}
	for _, in := range signature.Inputs {
		dead[in.Name()] = deadName(in)
		if in.Index == 0 {
			dead[in.Op] = deadName(in) // the same tensor, as GraphDef writes it
		}
		added = append(added, &nodepb.NodeDef{Name: deadName(in), Op: "Switch", Input: []string{in.Name(), alwaysName},
			Attr: map[string]*attrpb.AttrValue{"T": ofType(typespb.DataType(in.DType))}})
	}
	for _, node := range graph.Node {
		for i, input := range node.Input {
			if to, ok := dead[input]; ok {
				node.Input[i] = to
			}
		}
	}
	graph.Node = append(graph.Node, added...)
}
