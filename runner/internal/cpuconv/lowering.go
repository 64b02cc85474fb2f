package cpuconv

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
)

// lowering makes steps of a graph's operations.
type lowering struct {
	graph     *graphpb.GraphDef
	order     []*nodepb.NodeDef // each behind those that it reads
	node      map[string]*nodepb.NodeDef
	kernels   map[string]bool
	endpoints map[string]bool
	bf16      bool

	steps []*step // each behind those that it reads
	step  map[string]*step
	alias map[string]string // operations that hand on a value
	pads  map[string]pad    // operations that put zeros around one
	kept  map[string]bool   // those of alias and pads that TensorFlow computes all the same

	leaving map[string]bool   // values that TensorFlow reads
	added   []*nodepb.NodeDef // constants beside the graph's
}

// pad is zeros around a value: top, bottom, left and right.
type pad struct {
	of      string
	padding [4]int64
}

func newLowering(graph *graphpb.GraphDef, kernels, endpoints []string, bf16 bool) *lowering {
	l := &lowering{graph: graph, bf16: bf16, node: map[string]*nodepb.NodeDef{},
		kernels: map[string]bool{}, endpoints: map[string]bool{}, step: map[string]*step{},
		alias: map[string]string{}, pads: map[string]pad{}, kept: map[string]bool{},
		leaving: map[string]bool{}}
	for _, node := range graph.Node {
		l.node[node.Name] = node
	}
	for _, name := range kernels {
		l.kernels[name] = true
	}
	for _, name := range endpoints {
		l.endpoints[name] = true
	}
	seen := map[string]bool{}
	var visit func(node *nodepb.NodeDef)
	visit = func(node *nodepb.NodeDef) {
		if node == nil || seen[node.Name] {
			return
		}
		seen[node.Name] = true
		for _, input := range node.Input {
			visit(l.node[producerOf(input)])
		}
		l.order = append(l.order, node)
	}
	for _, node := range graph.Node {
		visit(node)
	}
	return l
}

// producerOf returns the operation that an input comes from.
func producerOf(input string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(input, "^"), ":")
	return name
}

// resolve returns the name of the value that an input is, where it is one.
func (l *lowering) resolve(input string) string {
	name := nameOf(input)
	for l.alias[name] != "" {
		name = l.alias[name]
	}
	return name
}

// lowered says whether TensorFlow computes an operation no more.
func (l *lowering) lowered(name string) bool {
	return !l.kept[name] && (l.step[name] != nil || l.alias[name] != "" || l.pads[name].of != "")
}

// left returns the operations that stay TensorFlow's.
func (l *lowering) left() []*nodepb.NodeDef {
	return slices.DeleteFunc(slices.Clone(l.graph.Node), func(node *nodepb.NodeDef) bool {
		return l.lowered(node.Name)
	})
}

// lowerAll makes steps of all operations that it can. It returns whether these have all
// convolutions, and there is one.
func (l *lowering) lowerAll() bool {
	depth := map[string]int{} // of operations that stay TensorFlow's: the regions before them
	convolutions := 0
	for _, node := range l.order {
		s := l.lower(node)
		isConv := strings.Contains(strings.ToLower(node.Op), "conv2d")
		if isConv && s == nil {
			return false
		}
		if isConv {
			convolutions++
		}
		if s != nil {
			s.name, l.step[node.Name] = node.Name, s
			l.steps = append(l.steps, s)
		}
		for _, input := range node.Input {
			name := l.resolve(input)
			if p := l.pads[name]; p.of != "" {
				name = l.resolve(p.of)
			}
			name = producerOf(name)
			before := depth[name]
			if from := l.step[name]; from != nil {
				before = from.region
				if s == nil {
					before++
				}
			}
			if s != nil {
				s.region = max(s.region, before)
			} else {
				depth[node.Name] = max(depth[node.Name], before)
			}
		}
	}
	if convolutions == 0 {
		return false
	}
	// What TensorFlow reads of a shape or with zeros that no step has, it computes.
	for again := true; again; {
		again = false
		keep := func(name string) {
			for ; l.lowered(name); name = nameOf(l.node[name].Input[0]) {
				if l.step[name] != nil {
					return
				}
				if l.pads[name].of != "" || l.rankOf(name) != l.step[l.resolve(name)].rank {
					l.kept[name], again = true, true
				}
			}
		}
		for _, node := range l.left() {
			for _, input := range node.Input {
				if strings.HasPrefix(input, "^") && l.lowered(producerOf(input)) {
					return false
				}
				if name := producerOf(input); l.step[name] != nil && nameOf(input) != name {
					return false
				}
				keep(nameOf(input))
			}
		}
		for name := range l.endpoints {
			keep(name)
		}
	}
	l.findLeaving()
	return true
}

