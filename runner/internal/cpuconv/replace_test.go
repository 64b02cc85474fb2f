package cpuconv

import (
	"testing"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
	"github.com/google/go-cmp/cmp"
)

type (
	attrs   = map[string]*attrpb.AttrValue
	nodeDef = nodepb.NodeDef
)

func ints(n ...int64) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_List{List: &attrpb.AttrValue_ListValue{I: n}}}
}

func ofType(t typespb.DataType) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_Type{Type: t}}
}

func text(s string) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_S{S: []byte(s)}}
}

func shapeOf(sizes []int64) *shapepb.TensorShapeProto {
	shape := new(shapepb.TensorShapeProto)
	for _, size := range sizes {
		shape.Dim = append(shape.Dim, &shapepb.TensorShapeProto_Dim{Size: size})
	}
	return shape
}

// fused returns a fused convolution as TensorFlow's optimiser leaves it: 3 x 3, 16 channels of 7 x
// 8 pixels to 32, in two groups.
func fused(ops ...string) *nodeDef {
	names := &attrpb.AttrValue_ListValue{}
	for _, op := range ops {
		names.S = append(names.S, []byte(op))
	}
	shapes := &attrpb.AttrValue_ListValue{}
	for _, sizes := range [][]int64{{-2, 7, 8, 16}, {3, 3, 8, 32}} {
		shapes.Shape = append(shapes.Shape, shapeOf(sizes))
	}
	inputs := []string{"x", "k", "b", "add"}[:2+min(2, len(ops))]
	return &nodeDef{Name: "c", Op: "_MklNativeFusedConv2D", Input: inputs, Attr: attrs{
		"T": ofType(typespb.DataType_DT_FLOAT), "data_format": text("NHWC"),
		"filter_format": text("HWIO"), "padding": text("VALID"),
		"strides": ints(1, 2, 1, 1), "dilations": ints(1, 1, 1, 1), "explicit_paddings": ints(),
		"fused_ops":     {Value: &attrpb.AttrValue_List{List: names}},
		"_input_shapes": {Value: &attrpb.AttrValue_List{List: shapes}},
	}}
}

// pool returns a MaxPool as TensorFlow has it, of windows of 3 x 3 two apart.
func pool(input string) *nodeDef {
	return &nodeDef{Name: "pool", Op: "MaxPool", Input: []string{input}, Attr: attrs{
		"T": ofType(typespb.DataType_DT_FLOAT), "data_format": text("NHWC"),
		"padding": text("VALID"),
		"ksize":   ints(1, 3, 3, 1), "strides": ints(1, 2, 2, 1),
	}}
}

