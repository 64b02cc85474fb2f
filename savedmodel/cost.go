package savedmodel

import (
	"fmt"
	"math/bits"
	"slices"

	"kerasrun/tensor"
)

// fewElements is the size up to which a constant counts as part of the arithmetic, not as a
// parameter.
const fewElements = 16

// contractions are operations whose cost FLOPs cannot tell from shapes alone.
var contractions = opSet(`Conv Conv2DBackpropInput Conv2DBackpropInputV2 Conv3DBackpropInput
	Conv3DBackpropInputV2 Einsum BatchMatMul BatchMatMulV2 BatchMatMulV3 SparseMatMul
	SparseTensorDenseMatMul FusedPadConv2D FusedResizeAndPadConv2D BlockLSTM BlockLSTMV2 CudnnRNN
	CudnnRNNV2 CudnnRNNV3 GRUBlockCell LSTMBlockCell UniformQuantizedConvolution
	UniformQuantizedConvolutionHybrid UniformQuantizedDot UniformQuantizedDotHybrid XlaCallModule
	While StatelessWhile For If StatelessIf Case StatelessCase LoopCond MapDefun`)

// Parameters returns the number of floating-point elements in the variables that the signature's
// outputs depend on, and in the constants larger than 16 elements. A graph whose batch
// normalisation is folded into its weights has fewer than the model it came from.
func (g *MetaGraph) Parameters(key string) (int64, error) {
	c, err := g.coster(key)
	if err != nil {
		return 0, err
	}
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
			return fmt.Errorf("savedmodel: %s: node %q: %w", GraphPath, n.name, err)
		}
		if n.op != "Const" || elements > fewElements {
			if total += elements; total < 0 {
				return fmt.Errorf("savedmodel: %s: more parameters than can be counted", GraphPath)
			}
		}
		return nil
	}
	seen := map[*function]bool{}
	todo := []*function{nil}
	for len(todo) > 0 {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, n := range c.live(f) {
			if err := count(n); err != nil {
				return 0, err
			}
			for _, callee := range n.call(c.functions) {
				if !seen[callee] {
					seen[callee] = true
					todo = append(todo, callee)
				}
			}
		}
	}
	return total, nil
}

// FLOPs returns the floating-point operations of the convolutions and matrix products that the
// signature's outputs depend on, for a batch of one; a multiply-add is two. It is an error where
// the graph does not say: shapes that its writer left out, loops, operations of other kinds that
// multiply matrices.
func (g *MetaGraph) FLOPs(key string) (int64, error) {
	c, err := g.coster(key)
	if err != nil {
		return 0, err
	}
	flops, err := c.flops(nil, 0)
	if err != nil {
		return 0, fmt.Errorf("savedmodel: %s: signature %q: the operations cannot be counted: %w",
			GraphPath, key, err)
	}
	return flops, nil
}

// coster adds up what a signature costs; each function is counted once.
type coster struct {
	graph     *graph
	outputs   []string
	functions map[string]*function
	done      map[*function]int64
}

func (g *MetaGraph) coster(key string) (*coster, error) {
	if _, err := g.Signature(key); err != nil {
		return nil, err
	}
	c := &coster{graph: g.graph, functions: map[string]*function{}, done: map[*function]int64{}}
	for _, t := range g.graph.signatures[key].outputs {
		c.outputs = append(c.outputs, t.name)
	}
	for _, f := range g.graph.functions {
		c.functions[f.name] = f
	}
	return c, nil
}

