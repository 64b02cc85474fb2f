package graph

import (
	"slices"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"

	"kerasrun/tensor"
)

// Kernels are what is fed to a graph in every run beside its inputs.
type Kernels struct {
	// placeholders that take a variable's value as it is, each named as the variable's read
	Plain  []string
	Packed []PackedKernel // placeholders that take a value packed for one operation
}

// PackedKernel is a kernel of an operation that reads it packed.
type PackedKernel struct {
	Node     *nodepb.NodeDef // the operation
	Variable string          // the read of the variable whose value it is
	Name     string          // the placeholder
}

// FeedKernels returns a graph that reads its kernels, by the names of the variables' reads, from
// placeholders: each packedOp from one of its own, any other operation the variable's value.
func FeedKernels(g *graphpb.GraphDef, kernels []string, packedOp string) (*graphpb.GraphDef,
	Kernels) {
	isKernel := make(map[string]bool, len(kernels))
	for _, name := range kernels {
		isKernel[name] = true
	}
	var fed Kernels
	var nodes []*nodepb.NodeDef
	plain := map[string]bool{}
	for _, node := range g.Node {
		switch {
		case isKernel[node.Name]:
			continue
		case node.Op == packedOp:
			node = copied(node)
			kernel := PackedKernel{Node: node, Variable: node.Input[1], Name: node.Name + "/packed"}
			node.Input[1] = kernel.Name
			fed.Packed = append(fed.Packed, kernel)
		default:
			for _, input := range node.Input {
				if isKernel[input] && !plain[input] {
					plain[input] = true
					fed.Plain = append(fed.Plain, input)
				}
			}
			// TensorFlow sets it where the kernel is a constant: oneDNN's operations pack that
			// once.
			if _, has := node.Attr["is_filter_const"]; has && isKernel[node.Input[1]] {
				node = copied(node)
				isConst := &attrpb.AttrValue_B{B: true}
				node.Attr["is_filter_const"] = &attrpb.AttrValue{Value: isConst}
			}
		}
		nodes = append(nodes, node)
	}
	slices.Sort(fed.Plain)
	for _, name := range fed.Plain {
		nodes = append(nodes, Placeholder(name, tensor.Float32))
	}
	for _, kernel := range fed.Packed {
		nodes = append(nodes, Placeholder(kernel.Name, tensor.Float32))
	}
	return with(g, nodes), fed
}