// rankOf returns the rank of an operation that hands a value on.
func (l *lowering) rankOf(name string) int64 {
	node := l.node[name]
	if node.Op == "Reshape" {
		shape, _ := l.integers(node.Input[1])
		return int64(len(shape))
	}
	if s := l.step[name]; s != nil {
		return s.rank
	}
	return l.rankOf(l.aliased(node))
}

// aliased returns the operation whose output another hands on.
func (l *lowering) aliased(node *nodepb.NodeDef) string {
	for _, input := range node.Input {
		if name := nameOf(input); l.step[name] != nil || l.alias[name] != "" {
			return name
		}
	}
	return ""
}

// findLeaving finds the values that leave the regions.
func (l *lowering) findLeaving() {
	for name := range l.endpoints {
		if l.lowered(name) {
			l.leaving[l.resolve(name)] = true
		}
	}
	for _, node := range l.left() {
		for _, input := range node.Input {
			l.leaving[l.resolve(input)] = true
		}
	}
}

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
	}
	return nil
}

// valueOf returns the step that computes an input, nil where there is none.
func (l *lowering) valueOf(input string) *step { return l.step[l.resolve(input)] }

// fusedOps returns what is fused with an operation behind a bias: whether something is added, and
// the activation. An operation alone has nothing.
func fusedOps(node *nodepb.NodeDef) (add bool, act int64, ok bool) {
	var fused []string
	if !strings.Contains(node.Op, "Fused") && len(node.Input) == 2 {
		return false, actLinear, node.Attr["T"].GetType() == typespb.DataType_DT_FLOAT
	}
	for _, op := range node.Attr["fused_ops"].GetList().GetS() {
		fused = append(fused, string(op))
	}
	if len(fused) == 0 || fused[0] != "BiasAdd" ||
		node.Attr["T"].GetType() != typespb.DataType_DT_FLOAT {
		return false, 0, false
	}
	fused = fused[1:]
	if len(fused) > 0 && fused[0] == "Add" {
		add, fused = true, fused[1:]
	}
	acts := map[string]int64{"Relu": actRelu, "Relu6": actRelu6, "Sigmoid": actSigmoid,
		"_MklSwish": actSwish, "_FusedSwish": actSwish}
	if len(fused) == 0 {
		return add, actLinear, true
	}
	act, ok = acts[fused[0]]
	return add, act, ok && len(fused) == 1
}

// kernelShape returns the shape of a kernel, nil where it is none or may change.
func (l *lowering) kernelShape(input string) []int64 {
	if !l.kernels[input] || l.node[input] == nil {
		return nil
	}
	return sizesOf(l.node[input].Attr["shape"].GetShape())
}

// sizesOf returns a shape whose sizes are all known, or nil.
func sizesOf(shape *shapepb.TensorShapeProto) []int64 {
	var sizes []int64
	for _, dim := range shape.GetDim() {
		if dim.Size < 1 {
			return nil
		}
		sizes = append(sizes, dim.Size)
	}
	return sizes
}

