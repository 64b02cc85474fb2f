package cpuconv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
	"google.golang.org/protobuf/proto"
)

func float(x float32) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_F{F: x}}
}

func integer(n int64) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_I{I: n}}
}

// fakeQuant returns the operation that rounds to bytes.
func fakeQuant(name, input string, low, high float32) *nodeDef {
	return &nodeDef{Name: name, Op: "FakeQuantWithMinMaxArgs", Input: []string{input}, Attr: attrs{
		"min": float(low), "max": float(high), "num_bits": integer(8),
		"narrow_range": {Value: &attrpb.AttrValue_B{}}}}
}

// TestNewQuantization holds the range that TensorFlow makes of one, which has a byte for 0.
func TestNewQuantization(t *testing.T) {
	for _, test := range []struct {
		low, high float32
		zero      int32
		ok        bool
	}{
		{0, 6, 0, true}, {-6, 0, 255, true}, {-1, 1, 127, true}, {-0.1, 25.4, 1, true},
		{0, 0, 0, false}, {1, 2, 0, false}, {-2, -1, 0, false}, {2, -2, 0, false},
		{0, 1e-45, 0, false}, {float32(math.NaN()), 1, 0, false},
		{float32(math.Inf(-1)), 1, 0, false}, {-math.MaxFloat32, math.MaxFloat32, 0, false},
	} {
		q, ok := newQuantization(test.low, test.high)
		if ok != test.ok || ok && (q.zero != test.zero || q.min > 0 || q.max < 0) {
			t.Errorf("%v to %v: got %+v, %v, want the zero %d, %v", test.low, test.high, q, ok,
				test.zero, test.ok)
		}
	}
}

// quantizedConv is a convolution of bytes, and behind it one of 1x1 pixel that adds its image.
type quantizedConv struct {
	shape
	low, high float32
	act       string // "", "Relu" or "Relu6"
}

// weights draws a kernel and the scales of its output channels.
func weights(random *rand.Rand, n, channels int64) (kernel []int8, scales []float32) {
	for range n {
		kernel = append(kernel, int8(random.IntN(255)-127))
	}
	for range channels {
		scales = append(scales, (0.5+random.Float32())/64/float32(n/channels))
	}
	return kernel, scales
}

// rounded returns the bytes of numbers, as qconv2d.h defines them.
func (q quantization) rounded(x []float32) []int32 {
	bytes := make([]int32, len(x))
	for i, v := range x {
		v = float32(max(q.min, min(q.max, v)) - q.min)
		v = float32(v * q.inverse)
		v = float32(v - float32(q.zero))
		v = float32(v + 0.5)
		bytes[i] = int32(math.Floor(float64(v))) + q.zero
	}
	return bytes
}

// computed returns a convolution of bytes, as qconv2d.h defines it.
func (s shape) computed(x []int32, q quantization, kernel []int8, scales, bias, added []float32,
	act string) (y []float32) {
	channels, columns := s.in*s.groups, s.out/s.groups
	for p := range s.n * s.outH() * s.outW() {
		image, row, column := p/s.outW()/s.outH(), p/s.outW()%s.outH(), p%s.outW()
		for o := range s.out {
			sum := int32(0)
			for i := range s.kernelH {
				for j := range s.kernelW {
					r, c := row*s.strideH+i-s.top, column*s.strideW+j-s.left
					if r < 0 || r >= s.h || c < 0 || c >= s.w {
						continue
					}
					pixel := x[((image*s.h+r)*s.w+c)*channels+o/columns*s.in:]
					for k := range s.in {
						weight := kernel[((i*s.kernelW+j)*s.in+k)*s.out+o]
						sum += (pixel[k] - q.zero) * int32(weight)
					}
				}
			}
			v := float32(float32(sum) * float32(q.scale*scales[o]))
			v = float32(v + bias[o])
			if added != nil {
				v = float32(v + added[p*s.out+o])
			}
			if act != "" {
				v = max(0, v)
			}
			if act == "Relu6" {
				v = min(6, v)
			}
			y = append(y, v)
		}
	}
	return y
}

