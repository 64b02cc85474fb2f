package cpuconv

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	tensorpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_go_proto"
	shapepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
)

// nameOf returns the name of an input's operation where that is its first output, else the input.
func nameOf(input string) string { return strings.TrimSuffix(input, ":0") }

func list(n []int64) *attrpb.AttrValue {
	return &attrpb.AttrValue{Value: &attrpb.AttrValue_List{List: &attrpb.AttrValue_ListValue{I: n}}}
}

// fusedOps returns what is fused with an operation behind a bias: whether something is added, and
// the activation. An operation alone has nothing.
func fusedOps(node *nodepb.NodeDef) (add bool, act int64, ok bool) {
	if node.Attr["T"].GetType() != typespb.DataType_DT_FLOAT {
		return false, actLinear, false
	}
	if !strings.Contains(node.Op, "Fused") && len(node.Input) == 2 {
		return false, actLinear, true
	}
	var fused []string
	for _, op := range node.Attr["fused_ops"].GetList().GetS() {
		fused = append(fused, string(op))
	}
	if len(fused) == 0 || fused[0] != "BiasAdd" {
		return false, actLinear, false
	}
	fused = fused[1:]
	if len(fused) > 0 && fused[0] == "Add" {
		add, fused = true, fused[1:]
	}
	if len(fused) == 0 {
		return add, actLinear, true
	}
	act, ok = activations[fused[0]]
	return add, act, ok && len(fused) == 1
}

// activations are those that TensorFlow fuses, by their names.
var activations = map[string]int64{"Relu": actRelu, "Relu6": actRelu6, "Sigmoid": actSigmoid,
	"_MklSwish": actSwish, "_FusedSwish": actSwish}

// fusion returns what is fused with an operation that has a bias: whether something is added, and
// whether relu follows. ok says that there is no more.
func fusion(node *nodepb.NodeDef) (add, relu, ok bool) {
	add, act, ok := fusedOps(node)
	return add, act == actRelu, ok && (act == actLinear || act == actRelu)
}

// paddingOf returns the rows and columns, top, bottom, left and right, around an image of a size,
// nil where that is not known.
func paddingOf(node *nodepb.NodeDef, sizes, window, strides []int64) []int64 {
	if slices.Min(strides) < 1 {
		return nil
	}
	padding := make([]int64, 4)
	switch string(node.Attr["padding"].GetS()) {
	case "VALID":
	case "EXPLICIT":
		explicit := node.Attr["explicit_paddings"].GetList().GetI()
		if len(explicit) != 8 {
			return nil
		}
		copy(padding, explicit[2:6])
	case "SAME":
		for i, size := range sizes {
			if size < 1 {
				return nil
			}
			pad := max(0, ((size+strides[i]-1)/strides[i]-1)*strides[i]+window[i]-size)
			padding[2*i], padding[2*i+1] = pad/2, pad-pad/2
		}
	default:
		return nil
	}
	return padding
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

// constant returns the value of a constant, nil where an input is none.
func (l *lowering) constant(input string) *tensorpb.TensorProto {
	node := l.node[nameOf(input)]
	if node == nil || node.Op != "Const" {
		return nil
	}
	return node.Attr["value"].GetTensor()
}

// integers returns the numbers of a constant of integers.
func (l *lowering) integers(input string) ([]int64, bool) {
	t := l.constant(input)
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

// floats returns the numbers that a constant of float32 has in its file, nil where it has none.
func floats(t *tensorpb.TensorProto) []float32 {
	if t.GetDtype() != typespb.DataType_DT_FLOAT {
		return nil
	}
	numbers := slices.Clone(t.GetFloatVal())
	for content := t.GetTensorContent(); len(content) >= 4; content = content[4:] {
		numbers = append(numbers, math.Float32frombits(binary.LittleEndian.Uint32(content)))
	}
	return numbers
}
