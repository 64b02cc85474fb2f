package cpuconv

import (
	"slices"
	"strings"
	"testing"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
	"github.com/google/go-cmp/cmp"
)

// kernel returns the placeholder of a kernel.
func kernel(name string, sizes ...int64) *nodeDef {
	return &nodeDef{Name: name, Op: "Placeholder", Attr: attrs{
		"dtype": ofType(typespb.DataType_DT_FLOAT),
		"shape": {Value: &attrpb.AttrValue_Shape{Shape: shapeOf(sizes)}}}}
}

// TestRegions holds which convolutions become a region, and with what zeros around their image:
// those that TensorFlow computes otherwise are all left to it.
func TestRegions(t *testing.T) {
	valid := []int64{0, 0, 0, 0}
	for name, test := range map[string]struct {
		node *nodeDef
		edit func(attr attrs, node *nodeDef)
		want []int64 // nil: no region
	}{
		"bias":  {fused("BiasAdd"), nil, valid},
		"relu":  {fused("BiasAdd", "Relu"), nil, valid},
		"relu6": {fused("BiasAdd", "Relu6"), nil, valid},
		"without oneDNN": {fused("BiasAdd"), func(_ attrs, n *nodeDef) {
			n.Op = "_FusedConv2D"
		}, valid},
		"without a bias": {fused(), func(_ attrs, n *nodeDef) {
			n.Op, n.Input = "_MklNativeConv2D", n.Input[:2]
		}, valid},
		"explicit padding": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["padding"], a["explicit_paddings"] = text("EXPLICIT"), ints(0, 0, 1, 2, 3, 4, 0, 0)
		}, []int64{1, 2, 3, 4}},
		"same padding, uneven": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["padding"], a["strides"] = text("SAME"), ints(1, 2, 2, 1)
		}, []int64{1, 1, 0, 1}},
		"size not known": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["_input_shapes"].GetList().Shape[0].Dim[1].Size = -1
		}, nil},
		"shapes not known": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			delete(a, "_input_shapes")
		}, nil},
		"other channels": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["_input_shapes"].GetList().Shape[0].Dim[3].Size = 12
		}, nil},
		"a sum with what is no step": {fused("BiasAdd", "Add"), nil, nil},
		"another activation":         {fused("BiasAdd", "Elu"), nil, nil},
		"batch norm":                 {fused("FusedBatchNorm"), nil, nil},
		"half floats": {fused("BiasAdd"), func(a attrs, _ *nodeDef) {
			a["T"] = ofType(typespb.DataType_DT_HALF)
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
		"kernel that may change": {fused("BiasAdd"), func(_ attrs, n *nodeDef) {
			n.Input[1] = "x"
		}, nil},
		"one that waits": {fused("BiasAdd"), func(_ attrs, n *nodeDef) {
			n.Input = append(n.Input, "^x")
		}, nil},
	} {
		if test.edit != nil {
			test.edit(test.node.Attr, test.node)
		}
		graph := &graphpb.GraphDef{Node: []*nodeDef{{Name: "out", Op: "Elu", Input: []string{"c"}},
			{Name: "x", Op: "Placeholder"}, {Name: "b", Op: "Const"},
			{Name: "add", Op: "Placeholder"}, kernel("k", 3, 3, 8, 32), test.node}}
		got, packed, ok := Regions(graph, []string{"k"}, []string{"x", "out"}, false)
		if ok != (test.want != nil) {
			t.Errorf("%s: got a region %v, want %v", name, ok, !ok)
		}
		if !ok || test.want == nil {
			if got != graph {
				t.Errorf("%s: got another graph without a region", name)
			}
			continue
		}
		if len(packed) != 1 || packed[0].Variable != "k" {
			t.Errorf("%s: got packed kernels %v, want that of k", name, packed)
			continue
		}
		if padding := packed[0].Node.Attr["padding"].GetList().I; !cmp.Equal(padding, test.want) {
			t.Errorf("%s: got padding %v, want %v", name, padding, test.want)
		}
		var region, reader *nodeDef
		for _, node := range got.Node {
			if node.Op == RegionOp {
				region = node
			}
			if node.Name == "out" {
				reader = node
			}
		}
		if region == nil || !slices.Contains(region.Input, packed[0].Name) ||
			reader == nil || reader.Input[0] != region.Name+":0" {
			t.Errorf("%s: got %v, want a region that out reads", name, got.Node)
		}
	}
}

