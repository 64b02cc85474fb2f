package graph

import (
	"slices"
	"strings"
	"testing"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// node makes an operation of the inputs.
func node(name, op string, inputs ...string) *nodepb.NodeDef {
	return &nodepb.NodeDef{Name: name, Op: op, Input: inputs, Attr: map[string]*attrpb.AttrValue{}}
}

// attr adds an attribute to a node.
func attr(n *nodepb.NodeDef, name string, value *attrpb.AttrValue) *nodepb.NodeDef {
	n.Attr[name] = value
	return n
}

func boolAttr(b bool) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_B{B: b}}
}

func shapeAttr(sizes ...int64) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_Shape{Shape: shapeOf(sizes)}}
}

// model is relu(conv2d(images, filters)), its filters in a variable, with an initialiser beside it.
func model() *graphpb.GraphDef {
	return &graphpb.GraphDef{Node: []*nodepb.NodeDef{
		Placeholder("images", tensor.Float32),
		attr(node("filters", "VarHandleOp"), "shape", shapeAttr(3, 3, 3, 8)),
		attr(node("filters/read", readOp, "filters"), "dtype", typeAttr(tensor.Float32)),
		attr(node("conv", "Conv2D", "images", "filters/read"), "_class", &attrpb.AttrValue{}),
		node("relu", "Relu", "conv:0"),
		node("initial", "Const"),
		node("assign", "AssignVariableOp", "filters", "initial"),
	}}
}

var inputs = map[string]savedmodel.TensorInfo{"x": {Op: "images", DType: tensor.Float32}}

// lines writes each node as "name = op(inputs)", sorted.
func lines(g *graphpb.GraphDef) []string {
	var text []string
	for _, n := range g.Node {
		text = append(text, n.Name+" = "+n.Op+"("+strings.Join(n.Input, ", ")+")")
	}
	slices.Sort(text)
	return text
}

func check(t *testing.T, g *graphpb.GraphDef, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, lines(g)); diff != "" {
		t.Errorf("graph (-want +got)\n%s", diff)
	}
}

// unchanged fails the test where rewriting has changed the graph that it was given.
func unchanged(t *testing.T, given *graphpb.GraphDef) func() {
	before := proto.CloneOf(given)
	return func() {
		t.Helper()
		if !proto.Equal(before, given) {
			t.Errorf("the given graph has changed: got %v, want %v", lines(given), lines(before))
		}
	}
}

func TestPrune(t *testing.T) {
	g := model()
	same := unchanged(t, g)
	pruned, variables := Prune(g, []string{"relu", "images", "none"})
	same()
	check(t, pruned, "conv = Conv2D(images, filters/read)",
		"filters/read = ReadVariableOp(filters)", "images = Placeholder()", "relu = Relu(conv:0)")
	want := []Variable{{Read: "filters/read", DType: tensor.Float32,
		Shape: tensor.Shape{3, 3, 3, 8}}}
	if diff := cmp.Diff(want, variables); diff != "" {
		t.Errorf("variables (-want +got)\n%s", diff)
	}
	for _, n := range pruned.Node {
		if n.Attr["_class"] != nil {
			t.Errorf("%s: got _class, want none", n.Name)
		}
	}
}

func TestFreeze(t *testing.T) {
	g, _ := Prune(model(), []string{"relu"})
	same := unchanged(t, g)
	frozen, err := Freeze(g, map[string]tensor.Tensor{"filters/read": {DType: tensor.Float32,
		Shape: tensor.Shape{2}, Data: []float32{1, 2}}})
	same()
	if err != nil {
		t.Fatal(err)
	}
	check(t, frozen, "conv = Conv2D(images, filters/read)", "filters/read = Const()",
		"images = Placeholder()", "relu = Relu(conv:0)")
	i := slices.IndexFunc(frozen.Node, func(n *nodepb.NodeDef) bool { return n.Op == "Const" })
	value := frozen.Node[i].Attr["value"].GetTensor()
	if got := value.TensorContent; !slices.Equal(got, []byte{0, 0, 128, 63, 0, 0, 0, 64}) ||
		value.TensorShape.Dim[0].Size != 2 {
		t.Errorf("got %v, want 1 and 2 as float32", value)
	}
}

func TestPlace(t *testing.T) {
	g := model()
	g.Node[4].Device = "/device:CPU:0"
	same := unchanged(t, g)
	placed := Place(g, "/device:GPU:1")
	same()
	for _, n := range placed.Node {
		want := "/device:GPU:1"
		if n.Name == "relu" {
			want = "/device:CPU:0"
		}
		if n.Device != want {
			t.Errorf("%s: got device %q, want %q", n.Name, n.Device, want)
		}
	}
}

