package cpuconv

import (
	"slices"
	"strings"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"

	"kerasrun/runner/internal/graph"
)

// The operations' names in TensorFlow.
const (
	Op        = "KerasrunConv2D"
	MaxPoolOp = "KerasrunMaxPool"
	RegionOp  = "KerasrunRegion"
)

// Replace puts our operations in the place of the graph's fused convolutions whose kernels, which
// are named, do not change, if they can do what all of them do. It returns whether there are any
// and they can; so it is then with each MaxPool of a convolution's output, and with fused products
// of matrices, as long as they can. Where TensorFlow computes other convolutions beside, its
// threads and ours are in each other's way: EfficientNet takes a tenth longer.
//
// Endpoints are the operations whose outputs leave the graph. With bf16 a convolution's images,
// filter and output are rounded to bfloat16. An operation reads its kernel as Pack packs it.
func Replace(g *graphpb.GraphDef, kernels, endpoints []string, bf16 bool) bool {
	replaced := slices.Clone(g.Node)
	shapes := map[string][]*shapepb.TensorShapeProto{}
	for i, node := range g.Node {
		if !strings.Contains(strings.ToLower(node.Op), "conv2d") {
			continue
		}
		if len(node.Input) < 3 || !slices.Contains(kernels, node.Input[1]) {
			return false
		}
		if replaced[i] = replacement(node, bf16); replaced[i] == nil {
			return false
		}
		shapes[node.Name] = node.Attr["_input_shapes"].GetList().GetShape()
	}
	for i, node := range replaced {
		if product := matrixProduct(node); product != nil &&
			slices.Contains(kernels, node.Input[1]) {
			replaced[i] = product
		}
		if pool := maxPool(node, replaced, shapes); pool != nil &&
			!slices.Contains(endpoints, node.Name) {
			replaced[i] = pool
		}
	}
	g.Node = replaced
	readers := map[string][]reader{}
	for _, node := range g.Node {
		for i, input := range node.Input {
			name := graph.Producer(input)
			readers[name] = append(readers[name], reader{node, i})
		}
	}
	for _, node := range g.Node {
		if ours(node) && !slices.Contains(endpoints, node.Name) {
			setLayout(node, readers[node.Name], shapes)
		}
	}
	return len(shapes) > 0
}

func ours(node *nodepb.NodeDef) bool { return node.Op == Op || node.Op == MaxPoolOp }

// reader is a node one of whose inputs is another's output.
type reader struct {
	node  *nodepb.NodeDef
	input int
}

// Layouts, as layout.h has them.
const (
	layoutNHWC = iota
	layoutTiled
	layoutNCHW8C
	layoutBytes // of a region's values alone
)

// layoutOf is where an input's layout is in the attribute layouts. The output's is behind them.
var layoutOf = map[int]int{0: 0, 3: 2}

const layoutOfOutput = 4

// setLayout has an operation's output lie in memory as those read it best who do, where all of them
// are ours.
func setLayout(
	node *nodepb.NodeDef,
	readers []reader,
	shapes map[string][]*shapepb.TensorShapeProto,
) {
	layout, padding := int64(layoutTiled), int64(0)
	for _, r := range readers {
		if _, ok := layoutOf[r.input]; !ours(r.node) || !ok || r.node.Input[r.input] != node.Name {
			return
		}
		if r.node.Op == MaxPoolOp {
			layout = layoutNCHW8C
			continue
		}
		if r.input != 0 {
			continue
		}
		if shapes[r.node.Name] == nil {
			return // a product of matrices
		}
		image, kernel := shapes[r.node.Name][0].Dim, shapes[r.node.Name][1].Dim
		pad := slices.Max(r.node.Attr["padding"].GetList().I)
		if image[1].Size < 1 || image[2].Size < 1 {
			return
		}
		if kernel[0].Size == 1 && kernel[1].Size == 1 && kernel[2].Size == image[3].Size &&
			pad == 0 {
			continue
		}
		if kernel[2].Size%8 != 0 {
			return
		}
		layout, padding = layoutNCHW8C, max(padding, pad)
	}
	if len(readers) == 0 {
		return
	}
	set := func(node *nodepb.NodeDef, at int) {
		copy(node.Attr["layouts"].GetList().I[at:], []int64{layout, padding})
	}
	set(node, layoutOfOutput)
	for _, r := range readers {
		set(r.node, layoutOf[r.input])
		if r.input == 0 && r.node.Op == Op {
			for i, dim := range shapes[r.node.Name][0].Dim[1:] {
				r.node.Attr["sizes"].GetList().I[i] = dim.Size
			}
		}
	}
}

