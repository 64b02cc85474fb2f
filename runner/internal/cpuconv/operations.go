package cpuconv

import (
	"math"
	"slices"
	"strconv"
	"strings"

	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"

	"kerasrun/runner/internal/graph"
	"kerasrun/tensor"
)

// lower returns the step of an operation, nil where there is none or where it hands on a value.
func (l *lowering) lower(node *nodepb.NodeDef) *step {
	for _, input := range node.Input {
		if strings.HasPrefix(input, "^") {
			return nil
		}
	}
	if t := node.Attr["T"]; t != nil && t.GetList() == nil &&
		t.GetType() != typespb.DataType_DT_FLOAT {
		return nil
	}
	switch node.Op {
	case "_FusedConv2D", "_MklNativeFusedConv2D", "Conv2D", "_MklNativeConv2D":
		return l.convolution(node)
	case "_FusedDepthwiseConv2dNative", "_MklNativeFusedDepthwiseConv2dNative",
		"DepthwiseConv2dNative", "_MklNativeDepthwiseConv2dNative":
		return l.depthwise(node)
	case "_FusedMatMul", "_MklNativeFusedMatMul":
		return l.matrixProduct(node)
	case "MaxPool", "_MklNativeMaxPool":
		return l.pool(node, stepMaxPool)
	case "AvgPool", "_MklNativeAvgPool":
		return l.pool(node, stepAvgPool)
	case "Mean":
		return l.mean(node)
	case "Relu", "_MklRelu":
		return l.activation(node, actRelu)
	case "Relu6", "_MklRelu6":
		return l.activation(node, actRelu6)
	case "Sigmoid":
		return l.activation(node, actSigmoid)
	case "_MklSwish":
		return l.activation(node, actSwish)
	case "Mul", "_MklMul":
		return l.product(node)
	case "Add", "AddV2", "_MklAdd", "_MklAddV2":
		return l.sum(node)
	case "Sub", "_MklSub", "RealDiv":
		return l.affine(node)
	case "ConcatV2":
		return l.concat(node)
	case "Identity", "IdentityN":
		if l.valueOf(node.Input[0]) != nil {
			l.alias[node.Name] = l.resolve(node.Input[0])
		}
	case "Reshape":
		l.reshape(node)
	case "Pad":
		l.pad(node)
	case "FakeQuantWithMinMaxArgs":
		l.quantize(node)
	}
	return nil
}

// valueOf returns the step that computes an input, nil where there is none.
func (l *lowering) valueOf(input string) *step { return l.step[l.resolve(input)] }

// image returns the value that a convolution reads, its shape, and the zeros that an operation of
// its own puts around it.
func (l *lowering) image(node *nodepb.NodeDef) (name string, in imageShape, around [4]int64,
	ok bool) {
	input := l.floatInput(node)
	name = l.resolve(input)
	if p := l.pads[name]; p.of != "" {
		name, around = p.of, p.padding
	}
	if s := l.step[name]; s != nil {
		return name, s.shape, around, l.pads[l.resolve(input)].of != "" ||
			l.rankOf(nameOf(input)) == 4
	}
	// The optimiser has written down the shapes of inputs.
	shapes := node.Attr["_input_shapes"].GetList().GetShape()
	if len(shapes) == 0 || len(shapes[0].Dim) != 4 {
		return "", in, around, false
	}
	sizes := sizesOf(&shapepb.TensorShapeProto{Dim: shapes[0].Dim[1:]})
	if sizes == nil {
		return "", in, around, false
	}
	return name, imageShape{sizes[0], sizes[1], sizes[2]}, around, true
}

// windowed returns a step with a window that slides over an image.
func (l *lowering) windowed(node *nodepb.NodeDef, kind int64, window []int64) *step {
	strides := node.Attr["strides"].GetList().GetI()
	dilations := node.Attr["dilations"].GetList().GetI()
	name, in, around, ok := l.image(node)
	if !ok || string(node.Attr["data_format"].GetS()) != "NHWC" || len(strides) != 4 ||
		strides[0] != 1 || strides[3] != 1 || dilations != nil &&
		!slices.Equal(dilations, []int64{1, 1, 1, 1}) && !l.readsBytes(node) {
		return nil
	}
	s := &step{kind: kind, rank: 4, in: in, images: []string{name},
		strides: [2]int64(strides[1:3])}
	sizes := []int64{in.h + around[0] + around[1], in.w + around[2] + around[3]}
	padding := paddingOf(node, sizes, window, s.strides[:])
	if padding == nil {
		return nil
	}
	for i := range s.padding {
		s.padding[i] = padding[i] + around[i]
	}
	s.window[0], s.window[1] = window[0], window[1]
	s.shape = imageShape{(in.h+s.padding[0]+s.padding[1]-window[0])/s.strides[0] + 1,
		(in.w+s.padding[2]+s.padding[3]-window[1])/s.strides[1] + 1, in.c}
	if s.shape.h < 1 || s.shape.w < 1 || in.h+s.padding[0]+s.padding[1] < window[0] ||
		in.w+s.padding[2]+s.padding[3] < window[1] {
		return nil
	}
	return s
}