// meanPlan is the mean of images of eight channels behind a depthwise convolution of 1 x 1 pixel.
func meanPlan() []int64 {
	return []int64{3, 1, 5,
		stepScale, 0, 0, 4, layoutNCHW8C, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 4, -1, -1, -1, 0,
		stepDepthwise, 0, 0, 4, layoutNHWC, 0, 1, 1, 1, 8, 8, 1, 1, 0, 0, 0, 0, 3, 3, 1, 2,
		stepMean, 0, 0, 2, layoutNHWC, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 4}
}

// TestRegionRefuses holds that a description that is damaged, and tensors that do not fit it, are
// errors.
func TestRegionRefuses(t *testing.T) {
	run := func(plan []int64, inputs int, images, filter *tf.Tensor) (*tf.Tensor, error) {
		g := newGraph(t)
		fed := []tf.Output{g.fed("images"), g.fed("filter"), g.fed("bias"), g.fed("more")}
		feeds := map[tf.Output]*tf.Tensor{fed[0]: images, fed[1]: filter,
			fed[2]: feed(t, make([]float32, 8), 8), fed[3]: filter}
		out := g.op(RegionOp, "region", map[string]any{"plan": plan, "outputs": int64(1)},
			tf.OutputList(fed[:inputs]))
		got, err := g.session().Run(feeds, []tf.Output{out}, nil)
		if err != nil {
			return nil, err
		}
		return got[0], nil
	}
	numbers := make([]float32, 2*3*8)
	for i := range numbers {
		numbers[i] = float32(i % 8)
	}
	images, filter := feed(t, numbers, 2, 1, 3, 8), feed(t, []float32{1, 2, 3, 4, 5, 6, 7, 8}, 8)
	got, err := run(meanPlan(), 3, images, filter)
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{0, 2, 6, 12, 20, 30, 42, 56}
	if rows := got.Value().([][]float32); !cmp.Equal([][]float32{want, want}, rows) {
		t.Errorf("got %v, want %v twice", rows, want)
	}
	for name, test := range map[string]struct {
		edit           func(plan []int64) []int64
		inputs         int
		images, filter *tf.Tensor
		want           string
	}{
		"nothing": {func([]int64) []int64 { return []int64{} }, 3, images, filter,
			"expected a region with inputs and outputs"},
		"short": {func(plan []int64) []int64 { return plan[:len(plan)-1] }, 3, images, filter,
			"operands or more, got 1"},
		"another kind": {func(plan []int64) []int64 { plan[3] = 9; return plan }, 3, images, filter,
			"expected a kind"},
		"a value of its own": {func(plan []int64) []int64 { plan[24] = 3; return plan }, 3, images,
			filter, "expected values before 3"},
		"an output in another layout": {func(plan []int64) []int64 { plan[2] = 3; return plan }, 3,
			images, filter, "expected a step's value in NHWC"},
		"a filter of more pixels": {func(plan []int64) []int64 { plan[31] = 3; return plan }, 3,
			images, filter, "expected operands of sizes that fit"},
		"an input too many": {func(plan []int64) []int64 { return plan }, 4, images, filter,
			"expected 3 inputs, got 4"},
		"seven channels": {func(plan []int64) []int64 { return plan }, 3,
			feed(t, numbers[:42], 2, 1, 3, 7), filter, "expected operands of sizes that fit"},
		"three dimensions": {func(plan []int64) []int64 { return plan }, 3,
			feed(t, numbers, 2, 3, 8), filter, "expected float32 of 1, 2 or 4 dimensions"},
		"a short filter": {func(plan []int64) []int64 { return plan }, 3, images,
			feed(t, numbers[:7], 7), "expected operands of sizes that fit"},
	} {
		_, err := run(test.edit(meanPlan()), test.inputs, test.images, test.filter)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, test.want)
		}
	}
}

