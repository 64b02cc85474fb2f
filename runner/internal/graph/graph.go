// Package graph rewrites TensorFlow graphs. Each function takes a GraphDef and returns another; the
// one that it was given stays as it is. The two share attributes, which nobody changes.
//
// A graph whose kernels are in variables is packed in four steps. [Prune] leaves what a signature
// needs. [ReplaceVariables] and [Gate] make of it a graph that TensorFlow can optimise without
// computing anything. [Ungate] takes the gates out of the optimised graph, and [FeedKernels] lists
// the kernels to feed. [Freeze] is the other way: variables become constants.
package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Endpoints returns the operations that the inputs and outputs of signatures come from.
func Endpoints(signatures ...savedmodel.Signature) []string {
	var ops []string
	for _, signature := range signatures {
		for _, tensors := range []map[string]savedmodel.TensorInfo{signature.Inputs,
			signature.Outputs} {
			for _, t := range tensors {
				ops = append(ops, t.Op)
			}
		}
	}
	return ops
}

// with returns a graph of other nodes with everything else of g: its versions, its functions.
func with(g *graphpb.GraphDef, nodes []*nodepb.NodeDef) *graphpb.GraphDef {
	return &graphpb.GraphDef{Node: nodes, Versions: g.Versions, Library: g.Library}
}

// copied returns a copy of a node, whose inputs, device and set of attributes may be changed.
func copied(n *nodepb.NodeDef) *nodepb.NodeDef {
	return &nodepb.NodeDef{
		Name: n.Name, Op: n.Op, Input: slices.Clone(n.Input), Device: n.Device,
		Attr:                  maps.Clone(n.Attr),
		ExperimentalDebugInfo: n.ExperimentalDebugInfo,
	}
}

// Producer returns the operation that an input comes from: "^" before its name is a control
// dependency, ":1" behind it the second output.
func Producer(input string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(input, "^"), ":")
	return name
}

// Variable is a read of a variable in a graph.
type Variable struct {
	Read  string // the operation that reads it
	DType tensor.DType
	Shape tensor.Shape // as the operation that makes the variable has it
}

const readOp = "ReadVariableOp"

// Prune returns the part of a graph that the operations named need, and the variables that it
// reads. What a read needs is left out: [ReplaceVariables] or [Freeze] has to follow.
func Prune(g *graphpb.GraphDef, needed []string) (*graphpb.GraphDef, []Variable) {
	byName := make(map[string]*nodepb.NodeDef, len(g.Node))
	for _, node := range g.Node {
		byName[node.Name] = node
	}
	var nodes []*nodepb.NodeDef
	var variables []Variable
	taken := map[string]bool{}
	for needed = slices.Clone(needed); len(needed) > 0; {
		name := Producer(needed[0])
		needed = needed[1:]
		if byName[name] == nil || taken[name] {
			continue
		}
		taken[name] = true
		node := copied(byName[name])
		delete(node.Attr, "_class") // names operations that may not be in the graph any more
		nodes = append(nodes, node)
		if node.Op == readOp {
			variables = append(variables, variable(node, byName))
			continue
		}
		needed = append(needed, node.Input...)
	}
	return with(g, nodes), variables
}

func variable(read *nodepb.NodeDef, byName map[string]*nodepb.NodeDef) Variable {
	v := Variable{Read: read.Name, DType: tensor.DType(read.Attr["dtype"].GetType())}
	if len(read.Input) == 0 {
		return v
	}
	shape := byName[Producer(read.Input[0])].GetAttr()["shape"].GetShape()
	if shape == nil || shape.UnknownRank {
		return v
	}
	v.Shape = tensor.Shape{}
	for _, dim := range shape.Dim {
		v.Shape = append(v.Shape, dim.Size)
	}
	return v
}

// Freeze returns a graph with constants in the place of the operations that values names.
func Freeze(g *graphpb.GraphDef, values map[string]tensor.Tensor) (*graphpb.GraphDef, error) {
	nodes := slices.Clone(g.Node)
	for i, node := range nodes {
		value, ok := values[node.Name]
		if !ok {
			continue
		}
		content, err := value.Bytes()
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", node.Name, err)
		}
		nodes[i] = Constant(node.Name, value.DType, value.Shape,
			&tensorpb.TensorProto{TensorContent: content})
	}
	return with(g, nodes), nil
}

// Place returns a graph on a device, which is named as TensorFlow does, "/device:GPU:1"; "" leaves
// the choice to TensorFlow. An operation that names a device itself stays there.
func Place(g *graphpb.GraphDef, device string) *graphpb.GraphDef {
	nodes := slices.Clone(g.Node)
	for i, node := range nodes {
		if node.Device == "" && device != "" {
			nodes[i] = copied(node)
			nodes[i].Device = device
		}
	}
	return with(g, nodes)
}

// Constant returns an operation of no inputs whose output is a value, which it is given.
func Constant(name string, dtype tensor.DType, shape tensor.Shape,
	value *tensorpb.TensorProto) *nodepb.NodeDef {
	value.Dtype, value.TensorShape = typespb.DataType(dtype), shapeOf(shape)
	return &nodepb.NodeDef{Name: name, Op: "Const", Attr: map[string]*attrpb.AttrValue{
		"dtype": typeAttr(dtype), "value": {Value: &attrpb.AttrValue_Tensor{Tensor: value}},
	}}
}

// Placeholder returns an operation whose output is fed.
func Placeholder(name string, dtype tensor.DType) *nodepb.NodeDef {
	return &nodepb.NodeDef{Name: name, Op: "Placeholder",
		Attr: map[string]*attrpb.AttrValue{"dtype": typeAttr(dtype)}}
}

func typeAttr(t tensor.DType) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_Type{Type: typespb.DataType(t)}}
}

func shapeOf(sizes tensor.Shape) *shapepb.TensorShapeProto {
	shape := new(shapepb.TensorShapeProto)
	for _, size := range sizes {
		shape.Dim = append(shape.Dim, &shapepb.TensorShapeProto_Dim{Size: size})
	}
	return shape
}
