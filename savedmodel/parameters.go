package savedmodel

import (
	"fmt"
	"slices"

	"kerasrun/tensor"
)

// fewElements is the size up to which a constant counts as part of the arithmetic, not as a
// parameter.
const fewElements = 16

// Parameters returns the number of floating-point elements in the variables that the signature's
// outputs depend on, and in the constants larger than 16 elements. A graph whose batch
// normalisation is folded into its weights has fewer than the model it came from.
func (g *MetaGraph) Parameters(key string) (int64, error) {
	if _, err := g.Signature(key); err != nil {
		return 0, err
	}
	functions := g.graph.library()
	var total int64
	count := func(n *node) error {
		var dtype tensor.DType
		var shape tensor.Shape
		switch v := n.value(); {
		case slices.Contains(variableOps, n.op):
			dtype, shape = n.attr("dtype").dtype, n.attr("shape").shape
		case v != nil:
			dtype, shape = v.dtype, v.shape
		default:
			return nil
		}
		switch dtype {
		case tensor.Float16, tensor.Bfloat16, tensor.Float32, tensor.Float64:
		default:
			return nil
		}
		elements, err := shape.Elements()
		if err != nil {
			return fmt.Errorf("%s: node %q: %w", GraphPath, n.name, err)
		}
		if n.op != "Const" || elements > fewElements {
			if total += elements; total < 0 {
				return fmt.Errorf("%s: more parameters than can be counted", GraphPath)
			}
		}
		return nil
	}
	seen := map[*function]bool{}
	todo := []*function{nil}
	see := func(called []*function) {
		for _, callee := range called {
			if !seen[callee] {
				seen[callee] = true
				todo = append(todo, callee)
			}
		}
	}
	for len(todo) > 0 {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if f != nil {
			see(f.byDefault(functions))
		}
		for _, n := range g.live(key, f) {
			if err := count(n); err != nil {
				return 0, err
			}
			see(n.call(functions))
		}
	}
	return total, nil
}

// live returns the nodes that the outputs of the function (nil: of the signature) depend on.
func (g *MetaGraph) live(key string, f *function) []*node {
	nodes := g.graph.nodes
	var todo []string
	if f != nil {
		nodes = f.nodes
		for _, output := range f.ret {
			todo = append(todo, output)
		}
	} else {
		for _, t := range g.graph.signatures[key].outputs {
			todo = append(todo, t.name)
		}
	}
	names := nodeNames(nodes)
	seen := map[*node]bool{}
	var live []*node
	for len(todo) > 0 {
		n := names[producer(todo[len(todo)-1])]
		todo = todo[:len(todo)-1]
		if n == nil || seen[n] {
			continue
		}
		seen[n] = true
		live = append(live, n)
		todo = append(todo, n.inputs...)
	}
	return live
}