// fusedConv returns a convolution as TensorFlow's optimiser leaves it.
func (s shape) fusedConv(name string, inputs []string, ops ...string) *nodeDef {
	node := fused(ops...)
	node.Name, node.Input = name, inputs
	node.Attr["strides"] = ints(1, s.strideH, s.strideW, 1)
	node.Attr["padding"] = text("EXPLICIT")
	node.Attr["explicit_paddings"] = ints(0, 0, s.top, s.bottom, s.left, s.right, 0, 0)
	kernel := []int64{s.kernelH, s.kernelW, s.in, s.out}
	if s.depthwise() {
		node.Op = "_MklNativeFusedDepthwiseConv2dNative"
		kernel = []int64{s.kernelH, s.kernelW, s.out, 1}
	}
	shapes := node.Attr["_input_shapes"].GetList()
	shapes.Shape[0] = shapeOf([]int64{-1, s.h, s.w, s.in * s.groups})
	shapes.Shape[1] = shapeOf(kernel)
	return node
}

func (s shape) depthwise() bool { return s.in == 1 && s.groups == s.out && s.out > 1 }

// TestQuantizedConv holds that convolutions of bytes are equal, to the bit, to their definition:
// of groups, of each channel, with uneven padding and strides; of bytes that lie between two, and
// of floats that are added to those.
func TestQuantizedConv(t *testing.T) {
	for i, test := range []quantizedConv{
		{same(1, 7, 3, 8, 32, 2, 1, 1), -1, 3, ""},
		{same(2, 9, 1, 19, 40, 1, 1, 0), 0, 2, "Relu"},
		{same(1, 14, 3, 4, 128, 32, 2, 1), -2, 2, "Relu"},
		{same(1, 11, 3, 32, 64, 2, 1, 1), 0, 3, "Relu"},
		{same(1, 23, 7, 3, 24, 1, 2, 3), -2, 2, "Relu6"},
		{same(2, 13, 3, 1, 40, 40, 1, 1), 0, 6, "Relu6"},
		{same(1, 12, 5, 1, 7, 7, 2, 2), -1, 1, ""},
		{shape{n: 1, h: 5, w: 9, kernelH: 2, kernelW: 3, in: 5, out: 6, groups: 3, strideH: 1,
			strideW: 2, bottom: 1, right: 2}, -3, 1, "Relu"},
	} {
		t.Run(fmt.Sprint(test.shape), func(t *testing.T) { test.check(t, uint64(i)) })
	}
}