// TestReplace holds which convolutions are replaced, and by what: the zeros on each side, whether
// something is added, and whether relu follows.
func TestReplace(t *testing.T) {
	type outcome struct {
		padding []int64
		added   int64
		relu    bool
	}
	valid := []int64{0, 0, 0, 0}
	for name, test := range map[string]struct {
		node *nodeDef
		edit func(attr attrs, node *nodeDef)
		want *outcome
	}{
		"bias":         {fused("BiasAdd"), nil, &outcome{valid, 0, false}},
		"relu":         {fused("BiasAdd", "Relu"), nil, &outcome{valid, 0, true}},
		"sum":          {fused("BiasAdd", "Add"), nil, &outcome{valid, 1, false}},
		"sum and relu": {fused("BiasAdd", "Add", "Relu"), nil, &outcome{valid, 1, true}},
		"without oneDNN": {fused("BiasAdd"), func(_ attrs, n *nodeDef) {
			n.Op = "_FusedConv2D"
		}, &outcome{valid, 0, false}},
		"explicit padding": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["padding"], a["explicit_paddings"] = text("EXPLICIT"), ints(0, 0, 1, 2, 3, 4, 0, 0)
		}, &outcome{[]int64{1, 2, 3, 4}, 0, false}},
		"same padding": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["padding"] = text("SAME")
		}, &outcome{[]int64{1, 1, 1, 1}, 0, false}},
		"same padding, uneven": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["padding"], a["strides"] = text("SAME"), ints(1, 2, 2, 1)
		}, &outcome{[]int64{1, 1, 0, 1}, 0, false}},
		"same, size not known": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["padding"] = text("SAME")
			a["_input_shapes"].GetList().Shape[0].Dim[1].Size = -1
		}, nil},
		"valid, size not known": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["_input_shapes"].GetList().Shape[0].Dim[1].Size = -1
		}, &outcome{valid, 0, false}},
		"shapes not known": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			delete(a, "_input_shapes")
		}, nil},
		"another activation": {fused("BiasAdd", "Elu"), nil, nil},
		"batch norm":         {fused("FusedBatchNorm"), nil, nil},
		"half floats": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["T"].Value = &attrpb.AttrValue_Type{Type: typespb.DataType_DT_HALF}
		}, nil},
		"channels first": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["data_format"] = text("NCHW")
		}, nil},
		"another kernel format": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["filter_format"] = text("OIHW")
		}, nil},
		"dilated": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["dilations"] = ints(1, 2, 2, 1)
		}, nil},
		"12 channels a group": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["_input_shapes"].GetList().Shape[1].Dim[3].Size = 24
		}, nil},
		"kernel that may change": {fused("BiasAdd"), func(_ attrs, n *nodeDef) {
			n.Input[1] = "other"
		}, nil},
		"another operation": {fused("BiasAdd"), func(_ attrs, n *nodeDef) {
			n.Op = "_FusedMatMul"
		}, nil},
	} {
		if test.edit != nil {
			test.edit(test.node.Attr, test.node)
		}
		other := fused("BiasAdd", "Relu")
		graph := &graphpb.GraphDef{Node: []*nodeDef{other, test.node}}
		if all := Replace(graph, []string{"k"}, nil, true); all != (graph.Node[0].Op == Op) {
			t.Errorf("%s: all replaced: %v", name, all)
		}
		node := graph.Node[1]
		// All convolutions are replaced or none.
		if all := test.want != nil || node.Op == "_FusedMatMul"; all != (graph.Node[0].Op == Op) {
			t.Errorf("%s: the convolution beside it: %v", name, graph.Node[0].Op)
		}
		if test.want == nil {
			if node != test.node {
				t.Errorf("%s: replaced by %v", name, node)
			}
			continue
		}
		if node.Op != Op || node.Name != "c" || !cmp.Equal(node.Input, test.node.Input) {
			t.Errorf("%s: want %s of the same name and inputs, got %v", name, Op, node)
			continue
		}
		if kernel := node.Attr["filter"].GetList().I; !cmp.Equal([]int64{3, 3, 8, 32, 2}, kernel) {
			t.Errorf("%s: kernel %v", name, kernel)
		}
		if !node.Attr["bf16"].GetB() {
			t.Errorf("%s: not in bfloat16", name)
		}
		got := outcome{node.Attr["padding"].GetList().I, node.Attr["added"].GetI(),
			node.Attr["relu"].GetB()}
		if !cmp.Equal(*test.want, got, cmp.AllowUnexported(outcome{})) {
			t.Errorf("%s: want %v, got %v", name, *test.want, got)
		}
		want := test.node.Attr["strides"].GetList().I[1:3]
		if !cmp.Equal(want, node.Attr["strides"].GetList().I) {
			t.Errorf("%s: strides: want %v, got %v", name, want, node.Attr["strides"])
		}
	}
}