// A convolution of 1x1 pixel of an image of one is a product of matrices; so few numbers are not
// worth to be packed.
const smallProduct = 1 << 18

func (l *lowering) convolution(node *nodepb.NodeDef) *step {
	add, act, ok := fusedOps(node)
	filterFormat := string(node.Attr["filter_format"].GetS())
	if !ok || len(node.Input) < 2 || filterFormat != "" && filterFormat != "HWIO" {
		return nil
	}
	kernel := l.kernelShape(node.Input[1])
	if len(kernel) != 4 {
		return nil
	}
	s := l.windowed(node, stepConv, l.windowOf(node, kernel))
	if s == nil || s.in.c%kernel[2] != 0 {
		return nil
	}
	s.window[2], s.window[3], s.window[4] = kernel[2], kernel[3], s.in.c/kernel[2]
	s.filter, s.bias, s.act, s.shape.c = node.Input[1], l.bias(node, kernel[3]), act, kernel[3]
	if add {
		added := l.valueOf(node.Input[3])
		if added == nil || added.shape != s.shape || added.rank != 4 {
			return nil
		}
		s.added = added.name
	}
	if l.quantized[s.filter] {
		return l.ofBytes(s, node)
	}
	if s.is1x1() && s.in.h == 1 && s.in.w == 1 && s.added == "" && !l.bf16 &&
		(kernel[3]%8 != 0 || kernel[2]*kernel[3] < smallProduct) {
		s.kind = stepDense
		return s
	}
	if kernel[3]%(8*s.window[4]) != 0 {
		return nil
	}
	return s
}

// bias returns the bias of a convolution: zeros of our own where it has none.
func (l *lowering) bias(node *nodepb.NodeDef, channels int64) string {
	if len(node.Input) > 2 {
		return node.Input[2]
	}
	name := "kerasrun/zeros_" + strconv.FormatInt(channels, 10)
	if l.node[name] == nil {
		l.node[name] = graph.Constant(name, tensor.Float32, tensor.Shape{channels},
			&tensorpb.TensorProto{FloatVal: []float32{0}})
		l.added = append(l.added, l.node[name])
	}
	return name
}

func (l *lowering) depthwise(node *nodepb.NodeDef) *step {
	add, act, ok := fusedOps(node)
	if !ok || add || l.bf16 || len(node.Input) < 2 {
		return nil
	}
	kernel := l.kernelShape(node.Input[1])
	quantized := l.quantized[node.Input[1]]
	if len(kernel) != 4 || kernel[3] != 1 || kernel[2]%8 != 0 && !quantized {
		return nil
	}
	s := l.windowed(node, stepDepthwise, l.windowOf(node, kernel))
	if s == nil || s.in.c != kernel[2] {
		return nil
	}
	s.window[2], s.window[3], s.window[4] = 1, kernel[2], kernel[2]
	s.filter, s.bias, s.act = node.Input[1], l.bias(node, kernel[2]), act
	if quantized {
		return l.ofBytes(s, node)
	}
	return s
}

// matrixProduct is one of float32 also where convolutions are rounded.
func (l *lowering) matrixProduct(node *nodepb.NodeDef) *step {
	add, act, ok := fusedOps(node)
	if !ok || add || len(node.Input) < 3 || node.Attr["transpose_a"].GetB() ||
		node.Attr["transpose_b"].GetB() {
		return nil
	}
	input, quantized := l.floatInput(node), l.quantized[node.Input[1]]
	kernel, x := l.kernelShape(node.Input[1]), l.valueOf(input)
	if len(kernel) != 2 || x == nil || x.shape != (imageShape{1, 1, kernel[0]}) ||
		l.rankOf(nameOf(input)) != 2 {
		return nil
	}
	s := &step{kind: stepConv, act: act, rank: 2, matrix: true, in: x.shape,
		shape: imageShape{1, 1, kernel[1]}, images: []string{x.name}, filter: node.Input[1],
		bias: node.Input[2], strides: [2]int64{1, 1},
		window: [5]int64{1, 1, kernel[0], kernel[1], 1}}
	if quantized {
		return l.ofBytes(s, node)
	}
	if kernel[1]%8 != 0 {
		s.kind = stepDense
	}
	return s
}

func (l *lowering) pool(node *nodepb.NodeDef, kind int64) *step {
	window := node.Attr["ksize"].GetList().GetI()
	x := l.valueOf(node.Input[0])
	if x == nil || x.shape.c%8 != 0 || len(window) != 4 || window[0] != 1 || window[3] != 1 {
		return nil
	}
	s := l.windowed(node, kind, window[1:3])
	if s == nil || window[1] <= max(s.padding[0], s.padding[1]) ||
		window[2] <= max(s.padding[2], s.padding[3]) {
		return nil
	}
	return s
}