func (c quantizedConv) check(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 8))
	numbers := func(n int64) (list []float32) {
		for range n {
			list = append(list, float32(random.NormFloat64()))
		}
		return list
	}
	second := same(c.n, c.outH(), 1, c.out, c.out, 1, 1, 0)
	second.w = c.outW()
	x, biases := numbers(c.n*c.h*c.w*c.in*c.groups), [2][]float32{numbers(c.out), numbers(c.out)}
	kernel, scales := weights(random, c.kernelH*c.kernelW*c.in*c.out, c.out)
	kernel2, scales2 := weights(random, c.out*c.out, c.out)

	q, _ := newQuantization(c.low, c.high)
	q2, _ := newQuantization(0, 2.5)
	between := c.computed(q.rounded(x), q, kernel, scales, biases[0], nil, c.act)
	want := second.computed(q2.rounded(between), q2, kernel2, scales2, biases[1], between, "Relu")

	ops := []string{"BiasAdd"}
	if c.act != "" {
		ops = append(ops, c.act)
	}
	bias := func(name string, numbers []float32) *nodeDef {
		return &nodeDef{Name: name, Op: "Const", Attr: attrs{
			"dtype": ofType(typespb.DataType_DT_FLOAT),
			"value": {Value: &attrpb.AttrValue_Tensor{Tensor: &tensorpb.TensorProto{
				Dtype:       typespb.DataType_DT_FLOAT,
				TensorShape: shapeOf([]int64{int64(len(numbers))}), FloatVal: numbers}}}}}
	}
	first := c.fusedConv("c", []string{"q", "k", "b"}, ops...)
	g := &graphpb.GraphDef{Node: []*nodeDef{
		{Name: "x", Op: "Placeholder", Attr: attrs{"dtype": ofType(typespb.DataType_DT_FLOAT)}},
		fakeQuant("q", "x", c.low, c.high), bias("b", biases[0]), bias("b2", biases[1]),
		kernelOf("k", first), first, fakeQuant("q2", "c", 0, 2.5), kernel4("k2", c.out, c.out),
		second.fusedConv("c2", []string{"q2", "k2", "b2", "c"}, "BiasAdd", "Add", "Relu")}}
	computed, packed, refused := QuantizedRegions(g, []string{"k", "k2"}, []string{"k", "k2"},
		[]string{"x", "c2"})
	if refused != "" || len(packed) != 2 {
		t.Fatalf("got %q refused and %d kernels, want none and two", refused, len(packed))
	}
	for _, node := range computed.Node {
		if node.Op == "FakeQuantWithMinMaxArgs" {
			t.Errorf("got the operation %s, want its bytes made in a region", node.Name)
		}
	}
	if err := Register(4); err != nil {
		t.Fatal(err)
	}
	imported := tf.NewGraph()
	raw, err := proto.Marshal(computed)
	if err != nil {
		t.Fatal(err)
	}
	if err := imported.Import(raw, ""); err != nil {
		t.Fatal(err)
	}
	output := func(name string) tf.Output { return imported.Operation(name).Output(0) }
	feeds := map[tf.Output]*tf.Tensor{output("x"): feed(t, x, c.n, c.h, c.w, c.in*c.groups)}
	for _, p := range packed {
		length, err := PackedLength(p.Node)
		if err != nil {
			t.Fatal(err)
		}
		room := make([]float32, length)
		if p.Variable == "k" {
			err = PackBytes(p.Node, sizesOf(shapeOfKernel(first)), kernel, scales, room)
		} else {
			err = PackBytes(p.Node, []int64{1, 1, c.out, c.out}, kernel2, scales2, room)
		}
		if err != nil {
			t.Fatal(err)
		}
		feeds[output(p.Name)] = feed(t, room, int64(length))
	}
	session, err := tf.NewSession(imported, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	results, err := session.Run(feeds, []tf.Output{output("c2")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := floatsOf(results[0])
	if i := slices.IndexFunc(want, func(v float32) bool { return v > 0 }); i < 0 {
		t.Fatal("want has nothing but zeros")
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("element %d: got %v, want %v to the bit", i, got[i], want[i])
		}
	}
}

// shapeOfKernel returns the shape of a fused convolution's kernel.
func shapeOfKernel(conv *nodeDef) *shapepb.TensorShapeProto {
	return conv.Attr["_input_shapes"].GetList().Shape[1]
}

// kernelOf returns the placeholder of a fused convolution's kernel.
func kernelOf(name string, conv *nodeDef) *nodeDef {
	return kernel(name, sizesOf(shapeOfKernel(conv))...)
}

func kernel4(name string, in, out int64) *nodeDef { return kernel(name, 1, 1, in, out) }

// floatsOf returns the numbers of a tensor of images.
func floatsOf(t *tf.Tensor) (numbers []float32) {
	for _, image := range t.Value().([][][][]float32) {
		for _, row := range image {
			for _, pixel := range row {
				numbers = append(numbers, pixel...)
			}
		}
	}
	return numbers
}

// TestQuantizedRegionsRefuse holds which convolutions of bytes are refused, by name.
func TestQuantizedRegionsRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(quant, conv *nodeDef)
		want string
	}{
		"none":                 {func(_, _ *nodeDef) {}, ""},
		"no bytes before":      {func(_, c *nodeDef) { c.Input[0] = "x" }, "c"},
		"seven bits":           {func(q, _ *nodeDef) { q.Attr["num_bits"] = integer(7) }, "c"},
		"bits are left out":    {func(q, _ *nodeDef) { delete(q.Attr, "num_bits") }, ""},
		"a range without zero": {func(q, _ *nodeDef) { q.Attr["min"] = float(1) }, "c"},
		"a narrow range": {func(q, _ *nodeDef) {
			q.Attr["narrow_range"] = &attrpb.AttrValue{Value: &attrpb.AttrValue_B{B: true}}
		}, "c"},
		"dilated": {func(_, c *nodeDef) { c.Attr["dilations"] = ints(1, 2, 2, 1) }, ""},
		"another activation": {func(_, c *nodeDef) {
			c.Attr["fused_ops"].GetList().S = [][]byte{[]byte("BiasAdd"), []byte("Elu")}
		}, "c"},
		"a size that is not known": {func(_, c *nodeDef) {
			c.Attr["_input_shapes"].GetList().Shape[0].Dim[1].Size = -1
		}, "c"},
	} {
		quant, conv := fakeQuant("q", "x", -1, 2), fused("BiasAdd")
		conv.Input = []string{"q", "k", "b"}
		test.edit(quant, conv)
		g := &graphpb.GraphDef{Node: []*nodeDef{{Name: "x", Op: "Placeholder"}, quant,
			{Name: "b", Op: "Const"}, kernel("k", 3, 3, 8, 32), conv,
			{Name: "out", Op: "Elu", Input: []string{"c"}}}}
		_, _, refused := QuantizedRegions(g, []string{"k"}, []string{"k"}, []string{"x", "out"})
		if refused != test.want {
			t.Errorf("%s: got %q refused, want %q", name, refused, test.want)
		}
	}
}