// TestReplaceLayouts holds in what layout convolutions hand each other their images: NHWC wherever
// somebody else reads them, or a size is not known.
func TestReplaceLayouts(t *testing.T) {
	conv := func(name, image string, size, zeros int64, channels, in int64,
		add ...string) *nodeDef {
		ops := []string{"BiasAdd", "Add"}[:1+len(add)]
		node := fused(ops...)
		node.Name, node.Input = name, append([]string{image, "k", "b"}, add...)
		shapes := node.Attr["_input_shapes"].GetList().Shape
		for i, n := range []int64{-1, 7, 8, channels} {
			shapes[0].Dim[i].Size = n
		}
		for i, n := range []int64{size, size, in, 32} {
			shapes[1].Dim[i].Size = n
		}
		node.Attr["padding"], node.Attr["explicit_paddings"] = text("EXPLICIT"),
			ints(0, 0, zeros, zeros, 0, zeros, 0, 0)
		return node
	}
	one := func(name, image string, add ...string) *nodeDef {
		return conv(name, image, 1, 0, 32, 32, add...)
	}
	other := func(input string) *nodeDef {
		return &nodeDef{Name: "other", Op: "Mean", Input: []string{input}}
	}
	unknown := one("second", "first")
	unknown.Attr["_input_shapes"].GetList().Shape[0].Dim[1].Size = -1
	for name, test := range map[string]struct {
		nodes   []*nodeDef // beside the first
		outputs []string
		layouts map[string][]int64 // where not NHWC
	}{
		"one pixel": {[]*nodeDef{one("second", "first")}, nil,
			map[string][]int64{"first": {0, 0, 0, 0, 1, 0}, "second": {1, 0, 0, 0, 0, 0}}},
		"three pixels": {[]*nodeDef{conv("second", "first", 3, 1, 32, 8)}, nil,
			map[string][]int64{"first": {0, 0, 0, 0, 2, 1}, "second": {2, 1, 0, 0, 0, 0}}},
		"the larger padding, and one pixel from layoutNCHW8C": {[]*nodeDef{conv("second", "first",
			3, 1, 32, 8), conv("third", "first", 5, 2, 32, 32), one("fourth", "first")}, nil,
			map[string][]int64{"first": {0, 0, 0, 0, 2, 2}, "second": {2, 2, 0, 0, 0, 0},
				"third": {2, 2, 0, 0, 0, 0}, "fourth": {2, 2, 0, 0, 0, 0}}},
		"a block's end": {[]*nodeDef{one("second", "first"), one("third", "second", "first")}, nil,
			map[string][]int64{"first": {0, 0, 0, 0, 1, 0}, "second": {1, 0, 0, 0, 1, 0},
				"third": {1, 0, 1, 0, 0, 0}}},
		"four channels a group": {[]*nodeDef{conv("second", "first", 3, 1, 32, 4)}, nil,
			nil},
		"one pixel in groups": {[]*nodeDef{conv("second", "first", 1, 0, 32, 8)}, nil,
			map[string][]int64{"first": {0, 0, 0, 0, 2, 0}, "second": {2, 0, 0, 0, 0, 0}}},
		"read by another": {[]*nodeDef{one("second", "first"), other("first")},
			nil, nil},
		"read by another, by its output": {[]*nodeDef{one("second", "first"), other("first:0")},
			nil, nil},
		"waited for by another": {[]*nodeDef{one("second", "first"), other("^first")},
			nil, nil},
		"an output of the graph": {[]*nodeDef{one("second", "first")}, []string{"first"},
			nil},
		"an output of the graph behind it": {[]*nodeDef{one("second", "first")}, []string{"second"},
			map[string][]int64{"first": {0, 0, 0, 0, 1, 0}, "second": {1, 0, 0, 0, 0, 0}}},
		"size not known": {[]*nodeDef{unknown}, nil, nil},
		"pooled": {[]*nodeDef{pool("first"), one("second", "pool")}, nil,
			map[string][]int64{"first": {0, 0, 0, 0, 2, 0}, "pool": {2, 0, 0, 0, 1, 0},
				"second": {1, 0, 0, 0, 0, 0}}},
		"pooled for three pixels": {[]*nodeDef{pool("first"), conv("second", "pool", 3, 1, 32, 8)},
			nil,
			map[string][]int64{"first": {0, 0, 0, 0, 2, 0}, "pool": {2, 0, 0, 0, 2, 1},
				"second": {2, 1, 0, 0, 0, 0}}},
		"pooled, and read by three pixels": {[]*nodeDef{conv("second", "first", 3, 1, 32, 8),
			pool("first")}, nil,
			map[string][]int64{"first": {0, 0, 0, 0, 2, 1}, "second": {2, 1, 0, 0, 0, 0},
				"pool": {2, 1, 0, 0, 0, 0}}},
		"pooled, and read by another":    {[]*nodeDef{pool("first"), other("first")}, nil, nil},
		"pooled, an output of the graph": {[]*nodeDef{pool("first")}, []string{"pool"}, nil},
	} {
		graph := &graphpb.GraphDef{Node: append([]*nodeDef{one("first", "x")}, test.nodes...)}
		Replace(graph, []string{"k"}, test.outputs, false)
		for _, node := range graph.Node {
			if !ours(node) {
				continue
			}
			want := test.layouts[node.Name]
			if want == nil {
				want = make([]int64, 6)
			}
			if got := node.Attr["layouts"].GetList().I; !cmp.Equal(want, got) {
				t.Errorf("%s: layouts of %s: want %v, got %v", name, node.Name, want, got)
			}
			sizes := make([]int64, 3)
			if node.Op == MaxPoolOp {
				sizes = []int64{4, 8, 32} // of a convolution with strides of 2 and 1
			} else if want[0] != layoutNHWC {
				sizes = []int64{7, 8, 32}
			}
			if got := node.Attr["sizes"].GetList().I; !cmp.Equal(sizes, got) {
				t.Errorf("%s: sizes of %s: want %v, got %v", name, node.Name, sizes, got)
			}
		}
	}
}