// image returns the value that a convolution reads, its shape, and the zeros that an operation of
// its own puts around it.
func (l *lowering) image(node *nodepb.NodeDef) (name string, in imageShape, around [4]int64,
	ok bool) {
	name = l.resolve(node.Input[0])
	if p := l.pads[name]; p.of != "" {
		name, around = p.of, p.padding
	}
	if s := l.step[name]; s != nil {
		return name, s.shape, around, l.pads[l.resolve(node.Input[0])].of != "" ||
			l.rankOf(nameOf(node.Input[0])) == 4
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
		!slices.Equal(dilations, []int64{1, 1, 1, 1}) {
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
	s := l.windowed(node, stepConv, kernel[:2])
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
		shape := &shapepb.TensorShapeProto{Dim: []*shapepb.TensorShapeProto_Dim{{Size: channels}}}
		zeros := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_FLOAT, TensorShape: shape,
			FloatVal: []float32{0}}
		l.node[name] = &nodepb.NodeDef{Name: name, Op: "Const", Attr: map[string]*attrpb.AttrValue{
			"dtype": {Value: &attrpb.AttrValue_Type{Type: typespb.DataType_DT_FLOAT}},
			"value": {Value: &attrpb.AttrValue_Tensor{Tensor: zeros}}}}
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
	if len(kernel) != 4 || kernel[3] != 1 || kernel[2]%8 != 0 {
		return nil
	}
	s := l.windowed(node, stepDepthwise, kernel[:2])
	if s == nil || s.in.c != kernel[2] {
		return nil
	}
	s.window[2], s.window[3], s.window[4] = 1, kernel[2], kernel[2]
	s.filter, s.bias, s.act = node.Input[1], l.bias(node, kernel[2]), act
	return s
}

// matrixProduct is one of float32 also where convolutions are rounded.
func (l *lowering) matrixProduct(node *nodepb.NodeDef) *step {
	add, act, ok := fusedOps(node)
	if !ok || add || len(node.Input) < 3 || node.Attr["transpose_a"].GetB() ||
		node.Attr["transpose_b"].GetB() {
		return nil
	}
	kernel, x := l.kernelShape(node.Input[1]), l.valueOf(node.Input[0])
	if len(kernel) != 2 || x == nil || x.shape != (imageShape{1, 1, kernel[0]}) ||
		l.rankOf(nameOf(node.Input[0])) != 2 {
		return nil
	}
	s := &step{kind: stepConv, act: act, rank: 2, matrix: true, in: x.shape,
		shape: imageShape{1, 1, kernel[1]}, images: []string{x.name}, filter: node.Input[1],
		bias: node.Input[2], strides: [2]int64{1, 1},
		window: [5]int64{1, 1, kernel[0], kernel[1], 1}}
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
	if s == nil && x != nil && x.kind <= stepDense {
		s = &step{kind: stepScale, rank: x.rank, in: x.shape, shape: x.shape,
			images: []string{x.name}, strides: [2]int64{1, 1}}
	}
	if s != nil {
		s.act = act
	}
	return s
}

// product is a value and: 1, a constant a channel, its own sigmoid, or a number a channel.
func (l *lowering) product(node *nodepb.NodeDef) *step {
	for i := range 2 {
		x, other := l.valueOf(node.Input[i]), node.Input[1-i]
		if x == nil {
			continue
		}
		if number, ok := l.scalar(other); ok && number == 1 {
			l.alias[node.Name] = x.name
			return nil
		}
		y := l.valueOf(other)
		if y == nil {
			if s := scaled(x); s != nil && l.isChannels(other, x.shape.c) {
				s.scale, s.constantScale = other, true
				return s
			}
			continue
		}
		if y.kind == stepScale && y.act == actSigmoid && y.images[0] == x.name &&
			len(y.images) == 1 && y.scale+y.shift+y.added == "" {
			return l.activation(&nodepb.NodeDef{Input: []string{x.name}}, actSwish)
		}
		if y.shape == (imageShape{1, 1, x.shape.c}) && x.shape != y.shape && y.rank == 4 {
			if s := scaled(x); s != nil {
				s.scale = y.name
				return s
			}
		}
	}
	return nil
}

// sum is of two values, or of one and a constant a channel.
func (l *lowering) sum(node *nodepb.NodeDef) *step {
	for i := range 2 {
		x, other := l.valueOf(node.Input[i]), node.Input[1-i]
		s := scaled(x)
		if s == nil {
			continue
		}
		if y := l.valueOf(other); y != nil {
			if y.shape == x.shape && y.rank == x.rank {
				s.added = y.name
				return s
			}
		} else if l.isChannels(other, x.shape.c) {
			s.shift = other
			return s
		}
	}
	return nil
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

// integers returns the numbers of a constant of integers.
func (l *lowering) integers(input string) ([]int64, bool) {
	node := l.node[nameOf(input)]
	if node == nil || node.Op != "Const" {
		return nil, false
	}
	t := node.Attr["value"].GetTensor()
	n := int64(1)
	for _, dim := range t.GetTensorShape().GetDim() {
		n *= dim.Size
	}
	var numbers []int64
	for _, i := range t.GetIntVal() {
		numbers = append(numbers, int64(i))
	}
	numbers = append(numbers, t.GetInt64Val()...)
	content := t.GetTensorContent()
	switch t.GetDtype() {
	case typespb.DataType_DT_INT32:
		for ; len(content) >= 4; content = content[4:] {
			numbers = append(numbers, int64(int32(binary.LittleEndian.Uint32(content))))
		}
	case typespb.DataType_DT_INT64:
		for ; len(content) >= 8; content = content[8:] {
			numbers = append(numbers, int64(binary.LittleEndian.Uint64(content)))
		}
	default:
		return nil, false
	}
	// The last number stands for those that are left out.
	for len(numbers) > 0 && int64(len(numbers)) < min(n, 16) {
		numbers = append(numbers, numbers[len(numbers)-1])
	}
	return numbers, int64(len(numbers)) == n
}

// scalar returns a constant of one number of float32.
func (l *lowering) scalar(input string) (float32, bool) {
	node := l.node[nameOf(input)]
	if node == nil || node.Op != "Const" {
		return 0, false
	}
	t := node.Attr["value"].GetTensor()
	if t.GetDtype() != typespb.DataType_DT_FLOAT || len(t.GetTensorShape().GetDim()) != 0 {
		return 0, false
	}
	if len(t.GetFloatVal()) == 1 {
		return t.FloatVal[0], true
	}
	if len(t.GetTensorContent()) == 4 {
		return math.Float32frombits(binary.LittleEndian.Uint32(t.TensorContent)), true
	}
	return 0, false
}

// isChannels says whether an input is a constant of one number a channel.
func (l *lowering) isChannels(input string, channels int64) bool {
	node := l.node[nameOf(input)]
	if node == nil || node.Op != "Const" {
		return false
	}
	t := node.Attr["value"].GetTensor()
	sizes := sizesOf(t.GetTensorShape())
	if t.GetDtype() != typespb.DataType_DT_FLOAT || len(sizes) != 1 && len(sizes) != 4 {
		return false
	}
	for _, size := range sizes[:len(sizes)-1] {
		if size != 1 {
			return false
		}
	}
	return sizes[len(sizes)-1] == channels
}

// simplify leaves out steps that nothing reads, and has steps do what those behind them would. It
// returns whether all that are left can be computed.
func (l *lowering) simplify() bool {
	for again := true; again; {
		again = false
		read := map[string][]*step{}
		for _, s := range l.steps {
			for _, name := range s.values() {
				read[name] = append(read[name], s)
			}
		}
		for _, s := range l.steps {
			if len(read[s.name]) == 0 && !l.leaving[s.name] {
				l.remove(s)
				again = true
				break
			}
			if s.kind != stepScale || len(s.images) != 1 {
				continue
			}
			from := l.step[s.images[0]]
			if from == nil || len(read[from.name]) != 1 || l.leaving[from.name] ||
				from.region != s.region || !join(from, s) {
				continue
			}
			// The first takes the name of the second.
			l.remove(s)
			delete(l.step, from.name)
			delete(l.alias, s.name)
			l.alias[from.name] = s.name
			from.name = s.name
			l.step[s.name] = from
			again = true
			break
		}
	}
	return !slices.ContainsFunc(l.steps, func(s *step) bool {
		return s.kind == stepScale && (s.rank != 4 || s.shape.c%8 != 0)
	})
}

func (l *lowering) remove(s *step) {
	l.steps = slices.DeleteFunc(l.steps, func(other *step) bool { return other == s })
	delete(l.step, s.name)
	l.alias[s.name] = s.images[0] // TensorFlow does not compute it either
}

// join has a step do what another does with its value, if it can.
func join(first, second *step) bool {
	alone := second.scale+second.shift+second.added == ""
	switch {
	case alone && first.act == actLinear && (first.kind <= stepDense || first.kind == stepScale):
		first.act = second.act
	case first.kind == stepScale && first.act == actLinear && first.shift+first.added == "" &&
		second.scale == "" && second.added == "" && second.shift != "":
		first.shift, first.act = second.shift, second.act
	case first.plain() && second.added == "" && (second.scale == "" || second.constantScale):
		first.scale, first.constantScale = second.scale, second.constantScale
		first.shift, first.act = second.shift, second.act
	default:
		return false
	}
	return true
}