// TestPackBytesRefuses holds that a kernel, scales or room of other sizes than an operation's, and
// weights that it does not know, are errors.
func TestPackBytesRefuses(t *testing.T) {
	op := &nodeDef{Attr: attrs{"filter": ints(1, 1, 2, 4, 1), "strides": ints(1, 1),
		"padding": ints(0, 0, 0, 0), "scale": float(1), "zero": integer(3),
		"dilations": ints(1, 1)}}
	length, err := PackedLength(op)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name                    string
		shape                   []int64
		weights, scales, floats int
		first                   int8
		want                    string
	}{
		{"good", []int64{1, 1, 2, 4}, 8, 4, length, 1, ""},
		{"a matrix", []int64{2, 4}, 8, 4, length, 1, ""},
		{"another shape", []int64{1, 1, 4, 2}, 8, 4, length, 1, "expected a kernel of shape"},
		{"few weights", []int64{2, 4}, 7, 4, length, 1, "8 numbers with 4 scales, got 7 with 4"},
		{"few scales", []int64{2, 4}, 8, 3, length, 1, "8 numbers with 4 scales, got 8 with 3"},
		{"little room", []int64{2, 4}, 8, 4, length - 1, 1, "expected room"},
		{"-128", []int64{2, 4}, 8, 4, length, -128, "expected weights of -127 to 127, got -128"},
	} {
		kernel := make([]int8, test.weights)
		kernel[0] = test.first
		err := PackBytes(op, test.shape, kernel, make([]float32, test.scales),
			make([]float32, test.floats))
		if test.want == "" && err != nil || test.want != "" && !matches(err, test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	op.Attr["filter"] = ints(1, 1, maxSum+1, 4, 1)
	if _, err := PackedLength(op); err == nil {
		t.Error("sums that do not fit: got no error")
	}
}

func matches(err error, want string) bool {
	return err != nil && strings.Contains(err.Error(), want)
}