// TestReplaceMaxPool holds which MaxPools are replaced, and by what: the rows and columns of
// nothing on each side.
func TestReplaceMaxPool(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(node *nodeDef, convolution *nodeDef)
		want []int64 // nil: none
	}{
		"valid":     {func(*nodeDef, *nodeDef) {}, []int64{0, 0, 0, 0}},
		"by oneDNN": {func(n, _ *nodeDef) { n.Op = "_MklNativeMaxPool" }, []int64{0, 0, 0, 0}},
		// Of 3 x 6 pixels.
		"same": {func(n, _ *nodeDef) { n.Attr["padding"] = text("SAME") }, []int64{1, 1, 0, 1}},
		"explicit": {func(n, _ *nodeDef) {
			n.Attr["padding"], n.Attr["explicit_paddings"] = text("EXPLICIT"),
				ints(0, 0, 1, 2, 2, 0, 0, 0)
		}, []int64{1, 2, 2, 0}},
		"more of nothing than a window": {func(n, _ *nodeDef) {
			n.Attr["padding"], n.Attr["explicit_paddings"] = text("EXPLICIT"),
				ints(0, 0, 3, 0, 0, 0, 0, 0)
		}, nil},
		"of something else": {func(n, _ *nodeDef) { n.Input[0] = "x" }, nil},
		"channels first":    {func(n, _ *nodeDef) { n.Attr["data_format"] = text("NCHW") }, nil},
		"over channels":     {func(n, _ *nodeDef) { n.Attr["ksize"] = ints(1, 1, 1, 3) }, nil},
		"another operation": {func(n, _ *nodeDef) { n.Op = "AvgPool" }, nil},
		"half floats": {func(n, _ *nodeDef) {
			n.Attr["T"] = ofType(typespb.DataType_DT_HALF)
		}, nil},
		"size not known": {func(_, c *nodeDef) {
			c.Attr["_input_shapes"].GetList().Shape[0].Dim[2].Size = -1
		}, nil},
	} {
		convolution := fused("BiasAdd")
		node := pool("c")
		test.edit(node, convolution)
		graph := &graphpb.GraphDef{Node: []*nodeDef{node, convolution}}
		Replace(graph, []string{"k"}, nil, false)
		got := graph.Node[0]
		if (got.Op == MaxPoolOp) != (test.want != nil) {
			t.Errorf("%s: %v", name, got)
		}
		if test.want == nil || got.Op != MaxPoolOp {
			continue
		}
		for attr, want := range map[string][]int64{
			"padding": test.want, "window": {3, 3}, "strides": {2, 2}, "sizes": {3, 6, 32},
		} {
			if list := got.Attr[attr].GetList().I; !cmp.Equal(want, list) {
				t.Errorf("%s: %s: want %v, got %v", name, attr, want, list)
			}
		}
	}
}

// TestReplaceMatrixProduct holds which products of matrices are replaced: those beside convolutions
// that are, in float32.
func TestReplaceMatrixProduct(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(node, convolution *nodeDef)
		want bool
	}{
		"bias":           {func(*nodeDef, *nodeDef) {}, true},
		"without oneDNN": {func(n, _ *nodeDef) { n.Op = "_FusedMatMul" }, true},
		"transposed": {func(n, _ *nodeDef) {
			n.Attr["transpose_b"] = &attrpb.AttrValue{Value: &attrpb.AttrValue_B{B: true}}
		}, false},
		"another activation": {func(n, _ *nodeDef) {
			n.Attr["fused_ops"].GetList().S = [][]byte{[]byte("BiasAdd"), []byte("Tanh")}
		}, false},
		"seven outputs": {func(n, _ *nodeDef) {
			n.Attr["_input_shapes"].GetList().Shape[1].Dim[1].Size = 7
		}, false},
		"size not known": {func(n, _ *nodeDef) {
			n.Attr["_input_shapes"].GetList().Shape[1].Dim[0].Size = -1
		}, false},
		"half floats": {func(n, _ *nodeDef) {
			n.Attr["T"] = ofType(typespb.DataType_DT_HALF)
		}, false},
		"kernel that may change": {func(n, _ *nodeDef) { n.Input[1] = "other" }, false},
		"foreign convolution": {func(_, c *nodeDef) {
			c.Attr["data_format"] = text("NCHW")
		}, false},
	} {
		product, convolution := fused("BiasAdd", "Relu"), fused("BiasAdd")
		product.Name, product.Op, product.Input = "product", "_MklNativeFusedMatMul",
			[]string{"c", "k", "b"}
		for i, sizes := range [][]int64{{-1, 40}, {40, 16}} {
			dims := product.Attr["_input_shapes"].GetList().Shape[i].Dim[:2]
			dims[0].Size, dims[1].Size = sizes[0], sizes[1]
			product.Attr["_input_shapes"].GetList().Shape[i].Dim = dims
		}
		test.edit(product, convolution)
		graph := &graphpb.GraphDef{Node: []*nodeDef{product, convolution}}
		Replace(graph, []string{"k"}, nil, true)
		got := graph.Node[0]
		if (got.Op == Op) != test.want {
			t.Errorf("%s: %v", name, got)
		}
		if !test.want || got.Op != Op {
			continue
		}
		filter := got.Attr["filter"].GetList().I
		if !cmp.Equal([]int64{1, 1, 40, 16, 1}, filter) || !got.Attr["relu"].GetB() ||
			got.Attr["bf16"].GetB() {
			t.Errorf("%s: %v", name, got)
		}
		layouts := graph.Node[1].Attr["layouts"].GetList().I
		if !cmp.Equal(make([]int64, 6), layouts) {
			t.Errorf("%s: a product of matrices reads images in the layouts %v", name, layouts)
		}
	}
}