func (l *lowering) mean(node *nodepb.NodeDef) *step {
	x := l.valueOf(node.Input[0])
	axes, ok := l.integers(node.Input[1])
	if x == nil || !ok || !slices.Equal(axes, []int64{1, 2}) || x.shape.c%8 != 0 || x.rank != 4 {
		return nil
	}
	rank := int64(2)
	if node.Attr["keep_dims"].GetB() {
		rank = 4
	}
	return &step{kind: stepMean, rank: rank, in: x.shape, shape: imageShape{1, 1, x.shape.c},
		images: []string{x.name}, strides: [2]int64{1, 1}}
}

// scaled returns a step that changes each number of a value by itself, nil where it cannot.
func scaled(x *step) *step {
	if x == nil || x.shape.c%8 != 0 || x.rank != 4 {
		return nil
	}
	return &step{kind: stepScale, rank: 4, in: x.shape, shape: x.shape, images: []string{x.name},
		strides: [2]int64{1, 1}}
}

// activation is of any number of channels where the step before it has it done.
func (l *lowering) activation(node *nodepb.NodeDef, act int64) *step {
	x := l.valueOf(node.Input[0])
	s := scaled(x)
	if s == nil && x != nil && (x.kind <= stepDense || x.kind == stepQConv) {
		s = &step{kind: stepScale, rank: x.rank, in: x.shape, shape: x.shape,
			images: []string{x.name}, strides: [2]int64{1, 1}}
	}
	if s != nil {
		s.act = act
	}
	return s
}

// product is a value and: 1, its own sigmoid, a number a channel, or a constant.
func (l *lowering) product(node *nodepb.NodeDef) *step {
	for i := range 2 {
		x, other := l.valueOf(node.Input[i]), node.Input[1-i]
		if x == nil {
			continue
		}
		if c := l.perChannel(other, 1); len(c) == 1 && c[0] == 1 &&
			len(l.constant(other).GetTensorShape().GetDim()) == 0 {
			l.alias[node.Name] = x.name
			return nil
		}
		y := l.valueOf(other)
		if y == nil {
			continue
		}
		if y.act == actSigmoid && y.alone() && len(y.images) == 1 && y.images[0] == x.name {
			return l.activation(&nodepb.NodeDef{Input: []string{x.name}}, actSwish)
		}
		if y.shape == (imageShape{1, 1, x.shape.c}) && x.shape != y.shape && y.rank == 4 {
			if s := scaled(x); s != nil {
				s.scale = y.name
				return s
			}
		}
	}
	return l.affine(node)
}

// sum is of two values, or of one and a constant.
func (l *lowering) sum(node *nodepb.NodeDef) *step {
	for i := range 2 {
		x, other := l.valueOf(node.Input[i]), node.Input[1-i]
		s := scaled(x)
		if s == nil {
			continue
		}
		if y := l.valueOf(other); y != nil && y.shape == x.shape && y.rank == x.rank {
			s.added = y.name
			return s
		}
	}
	return l.affine(node)
}

func (l *lowering) concat(node *nodepb.NodeDef) *step {
	axis, ok := l.integers(node.Input[len(node.Input)-1])
	if !ok || len(axis) != 1 || axis[0] != 3 && axis[0] != -1 {
		return nil
	}
	var all *step
	for _, input := range node.Input[:len(node.Input)-1] {
		x := l.valueOf(input)
		s := scaled(x)
		if s == nil || all != nil && (all.shape.h != s.shape.h || all.shape.w != s.shape.w) {
			return nil
		}
		if x.plain() {
			s.images = slices.Clone(x.images)
		}
		if all == nil {
			all = s
			continue
		}
		all.shape.c += s.shape.c
		all.images = append(all.images, s.images...)
	}
	return all
}

// reshape hands on a value of one pixel as a matrix, or the other way round.
func (l *lowering) reshape(node *nodepb.NodeDef) {
	x := l.valueOf(node.Input[0])
	shape, ok := l.integers(node.Input[1])
	if x == nil || !ok || x.shape.h != 1 || x.shape.w != 1 ||
		len(shape) != 2 && len(shape) != 4 || shape[0] != -1 || shape[len(shape)-1] != x.shape.c ||
		len(shape) == 4 && (shape[1] != 1 || shape[2] != 1) {
		return
	}
	l.alias[node.Name] = x.name
}

func (l *lowering) pad(node *nodepb.NodeDef) {
	x := l.valueOf(node.Input[0])
	paddings, ok := l.integers(node.Input[1])
	if x == nil || !ok || x.rank != 4 || len(paddings) != 8 || slices.Min(paddings) < 0 ||
		slices.Max(paddings) > math.MaxInt16 || slices.Max(paddings[:2]) > 0 ||
		slices.Max(paddings[6:]) > 0 {
		return
	}
	l.pads[node.Name] = pad{x.name, [4]int64(paddings[2:6])}
}