// TestAffine holds that constants before the first convolution are one step of the region, in the
// order of their operations, and that what is none stays TensorFlow's.
func TestAffine(t *testing.T) {
	number := func(name string, shape []int64, values ...float32) *nodeDef {
		return &nodeDef{Name: name, Op: "Const", Attr: attrs{
			"dtype": ofType(typespb.DataType_DT_FLOAT),
			"value": {Value: &attrpb.AttrValue_Tensor{Tensor: &tensorpb.TensorProto{
				Dtype: typespb.DataType_DT_FLOAT, TensorShape: shapeOf(shape), FloatVal: values}}}}}
	}
	op := func(name, op string, inputs ...string) *nodeDef {
		return &nodeDef{Name: name, Op: op, Input: inputs,
			Attr: attrs{"T": ofType(typespb.DataType_DT_FLOAT)}}
	}
	size := &nodeDef{Name: "size", Op: "Const", Attr: attrs{
		"value": {Value: &attrpb.AttrValue_Tensor{Tensor: &tensorpb.TensorProto{
			Dtype: typespb.DataType_DT_INT32, TensorShape: shapeOf([]int64{4}),
			IntVal: []int32{-1, 10, 10, 8}}}}}}
	eight := []float32{1, 2, 3, 4, 5, 6, 7, 8}
	for name, test := range map[string]struct {
		nodes          []*nodeDef // the last is x
		scales, shifts []float32  // the first is repeated where there is one; nil: none
		steps          bool
	}{
		"all four": {[]*nodeDef{number("one", nil, 2), number("two", []int64{8}, 1),
			number("three", []int64{1, 1, 1, 8}, 3), number("four", []int64{8}, eight...),
			op("e", "Mul", "reshaped", "one"), op("f", "AddV2", "two", "e"),
			op("g", "Sub", "f", "three"), op("x", "RealDiv", "g", "four")},
			[]float32{2, 1, 2. / 3, .5, 2. / 5, 1. / 3, 2. / 7, .25},
			[]float32{-2, -1, -2. / 3, -.5, -2. / 5, -1. / 3, -2. / 7, -.25}, true},
		"a constant less the image": {[]*nodeDef{number("one", nil, 5),
			op("x", "Sub", "one", "reshaped")},
			[]float32{-1}, []float32{5}, true},
		"a constant by the image": {[]*nodeDef{number("one", nil, 5),
			op("x", "RealDiv", "one", "reshaped")}, nil, nil, false},
		"by zero": {[]*nodeDef{number("one", nil, 0), op("x", "RealDiv", "reshaped", "one")},
			nil, nil, false},
		"a constant a pixel": {[]*nodeDef{number("one", []int64{1, 1, 10, 1}, 1),
			op("x", "Mul", "reshaped", "one")}, nil, nil, false},
		"of another size": {[]*nodeDef{number("one", nil, 5), op("x", "Mul", "unknown", "one")},
			nil, nil, false},
	} {
		conv := fused("BiasAdd")
		conv.Attr["_input_shapes"].GetList().Shape[0] = shapeOf([]int64{-1, 10, 10, 8})
		graph := &graphpb.GraphDef{Node: append([]*nodeDef{{Name: "out", Op: "Elu",
			Input: []string{"c"}}, {Name: "unknown", Op: "Placeholder"}, size,
			op("reshaped", "Reshape", "unknown", "size"), {Name: "b", Op: "Const"},
			kernel("k", 3, 3, 8, 32), conv}, test.nodes...)}
		got, _, ok := Regions(graph, []string{"k"}, []string{"unknown", "out"}, false)
		if !ok {
			t.Errorf("%s: got no region, want one", name)
			continue
		}
		values, left := map[string][]float32{}, false
		for _, node := range got.Node {
			left = left || node.Name == "x"
			for _, what := range []string{"scale", "shift"} {
				if strings.HasSuffix(node.Name, "/kerasrun_"+what) {
					values[what] = node.Attr["value"].GetTensor().FloatVal
				}
			}
		}
		if left == test.steps {
			t.Errorf("%s: got TensorFlow's operation there %v, want %v", name, left, !test.steps)
		}
		for what, want := range map[string][]float32{"scale": test.scales, "shift": test.shifts} {
			if len(want) == 1 {
				want = slices.Repeat(want, 8)
			}
			if !slices.Equal(values[what], want) {
				t.Errorf("%s: got %s %v, want %v", name, what, values[what], want)
			}
		}
	}
}
