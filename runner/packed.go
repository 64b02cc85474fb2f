package runner

/*
#include "tensorflow/c/c_api.h"

static void keep(void* data, size_t length, void* unused) {}

// borrowed makes a tensor of numbers that outlive it.
static TF_Tensor* borrowed(float* numbers, int64_t n) { return TF_NewTensor(TF_FLOAT, &n, 1, numbers, n * sizeof(float), keep, NULL); }
*/
import "C"

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unsafe"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
	tfpb "github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"

	conv "kerasrun/runner/internal/cpuconv"
	"kerasrun/savedmodel"
)

// ownConvolutions says in which precisions package conv computes the convolutions whose kernels are packed.
var ownConvolutions = map[Precision]bool{FP32: conv.Preferred(false), BF16: conv.Preferred(true)}

// errForeign says that a graph has convolutions that package conv does not compute, or none.
var errForeign = errors.New("want convolutions that can be computed in bfloat16")

// kernelOps are the operations whose second input is a kernel: what they do is not known before an input comes.
var kernelOps = []string{"Conv2D", "DepthwiseConv2dNative", "MatMul"}

// pack returns the call of what TensorFlow makes of a signature when its kernels are constants, in a session of its own that is fed the kernels. TensorFlow's
// operations of oneDNN pack a kernel that is constant once, into the order of elements that the convolution wants, and any other in each run; for ours they
// are packed here. So the call is as fast as with constants in the graph, of which TensorFlow makes half a dozen copies on the way to its first run. The
// variables must keep their values.
func (s *session) pack(signature savedmodel.Signature) (c *call, err error) {
	graph, kernels, err := s.optimized(signature)
	if err != nil {
		return nil, fmt.Errorf("runner: signature %s: the optimised graph: %w", signature.Key, err)
	}
	if s.bf16 || ownConvolutions[FP32] {
		if err := conv.Register(processThreads()); err != nil {
			return nil, fmt.Errorf("runner: %w", err)
		}
		if !conv.Replace(graph, kernels, endpointOps(signature), s.bf16) && s.bf16 {
			return nil, fmt.Errorf("runner: signature %s: %w", signature.Key, errForeign)
		}
	}
	values, err := s.values(kernels)
	if err != nil {
		return nil, err
	}
	fed, err := newKernels(graph, values)
	if err != nil {
		return nil, fmt.Errorf("runner: signature %s: %w", signature.Key, err)
	}
	signature.Inputs = liven(graph, signature)
	other, err := sessionOf(graph, s.loading)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("runner: signature %s: the packed graph: %w", signature.Key, err), fed.free())
	}
	other.kernels = fed
	s.packed = append(s.packed, other)
	if c, err = other.newCall(signature); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(fed.tensors)) {
		at, err := other.endpoint(savedmodel.TensorInfo{Op: name})
		if err != nil {
			return nil, fmt.Errorf("runner: signature %s: %w", signature.Key, err)
		}
		c.feeds, c.kernels = append(c.feeds, at), append(c.kernels, fed.tensors[name])
	}
	return c, nil
}

// kernels are what a session's operations read from placeholders in every run: those of our operations packed, and TensorFlow's as they are.
type kernels struct {
	tensors map[string]*C.TF_Tensor
	memory  *conv.Memory
}

// newMemory is conv's; a test puts another in its place, which fails.
var newMemory = conv.NewMemory

// newKernels takes over the kernels' values, for the operations of the graph that read the placeholders of their names. Each of ours has its own then.
func newKernels(graph *graphpb.GraphDef, values map[string]*C.TF_Tensor) (k kernels, err error) {
	k.tensors = map[string]*C.TF_Tensor{}
	defer func() {
		for name := range k.tensors {
			delete(values, name) // k's from here on: each tensor has one owner
		}
		deleteAll(values)
		if err != nil {
			k, err = kernels{}, errors.Join(err, k.free())
		}
	}()
	var ours []*nodepb.NodeDef
	var lengths []int
	graph.Node = slices.DeleteFunc(graph.Node, func(node *nodepb.NodeDef) bool { return values[node.Name] != nil })
	for _, node := range graph.Node {
		if node.Op == conv.Op {
			length, err := conv.PackedLength(node)
			if err != nil {
				return k, fmt.Errorf("%s: %w", node.Name, err)
			}
			ours, lengths = append(ours, node), append(lengths, length)
			continue
		}
		for _, input := range node.Input {
			if value := values[input]; value != nil {
				k.tensors[input] = value
			}
		}
		// TensorFlow has marked it where the kernel is a constant of the graph.
		if _, has := node.Attr["is_filter_const"]; has && values[node.Input[1]] != nil {
			node.Attr["is_filter_const"] = &attrpb.AttrValue{Value: &attrpb.AttrValue_B{B: true}}
		}
	}
	if len(ours) > 0 {
		if k.memory, err = newMemory(lengths...); err != nil {
			return k, err
		}
	}
	for i, node := range ours {
		packed := k.memory.Take(lengths[i])
		if err := packValue(node, values[node.Input[1]], packed); err != nil {
			return k, fmt.Errorf("%s: kernel %s: %w", node.Name, node.Input[1], err)
		}
		node.Input[1] = node.Name + "/packed"
		k.tensors[node.Input[1]] = C.borrowed((*C.float)(unsafe.SliceData(packed)), C.int64_t(len(packed)))
	}
	for name := range k.tensors {
		graph.Node = append(graph.Node, placeholder(name, typespb.DataType_DT_FLOAT))
	}
	return k, nil
}