// maxPool returns the operation for a MaxPool of a convolution's output, nil for any other node.
func maxPool(node *nodepb.NodeDef, nodes []*nodepb.NodeDef,
	shapes map[string][]*shapepb.TensorShapeProto) *nodepb.NodeDef {
	if node.Op != "MaxPool" && node.Op != "_MklNativeMaxPool" ||
		node.Attr["T"].GetType() != typespb.DataType_DT_FLOAT ||
		string(node.Attr["data_format"].GetS()) != "NHWC" || len(node.Input) == 0 {
		return nil
	}
	at := slices.IndexFunc(nodes, func(n *nodepb.NodeDef) bool { return n.Name == node.Input[0] })
	if at < 0 || nodes[at].Op != Op || len(shapes[nodes[at].Name]) < 2 {
		return nil
	}
	// The size of the convolution's output.
	convolution, inputs := nodes[at], shapes[nodes[at].Name]
	kernel, sizes := inputs[1].Dim, make([]int64, 3)
	for i, stride := range convolution.Attr["strides"].GetList().I {
		size := inputs[0].Dim[1+i].Size
		if size < 1 {
			return nil
		}
		pad := convolution.Attr["padding"].GetList().I[2*i:]
		sizes[i] = (size+pad[0]+pad[1]-kernel[i].Size)/stride + 1
	}
	sizes[2] = kernel[3].Size
	window, strides := node.Attr["ksize"].GetList().GetI(), node.Attr["strides"].GetList().GetI()
	if len(window) != 4 || len(strides) != 4 ||
		window[0] != 1 || window[3] != 1 || strides[0] != 1 || strides[3] != 1 {
		return nil
	}
	window, strides = window[1:3], strides[1:3]
	padding := paddingOf(node, sizes[:2], window, strides)
	if padding == nil || window[0] <= max(padding[0], padding[1]) ||
		window[1] <= max(padding[2], padding[3]) {
		return nil
	}
	attrs := map[string]*attrpb.AttrValue{
		"window": list(window), "strides": list(strides), "padding": list(padding),
		"layouts": list(make([]int64, 6)), "sizes": list(sizes),
	}
	return &nodepb.NodeDef{
		Name:   node.Name,
		Op:     MaxPoolOp,
		Input:  node.Input,
		Device: node.Device,
		Attr:   attrs,
	}
}

// operation returns our operation for a node. filter is kh, kw, ic, oc and groups.
func operation(
	node *nodepb.NodeDef,
	filter, strides, padding []int64,
	add, relu, bf16 bool,
) *nodepb.NodeDef {
	added := int64(0)
	if add {
		added = 1
	}
	attrs := map[string]*attrpb.AttrValue{
		"filter": list(filter), "strides": list(strides), "padding": list(padding),
		"relu":    {Value: &attrpb.AttrValue_B{B: relu}},
		"added":   {Value: &attrpb.AttrValue_I{I: added}},
		"bf16":    {Value: &attrpb.AttrValue_B{B: bf16}},
		"layouts": list(make([]int64, 6)), "sizes": list(make([]int64, 3)),
	}
	input := slices.Clone(node.Input)
	return &nodepb.NodeDef{Name: node.Name, Op: Op, Input: input, Device: node.Device, Attr: attrs}
}

// replacement returns the operation for a fused convolution, nil where there is none.
func replacement(node *nodepb.NodeDef, bf16 bool) *nodepb.NodeDef {
	if node.Op != "_FusedConv2D" && node.Op != "_MklNativeFusedConv2D" {
		return nil
	}
	text := func(name string) string { return string(node.Attr[name].GetS()) }
	ints := func(name string) []int64 { return node.Attr[name].GetList().GetI() }
	add, relu, ok := fusion(node)
	filterFormat := text("filter_format")
	if !ok || text("data_format") != "NHWC" || filterFormat != "" && filterFormat != "HWIO" ||
		!slices.Equal(ints("dilations"), []int64{1, 1, 1, 1}) || len(ints("strides")) != 4 {
		return nil
	}
	// The optimiser has written down what shapes the image and the kernel have.
	shapes := node.Attr["_input_shapes"].GetList().GetShape()
	if len(shapes) < 2 || len(shapes[0].Dim) != 4 || len(shapes[1].Dim) != 4 {
		return nil
	}
	image, kernel := shapes[0].Dim, shapes[1].Dim
	channels, in, out := image[3].Size, kernel[2].Size, kernel[3].Size
	if kernel[0].Size < 1 || kernel[1].Size < 1 || channels < 1 || in < 1 || channels%in != 0 ||
		out < 1 || out%(8*channels/in) != 0 {
		return nil
	}
	strides, window := ints("strides")[1:3], []int64{kernel[0].Size, kernel[1].Size}
	padding := paddingOf(node, []int64{image[1].Size, image[2].Size}, window, strides)
	if padding == nil {
		return nil
	}
	filter := append(window, in, out, channels/in)
	return operation(node, filter, strides, padding, add, relu, bf16)
}

// matrixProduct returns the operation for a fused product of matrices, nil where there is none: a
// row is an image of one pixel. It is one of float32.
func matrixProduct(node *nodepb.NodeDef) *nodepb.NodeDef {
	if node.Op != "_FusedMatMul" && node.Op != "_MklNativeFusedMatMul" ||
		node.Attr["transpose_a"].GetB() || node.Attr["transpose_b"].GetB() || len(node.Input) < 3 {
		return nil
	}
	shapes := node.Attr["_input_shapes"].GetList().GetShape()
	add, relu, ok := fusion(node)
	if !ok || add || len(shapes) < 2 || len(shapes[0].Dim) != 2 || len(shapes[1].Dim) != 2 {
		return nil
	}
	in, out := shapes[1].Dim[0].Size, shapes[1].Dim[1].Size
	if in < 1 || out < 1 || out%8 != 0 {
		return nil
	}
	filter, strides, padding := []int64{1, 1, in, out, 1}, []int64{1, 1}, make([]int64, 4)
	return operation(node, filter, strides, padding, false, relu, false)
}
