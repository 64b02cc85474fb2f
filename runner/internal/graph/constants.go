package graph

import (
	"slices"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"

	"kerasrun/tensor"
)

// ConstantKernel is a kernel of a frozen graph: a constant of float32, or one of int8, cast and
// multiplied by scales, one for each output channel.
type ConstantKernel struct {
	Name  string // of the operation that computes it, and of the placeholder in its place
	Value string // the constant
	Scale string // the constant of the scales; "" where there is none
}

// ReplaceConstants is [ReplaceVariables] of a graph whose kernels are constants. A constant that is
// something else too stays as it is.
func ReplaceConstants(g *graphpb.GraphDef) (*graphpb.GraphDef, []ConstantKernel) {
	byName := make(map[string]*nodepb.NodeDef, len(g.Node))
	for _, node := range g.Node {
		byName[node.Name] = node
	}
	reads, asKernel := map[string]int{}, map[string]int{}
	for _, node := range g.Node {
		for at, input := range node.Input {
			reads[Producer(input)]++
			if at == 1 && slices.Contains(kernelOps, node.Op) {
				asKernel[input]++
			}
		}
	}
	nodes := slices.Clone(g.Node)
	var kernels []ConstantKernel
	for i, node := range nodes {
		if asKernel[node.Name] == 0 || asKernel[node.Name] != reads[node.Name] {
			continue
		}
		kernel, value := constantKernel(node, byName)
		if value == nil || slices.ContainsFunc(value.GetTensorShape().GetDim(),
			func(d *shapepb.TensorShapeProto_Dim) bool { return d.Size < 1 }) {
			continue
		}
		p := Placeholder(node.Name, tensor.Float32)
		p.Attr["shape"] = &attrpb.AttrValue{Value: &attrpb.AttrValue_Shape{
			Shape: value.TensorShape}}
		p.Input = []string{"^" + neverName}
		nodes[i] = p
		kernels = append(kernels, kernel)
	}
	return with(g, nodes), kernels
}

// constantKernel returns what a node's value is made of, and the constant; nil where it is no
// kernel.
func constantKernel(node *nodepb.NodeDef, byName map[string]*nodepb.NodeDef) (
	ConstantKernel, *tensorpb.TensorProto) {
	k := ConstantKernel{Name: node.Name, Value: node.Name}
	if value := constantOf(node, typespb.DataType_DT_FLOAT); value != nil {
		return k, value
	}
	if node.Op != "Mul" || len(node.Input) != 2 {
		return k, nil
	}
	for i, input := range node.Input {
		cast, scale := byName[Producer(input)], byName[Producer(node.Input[1-i])]
		if cast == nil || cast.Op != "Cast" || len(cast.Input) != 1 ||
			constantOf(scale, typespb.DataType_DT_FLOAT) == nil {
			continue
		}
		bytes := byName[Producer(cast.Input[0])]
		if value := constantOf(bytes, typespb.DataType_DT_INT8); value != nil {
			k.Value, k.Scale = bytes.Name, scale.Name
			return k, value
		}
	}
	return k, nil
}

// constantOf returns the value of a constant of a type, nil where a node is none.
func constantOf(node *nodepb.NodeDef, dtype typespb.DataType) *tensorpb.TensorProto {
	if node == nil || node.Op != "Const" {
		return nil
	}
	if value := node.Attr["value"].GetTensor(); value.GetDtype() == dtype {
		return value
	}
	return nil
}
