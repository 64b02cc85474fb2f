package graph

import (
	"fmt"
	"slices"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

const (
	predicateName = "kerasrun/predicate" // the constant that says which side of a Switch is taken
	neverName     = "kerasrun/never"     // never runs
)

// kernelOps are the operations whose second input is a kernel. TensorFlow computes nothing of that
// input before it knows the first one.
var kernelOps = []string{"Conv2D", "DepthwiseConv2dNative", "MatMul"}

// ReplaceVariables returns a graph with placeholders for the variables, which [Gate] keeps from
// running. TensorFlow optimises them as it does constants, unless it would compute something of
// them: so a variable may be a kernel of float32 of a known shape, and nothing else.
func ReplaceVariables(g *graphpb.GraphDef, variables []Variable) (*graphpb.GraphDef, error) {
	placeholders := make(map[string]*nodepb.NodeDef, len(variables))
	for _, v := range variables {
		if v.DType != tensor.Float32 {
			return nil, fmt.Errorf("variable %s: expected float32, got %v", v.Read, v.DType)
		}
		if v.Shape == nil || slices.Contains(v.Shape, -1) {
			return nil, fmt.Errorf("variable %s: expected a known shape, got %v", v.Read, v.Shape)
		}
		p := Placeholder(v.Read, v.DType)
		p.Attr["shape"] = &attrpb.AttrValue{Value: &attrpb.AttrValue_Shape{Shape: shapeOf(v.Shape)}}
		p.Input = []string{"^" + neverName}
		placeholders[v.Read] = p
	}
	nodes := slices.Clone(g.Node)
	for i, node := range nodes {
		for at, input := range node.Input {
			if placeholders[input] != nil && (at != 1 || !slices.Contains(kernelOps, node.Op)) {
				return nil, fmt.Errorf(
					"variable %s: expected the kernel of one of %v, got input %d of %s",
					input, kernelOps, at, node.Op)
			}
		}
		if p := placeholders[node.Name]; p != nil {
			nodes[i] = p
		}
	}
	return with(g, nodes), nil
}

// gateName is the operation that Gate puts behind an input.
func gateName(in savedmodel.TensorInfo) string { return fmt.Sprintf("%s/gate_%d", in.Op, in.Index) }

// Gate returns a graph that runs and computes nothing: between the inputs and what reads them
// stands the side of a Switch that is never taken. TensorFlow does not run what depends on it.
func Gate(g *graphpb.GraphDef, inputs map[string]savedmodel.TensorInfo) *graphpb.GraphDef {
	gates := map[string]string{}
	taken := Constant(predicateName, tensor.Bool, tensor.Shape{},
		&tensorpb.TensorProto{BoolVal: []bool{true}})
	// A Switch itself runs. What reads the side that is not taken, of any input, does not.
	never := &nodepb.NodeDef{Name: neverName, Op: "Identity"}
	added := []*nodepb.NodeDef{taken, never}
	for _, in := range inputs {
		gates[in.Name()] = gateName(in)
		if in.Index == 0 {
			gates[in.Op] = gateName(in) // the same tensor, as GraphDef writes it
		}
		dtype := map[string]*attrpb.AttrValue{"T": typeAttr(in.DType)}
		added = append(added, &nodepb.NodeDef{Name: gateName(in), Op: "Switch",
			Input: []string{in.Name(), predicateName}, Attr: dtype})
		never.Input, never.Attr = []string{gateName(in)}, dtype
	}
	nodes := slices.Clone(g.Node)
	for i, node := range nodes {
		if !slices.ContainsFunc(node.Input, func(input string) bool { return gates[input] != "" }) {
			continue
		}
		nodes[i] = copied(node)
		for at, input := range node.Input {
			if gate := gates[input]; gate != "" {
				nodes[i].Input[at] = gate
			}
		}
	}
	return with(g, append(nodes, added...))
}

// Ungate undoes what [Gate] did, in the graph that TensorFlow has made of a gated one, and returns
// the inputs: placeholders where the gates were.
func Ungate(g *graphpb.GraphDef, inputs map[string]savedmodel.TensorInfo) (*graphpb.GraphDef,
	map[string]savedmodel.TensorInfo) {
	fed, placeholders := map[string]savedmodel.TensorInfo{}, map[string]*nodepb.NodeDef{}
	for name, in := range inputs {
		in.Op, in.Index = gateName(in), 0
		fed[name], placeholders[in.Op] = in, Placeholder(in.Op, in.DType)
	}
	var nodes []*nodepb.NodeDef
	for _, node := range g.Node {
		// TensorFlow brings an input in by _Arg.
		if placeholders[node.Name] == nil && node.Op != "_Arg" && node.Name != predicateName &&
			node.Name != neverName {
			nodes = append(nodes, node)
		}
	}
	for _, p := range placeholders {
		nodes = append(nodes, p)
	}
	return with(g, nodes), fed
}