// live returns the nodes that the outputs of the function (nil: of the signature) depend on.
func (c *coster) live(f *function) []*node {
	nodes, todo := c.graph.nodes, slices.Clone(c.outputs)
	if f != nil {
		nodes, todo = f.nodes, nil
		for _, output := range f.ret {
			todo = append(todo, output)
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

func (c *coster) flops(f *function, depth int) (int64, error) {
	if total, ok := c.done[f]; ok {
		return total, nil
	}
	if depth == maxDepth {
		return 0, fmt.Errorf("functions call each other more than %d deep", maxDepth)
	}
	nodes := c.graph.nodes
	if f != nil {
		nodes = f.nodes
	}
	names := nodeNames(nodes)
	var total int64
	for _, n := range c.live(f) {
		cost, err := nodeFLOPs(n, names)
		if err != nil {
			return 0, fmt.Errorf("node %q: %w", n.name, err)
		}
		for _, callee := range n.call(c.functions) {
			inner, err := c.flops(callee, depth+1)
			if err != nil {
				return 0, fmt.Errorf("function %q: %w", callee.name, err)
			}
			cost += inner
		}
		if total += cost; cost < 0 || total < 0 {
			return 0, fmt.Errorf("more than can be counted")
		}
	}
	c.done[f] = total
	return total, nil
}

// nodeFLOPs returns what one node costs: for each element of its output, a multiply-add for each
// input that goes into it.
func nodeFLOPs(n *node, names map[string]*node) (int64, error) {
	if contractions[n.op] {
		return 0, fmt.Errorf("%s is not counted", n.op)
	}
	var inputs []int64 // the dimensions of the second input that are summed over
	switch n.op {
	case "Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul":
	default:
		return 0, nil
	}
	output, err := outputShape(n)
	if err != nil {
		return 0, err
	}
	if len(n.inputs) < 2 {
		return 0, fmt.Errorf("expected two inputs, got %d", len(n.inputs))
	}
	second := names[producer(n.inputs[1])]
	if second == nil {
		return 0, fmt.Errorf("its weights are an argument")
	}
	weights, err := outputShape(second)
	if err != nil {
		return 0, err
	}
	rank := map[string]int{"Conv2D": 4, "Conv3D": 5, "DepthwiseConv2dNative": 4, "MatMul": 2}[n.op]
	if len(weights) != rank || len(output) != rank {
		return 0, fmt.Errorf("expected weights and an output of %d dimensions, got %v, %v", rank,
			weights, output)
	}
	switch n.op {
	case "DepthwiseConv2dNative": // height, width, channels, multiplier
		inputs = weights[:2]
	case "MatMul":
		inputs = weights[:1]
		if n.attr("transpose_b").flag {
			inputs = weights[1:]
		}
	default: // the window, channels of a group, filters
		inputs = weights[:rank-1]
	}
	if output[0] == -1 {
		images := int64(1)
		if n.op == "MatMul" {
			if images, err = rowsPerImage(n, names); err != nil {
				return 0, err
			}
		}
		output = append(tensor.Shape{images}, output[1:]...)
	}
	total := uint64(2)
	for _, size := range slices.Concat(output, inputs) {
		if size < 0 {
			return 0, fmt.Errorf("expected shapes known but for the batch, got %v, weights %v",
				output, weights)
		}
		high, low := bits.Mul64(total, uint64(size))
		if high != 0 || low > 1<<62 {
			return 0, fmt.Errorf("more than can be counted")
		}
		total = low
	}
	return int64(total), nil
}

// rowsPerImage returns how many rows of the matrix that n gives belong to one image. A dense layer
// on an image is a product of a matrix with a row for each of its places, made by a Reshape before
// it.
func rowsPerImage(n *node, names map[string]*node) (int64, error) {
	for range len(names) {
		var input *node
		if len(n.inputs) > 0 {
			input = names[producer(n.inputs[0])]
		}
		if input == nil {
			return 1, nil
		}
		shape, err := outputShape(input)
		if err != nil {
			return 0, err
		}
		switch {
		case len(shape) == 2 && shape[0] == -1 && n.op != "Reshape":
			n = input
		case n.op == "Reshape":
			rows, err := outputShape(n)
			if err != nil {
				return 0, err
			}
			elements, err := slices.Clone(shape[min(1, len(shape)):]).Elements()
			if err != nil || len(shape) < 3 || shape[0] != -1 || rows[1] < 1 ||
				elements%rows[1] != 0 {
				return 0, fmt.Errorf("%q: the graph does not say how many rows belong to an image",
					n.name)
			}
			return elements / rows[1], nil
		default:
			return 1, nil
		}
	}
	return 1, nil
}

// outputShape returns the shape of the node's first output, as the writer of the graph left it
// there.
func outputShape(n *node) (tensor.Shape, error) {
	if v := n.value(); v != nil {
		return v.shape, nil
	}
	if shapes := n.attr("_output_shapes").shapes; len(shapes) > 0 && shapes[0] != nil {
		return shapes[0], nil
	}
	return nil, fmt.Errorf("the graph does not say the shape of %q", n.name)
}