// packValue packs a variable's value for an operation of ours. What a checkpoint holds need not be what the graph says of it.
func packValue(node *nodepb.NodeDef, value *C.TF_Tensor, packed []float32) error {
	if value == nil {
		return errors.New("expected a value, got none")
	}
	if dtype := C.TF_TensorType(value); dtype != C.TF_FLOAT {
		return fmt.Errorf("expected float32, got %v", typespb.DataType(dtype))
	}
	shape := make([]int64, C.TF_NumDims(value))
	for i := range shape {
		shape[i] = int64(C.TF_Dim(value, C.int(i)))
	}
	numbers := unsafe.Slice((*float32)(C.TF_TensorData(value)), C.TF_TensorByteSize(value)/C.sizeof_float)
	return conv.Pack(node, shape, numbers, packed)
}

func (k kernels) free() error {
	deleteAll(k.tensors)
	if k.memory == nil {
		return nil
	}
	return k.memory.Free()
}

// optimized returns the graph that TensorFlow runs for a signature, and which of its placeholders stand for variables. It is that of a session of its own, in
// which a variable is a placeholder, and TensorFlow computes what depends on constants alone, so that a variable may be a kernel and nothing else.
// TensorFlow shows a graph only after a run; in this one no operation computes anything, for the inputs and the placeholders are dead.
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
	for _, read := range reads {
		shape, err := s.graph.Operation(read.Name).Output(0).Shape().ToSlice()
		if err != nil {
			return nil, nil, fmt.Errorf("variable %s: %w", read.Name, err)
		}
		dtype := read.Attr["dtype"].GetType()
		if dtype != typespb.DataType_DT_FLOAT {
			return nil, nil, fmt.Errorf("variable %s: want float32, got %v", read.Name, dtype)
		}
		stand := placeholder(read.Name, dtype)
		stand.Attr["shape"] = &attrpb.AttrValue{Value: &attrpb.AttrValue_Shape{Shape: shapeOf(shape)}}
		read.Op, read.Input, read.Attr = stand.Op, []string{"^" + neverName}, stand.Attr
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
	if _, err := c.execute(fed, options, buffer); err != nil {
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

const (
	alwaysName = "kerasrun/always" // the constant that says which side is taken
	neverName  = "kerasrun/never"  // what never runs
)

// deadName is the operation that deaden puts after an input.
func deadName(in savedmodel.TensorInfo) string { return fmt.Sprintf("%s/dead_%d", in.Op, in.Index) }

func placeholder(name string, dtype typespb.DataType) *nodepb.NodeDef {
	return &nodepb.NodeDef{Name: name, Op: "Placeholder", Attr: map[string]*attrpb.AttrValue{"dtype": ofType(dtype)}}
}

func ofType(t typespb.DataType) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_Type{Type: t}}
}

// deaden puts between the inputs of a signature and what reads them the side of a Switch that is never taken. TensorFlow does not run what
// depends on that.
func deaden(graph *graphpb.GraphDef, signature savedmodel.Signature) {
	dead := map[string]string{}
	always := &nodepb.NodeDef{Name: alwaysName, Attr: map[string]*attrpb.AttrValue{"dtype": ofType(typespb.DataType_DT_BOOL)}}
	makeConstant(always, nil, &tensorpb.TensorProto{BoolVal: []bool{true}})
	// A Switch itself runs: what waits for its dead side, that of any input, does not.
	never := &nodepb.NodeDef{Name: neverName, Op: "Identity"}
	added := []*nodepb.NodeDef{always, never}
	for _, in := range signature.Inputs {
		dead[in.Name()] = deadName(in)
		if in.Index == 0 {
			dead[in.Op] = deadName(in) // the same tensor, as GraphDef writes it
		}
		kind := map[string]*attrpb.AttrValue{"T": ofType(typespb.DataType(in.DType))}
		added = append(added, &nodepb.NodeDef{Name: deadName(in), Op: "Switch", Input: []string{in.Name(), alwaysName}, Attr: kind})
		never.Input, never.Attr = []string{deadName(in)}, kind
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

// liven undoes what deaden did to the graph, as TensorFlow has optimised it, and returns the inputs, which are placeholders.
func liven(graph *graphpb.GraphDef, signature savedmodel.Signature) map[string]savedmodel.TensorInfo {
	inputs, dead := maps.Clone(signature.Inputs), map[string]*nodepb.NodeDef{}
	for name, in := range inputs {
		in.Op, in.Index = deadName(in), 0
		inputs[name], dead[in.Op] = in, placeholder(in.Op, typespb.DataType(in.DType))
	}
	// _Arg brings an input in.
	graph.Node = slices.DeleteFunc(graph.Node, func(node *nodepb.NodeDef) bool {
		return dead[node.Name] != nil || node.Op == "_Arg" || node.Name == alwaysName || node.Name == neverName
	})
	graph.Node = slices.AppendSeq(graph.Node, maps.Values(dead))
	return inputs
}