// TestGate holds that nothing of a gated graph runs, and that what TensorFlow makes of it is as
// before without its gates.
func TestGate(t *testing.T) {
	g, variables := Prune(model(), []string{"relu", "images"})
	same := unchanged(t, g)
	replaced, err := ReplaceVariables(g, variables)
	same()
	if err != nil {
		t.Fatal(err)
	}
	same = unchanged(t, replaced)
	gated := Gate(replaced, inputs)
	same()
	check(t, gated,
		"conv = Conv2D(images/gate_0, filters/read)",
		"filters/read = Placeholder(^kerasrun/never)",
		"images = Placeholder()",
		"images/gate_0 = Switch(images:0, kerasrun/predicate)",
		"kerasrun/never = Identity(images/gate_0)",
		"kerasrun/predicate = Const()",
		"relu = Relu(conv:0)")
	gated.Node = append(gated.Node, node("arg", "_Arg"))
	same = unchanged(t, gated)
	ungated, fed := Ungate(gated, inputs)
	same()
	check(t, ungated, "conv = Conv2D(images/gate_0, filters/read)",
		"filters/read = Placeholder(^kerasrun/never)", "images = Placeholder()",
		"images/gate_0 = Placeholder()", "relu = Relu(conv:0)")
	if want := map[string]savedmodel.TensorInfo{"x": {Op: "images/gate_0",
		DType: tensor.Float32}}; !cmp.Equal(want, fed) {
		t.Errorf("inputs: got %v, want %v", fed, want)
	}
}

func TestReplaceVariablesRefuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		variable Variable
		reader   *nodepb.NodeDef
		want     string
	}{
		{"another type", Variable{"r", tensor.Float64, tensor.Shape{1}},
			node("a", "Conv2D", "x", "r"), "variable r: expected float32, got float64"},
		{"no shape", Variable{"r", tensor.Float32, nil}, node("a", "Conv2D", "x", "r"),
			"variable r: expected a known shape, got"},
		{"part of a shape", Variable{"r", tensor.Float32, tensor.Shape{3, -1}},
			node("a", "Conv2D", "x", "r"), "expected a known shape, got (3, -1)"},
		{"no kernel", Variable{"r", tensor.Float32, tensor.Shape{1}}, node("a", "Mul", "x", "r"),
			"variable r: expected the kernel of one of [Conv2D DepthwiseConv2dNative MatMul], " +
				"got input 1 of Mul"},
		{"the first input", Variable{"r", tensor.Float32, tensor.Shape{1}},
			node("a", "MatMul", "r", "x"), "got input 0 of MatMul"},
	} {
		g := &graphpb.GraphDef{Node: []*nodepb.NodeDef{node("x", "Placeholder"), node("r", readOp),
			c.reader}}
		if _, err := ReplaceVariables(g, []Variable{c.variable}); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFeedKernels(t *testing.T) {
	g := &graphpb.GraphDef{Node: []*nodepb.NodeDef{
		node("x", "Placeholder"),
		node("first", "Placeholder"), node("second", "Placeholder"), node("unused", "Placeholder"),
		node("a", "Ours", "x", "first", "bias"),
		node("b", "Ours", "a", "first", "bias"), // the same kernel packed for another operation
		attr(node("c", "_FusedConv2D", "b", "second"), "is_filter_const", boolAttr(false)),
		node("d", "MatMul", "c", "second"),
	}}
	same := unchanged(t, g)
	fed, kernels := FeedKernels(g, []string{"first", "second", "unused"}, "Ours")
	same()
	check(t, fed,
		"a = Ours(x, a/packed, bias)", "a/packed = Placeholder()", "b = Ours(a, b/packed, bias)",
		"b/packed = Placeholder()",
		"c = _FusedConv2D(b, second)", "d = MatMul(c, second)", "second = Placeholder()",
		"x = Placeholder()")
	if !slices.Equal(kernels.Plain, []string{"second"}) {
		t.Errorf("plain: got %q, want second", kernels.Plain)
	}
	var packed []string
	for _, k := range kernels.Packed {
		packed = append(packed, k.Node.Name+" "+k.Variable+" "+k.Name)
	}
	if want := []string{"a first a/packed", "b first b/packed"}; !slices.Equal(packed, want) {
		t.Errorf("packed: got %q, want %q", packed, want)
	}
	for _, n := range fed.Node {
		if n.Name == "c" && !n.Attr["is_filter_const"].GetB() {
			t.Error("c: got is_filter_const false, want true")
		}
	}
}

func TestEndpoints(t *testing.T) {
	got := Endpoints(savedmodel.Signature{Inputs: inputs,
		Outputs: map[string]savedmodel.TensorInfo{"y": {Op: "relu"}}})
	if want := []string{"images", "relu"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
