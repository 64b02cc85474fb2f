package savedmodel

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"
)

// taking returns a SavedModel of a graph whose signature fetches y and takes x, of the shape.
func taking(shape []byte, fields ...[]byte) []byte {
	info := slices.Concat(message(1, []byte("x:0")), number(2, 1), message(3, shape))
	signature := message(5, named("serving_default", slices.Concat(message(1, named("x", info)),
		message(2, named("y", message(1, []byte("y:0")))))))
	return message(2, append(signature, message(2, slices.Concat(fields...))...))
}

var (
	unknownRank = number(3, 1)
	images      = dims(-1, -1, -1, 3)
	list        = dims(-1)
	x           = nodeOf("x", "Placeholder")
	kernel      = nodeOf("k", "Const", constantOf(1, float(5, 0)))
)

func conv(input string) []byte { return nodeOf("y", "Conv2D", inputs(input, "k")) }

// TestTrustedInputs holds that a client never says what an operation trusts, whatever the way from
// the signature's input, and that what the model says passes.
func TestTrustedInputs(t *testing.T) {
	numbersOf := func(ints ...int64) (fields []byte) {
		for _, n := range ints {
			fields = append(fields, number(7, n)...)
		}
		return constantOf(3, append(fields, message(2, dims(int64(len(ints))))...))
	}
	body := func(node []byte) []byte {
		return library(functionOf("f", message(2, message(1, []byte("a"))), node,
			message(4, named("out", []byte("n:0")))))
	}
	// A loop of the kernel and x, whose body convolves the first and returns both in some order.
	loop := func(first, second string) [][]byte {
		signature := slices.Concat(message(2, message(1, []byte("a"))),
			message(2, message(1, []byte("b"))), message(3, message(1, []byte("o"))),
			message(3, message(1, []byte("p"))))
		return [][]byte{nodeOf("y", "While", inputs("k", "x"),
			attribute("body", message(10, message(1, []byte("f"))))),
			library(functionOf("f", signature, inBody("n", "Conv2D", inputs("a", "a")),
				message(4, named("o", []byte(first))), message(4, named("p", []byte(second)))))}
	}
	axes := attribute("squeeze_dims", message(1, number(3, 1)))
	reshaped := nodeOf("r", "Reshape", inputs("d", "x"))
	data := nodeOf("d", "Const", constantOf(1, float(5, 0)))
	for name, test := range map[string]struct {
		want  string // "" where it passes
		shape []byte
		nodes [][]byte
	}{
		"images":       {"", images, [][]byte{conv("x")}},
		"unknown rank": {"a number of dimensions of its input 0", unknownRank, [][]byte{conv("x")}},
		"its kernel": {"a number of dimensions of its input 1", unknownRank,
			[][]byte{nodeOf("y", "Conv2D", inputs("k", "x"))}},
		"through others": {`through the signature's input "x"`, unknownRank,
			[][]byte{conv("a"), nodeOf("a", "AddV2", inputs("k", "p:0")),
				nodeOf("p", "Pad", inputs("x", "k"))}},
		"behind another convolution": {"", images,
			[][]byte{conv("c"), nodeOf("c", "Conv2D", inputs("x", "k"))}},
		"behind a pool": {"", unknownRank, [][]byte{conv("p"), nodeOf("p", "MaxPool", inputs("x"),
			attribute("padding", message(2, []byte("SAME"))))}},
		"into a function": {`function "f": node "n": Conv2D may end the process`, unknownRank,
			[][]byte{nodeOf("y", "PartitionedCall", inputs("x"), callOf("f")),
				body(inBody("n", "Conv2D", inputs("a", "a")))}},
		"images into a function": {"", images,
			[][]byte{nodeOf("y", "PartitionedCall", inputs("x"), callOf("f")),
				body(inBody("n", "Conv2D", inputs("a", "a")))}},
		"out of a function": {`through the signature's input "x"`, images,
			[][]byte{conv("c:0"), nodeOf("c", "PartitionedCall", inputs("x"), callOf("f")),
				body(inBody("n", "Squeeze", inputs("a")))}},
		"into a loop": {`through the signature's input "x"`, unknownRank,
			[][]byte{nodeOf("y", "While", inputs("k", "x"),
				attribute("body", message(10, message(1, []byte("f"))))),
				body(inBody("n", "Conv2D", inputs("a", "a")))}},
		"beside it in a loop": {"", unknownRank, loop("a", "b")},
		"round a loop":        {`through the signature's input "x"`, unknownRank, loop("b", "a")},
		"a Squeeze of axes": {"", images,
			[][]byte{conv("s"), nodeOf("s", "Squeeze", inputs("x"), axes)}},
		"a Squeeze of what is sent": {`through the signature's input "x"`, images,
			[][]byte{conv("s"), nodeOf("s", "Squeeze", inputs("x"))}},
		"a Squeeze of the model's": {"", images, [][]byte{conv("a"), data,
			nodeOf("a", "BiasAdd", inputs("x", "s")), nodeOf("s", "Squeeze", inputs("r")),
			nodeOf("r", "Reshape", inputs("d", "n")), nodeOf("n", "Const", numbersOf(1, 1, 1, 3))}},
		"a Reshape to a list of the client's": {`through the signature's input "x"`, list,
			[][]byte{conv("r"), reshaped, data}},
		"a Reshape to four of the client's": {"", dims(4), [][]byte{conv("r"), reshaped, data}},
		"a Reshape to sizes of the client's": {"", images, [][]byte{conv("r"), data,
			nodeOf("r", "Reshape", inputs("x", "p")), nodeOf("p", "Pack", inputs("n", "n")),
			nodeOf("n", "StridedSlice", inputs("s", "d", "d", "d")),
			nodeOf("s", "Shape", inputs("x"))}},
		"a length of the client's": {"expected numbers of its input 1", list,
			[][]byte{nodeOf("y", "RFFT", inputs("k", "c")), nodeOf("c", "Cast", inputs("x"))}},
		"an index of a list that grows": {"expected numbers of its input 1", list, [][]byte{
			nodeOf("y", "TensorListSetItem", inputs("k", "x"), attribute(growsAttr, number(5, 1)))}},
		"an index of another list": {"", list, [][]byte{
			nodeOf("y", "TensorListSetItem", inputs("k", "x"), attribute(growsAttr, number(5, 0)))}},
		"a size of the client's": {"expected numbers of its input 2", list, [][]byte{
			nodeOf("y", "Slice", inputs("k", "k", "x"), attribute("Index", number(6, 9)))}},
		"a size of 32 bits": {"", list, [][]byte{
			nodeOf("y", "Slice", inputs("k", "k", "x"), attribute("Index", number(6, 3)))}},
		"a length of what is sent": {"", images, [][]byte{nodeOf("y", "RFFT", inputs("x", "n")),
			nodeOf("n", "StridedSlice", inputs("s", "d", "d", "d")), data,
			nodeOf("s", "Shape", inputs("x"))}},
		"a length of the model's": {"", images,
			[][]byte{nodeOf("y", "RFFT", inputs("x", "n")), nodeOf("n", "Const", numbersOf(8))}},
	} {
		model := ofGraph(taking(test.shape, x, kernel, slices.Concat(test.nodes...)))
		wantScan(t, name, test.want, model)
		wantScan(t, name+", allowed", "", model, AllowOps("Conv2D", "RFFT", "Slice",
			"TensorListSetItem"))
	}
}

// TestEveryTrustedInput holds that each input of each operation of the table is looked at, with
// what lets it pass.
func TestEveryTrustedInput(t *testing.T) {
	for op, trusted := range trustedInputs {
		if !allowedOps[op] {
			t.Errorf("%s: want it on the allow-list, where alone it is looked at", op)
		}
		for _, input := range trusted {
			names := slices.Repeat([]string{"k"}, input.input+1)
			names[input.input] = "x"
			m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: taking(unknownRank, x,
				kernel, nodeOf("y", op, inputs(names...), attribute(partitionTypes,
					message(1, message(2, []byte(firstSize))))))}})
			if err != nil {
				t.Fatal(err)
			}
			want := "--allow-op " + op
			if err := Join(scanned(t, m)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, input %d: got %v, want %q", op, input.input, err, want)
			}
		}
	}
}

// float returns a field that is a number of 32 bits.
func float(field protowire.Number, value float32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, field, protowire.Fixed32Type),
		math.Float32bits(value))
}

// ints returns an attribute that is a list of numbers.
func ints(key string, numbers ...int64) []byte {
	var list []byte
	for _, n := range numbers {
		list = append(list, number(3, n)...)
	}
	return attribute(key, message(1, list))
}

// TestPools holds that a pool that divides by zero is refused where a client says the sizes, with
// what lets it pass, and that others pass.
func TestPools(t *testing.T) {
	const refused = "MaxPool may end the process: expected sizes of its input 0 that the model " +
		"itself"
	pool := func(input string, window, step int64, padding string) []byte {
		return nodeOf("y", "MaxPool", inputs(input), ints("ksize", 1, window, window, 1),
			ints("strides", 1, step, step, 1), attribute("padding", message(2, []byte(padding))))
	}
	padded := func(sides ...int32) [][]byte {
		return [][]byte{nodeOf("p", "Pad", inputs("x", "s")), nodeOf("s", "Const",
			constantOf(3, append(content(sides...), message(2, dims(4, 2))...)))}
	}
	square := nodeOf("s", "Const",
		constantOf(3, append(content[int32](8, 8), message(2, dims(2))...)))
	relu := nodeOf("r", "Relu", inputs("x"))
	shape := nodeOf("s", "StridedSlice", inputs("n", "k", "k", "k"))
	for name, test := range map[string]struct {
		want  string // "" where it passes
		shape []byte
		nodes [][]byte
	}{
		"3 by 2":           {refused, images, [][]byte{pool("r", 3, 2, "VALID"), relu}},
		"2 by 2":           {"", images, [][]byte{pool("r", 2, 2, "VALID"), relu}},
		"padded by itself": {"", images, [][]byte{pool("r", 3, 2, "SAME"), relu}},
		"its caller's padding": {refused, images, [][]byte{nodeOf("y", "MaxPool", inputs("x"),
			ints("ksize", 1, 3, 3, 1), ints("strides", 1, 2, 2, 1),
			attribute("padding", message(9, []byte("p"))))}},
		"fixed sizes":  {"", dims(-1, 8, 8, 3), [][]byte{pool("r", 3, 2, "VALID"), relu}},
		"a free width": {refused, dims(1, 8, -1, 3), [][]byte{pool("r", 3, 2, "VALID"), relu}},
		"padded by 2 before it": {"", images,
			append(padded(0, 0, 1, 1, 1, 1, 0, 0), pool("p", 3, 2, "VALID"))},
		"padded by 1 before it": {refused, images,
			append(padded(0, 0, 1, 0, 1, 1, 0, 0), pool("p", 3, 2, "VALID"))},
		"padded in other dimensions": {refused, images,
			append(padded(2, 2, 0, 0, 0, 0, 2, 2), pool("p", 3, 2, "VALID"))},
		"resized by the model": {"", images, [][]byte{pool("r", 3, 2, "VALID"), square,
			nodeOf("r", "ResizeBilinear", inputs("x", "s"))}},
		"resized by what is sent": {refused, images, [][]byte{pool("r", 3, 2, "VALID"), shape,
			nodeOf("n", "Shape", inputs("x")), nodeOf("r", "ResizeBilinear", inputs("k", "s"))}},
		"a shape of what is sent": {refused, images, [][]byte{pool("r", 3, 2, "VALID"), shape,
			nodeOf("n", "Shape", inputs("x")), nodeOf("r", "Reshape", inputs("k", "s"))}},
		"a shape of numbers that are sent": {refused, dims(4), [][]byte{pool("r", 3, 2, "VALID"),
			nodeOf("r", "Reshape", inputs("k", "x"))}},
		"a batch of what is sent": {"", dims(-1, 8), [][]byte{pool("r", 3, 2, "VALID"), shape,
			nodeOf("n", "Shape", inputs("x")), nodeOf("r", "Reshape", inputs("k", "s"))}},
	} {
		model := ofGraph(taking(test.shape, x, kernel, slices.Concat(test.nodes...)))
		wantScan(t, name, test.want, model)
		wantScan(t, name+", allowed", "", model, AllowOps("MaxPool"))
	}
}

// TestSkips holds that a convolution that leaves out pixels is refused, wherever its kernel is, and
// what lets it pass.
func TestSkips(t *testing.T) {
	const refused = "Conv2D may end the process: expected strides of at most the window's size"
	conv := func(h, w, step int64, fields ...[]byte) [][]byte {
		return [][]byte{nodeOf("y", "Conv2D", append(fields, inputs("x", "v"),
			ints("strides", 1, step, step, 1))...),
			nodeOf("v", "Const",
				constantOf(1, append(float(5, 0), message(2, dims(h, w, 3, 4))...)))}
	}
	same := attribute("padding", message(2, []byte("SAME")))
	nchw := attribute("data_format", message(2, []byte("NCHW")))
	inside := library(functionOf("f", slices.Concat(message(2, message(1, []byte("a"))),
		message(2, message(1, []byte("b")))),
		inBody("n", "Conv2D", inputs("a", "r:value:0"), ints("strides", 1, 2, 2, 1)),
		inBody("r", "ReadVariableOp", inputs("b")), message(4, named("out", []byte("n:0")))))
	variable := func(sizes ...int64) []byte {
		return nodeOf("v", "VarHandleOp", attribute("shape", message(7, dims(sizes...))))
	}
	call := nodeOf("y", "PartitionedCall", inputs("x", "v"), callOf("f"))
	for name, test := range map[string]struct {
		want  string // "" where it passes
		nodes [][]byte
	}{
		"1 x 1 by 2": {"", conv(1, 1, 2, same)},
		"1 x 1 by 2, padded": {refused, conv(1, 1, 2,
			ints("explicit_paddings", 0, 0, 1, 1, 0, 0, 0, 0))},
		"1 x 5 by 5":        {refused, conv(1, 5, 5)},
		"5 x 3 by 5":        {refused, conv(5, 3, 5)},
		"5 x 5 by 5":        {"", conv(5, 5, 5)},
		"3 x 3 by 2":        {"", conv(3, 3, 2, same)},
		"2 x 2 dilated":     {"", conv(2, 2, 3, ints("dilations", 1, 2, 2, 1))},
		"2 x 2 not dilated": {refused, conv(2, 2, 3, ints("dilations", 1, 1, 1, 1))},
		"channels first": {refused, [][]byte{variable(2, 2, 3, 4),
			nodeOf("y", "Conv2D", nchw, inputs("x", "v"), ints("strides", 1, 1, 1, 3))}},
		"a kernel in a function": {refused, [][]byte{call, variable(2, 1, 3, 4), inside}},
		"one called twice": {refused, [][]byte{call, variable(2, 1, 3, 4), inside,
			nodeOf("z", "PartitionedCall", inputs("x", "v"), callOf("f"))}},
		"a large one there": {"", [][]byte{call, variable(2, 2, 3, 4), inside}},
		"padded before it": {refused, [][]byte{conv(1, 1, 2)[1],
			nodeOf("p", "Pad", inputs("x", "v")),
			nodeOf("y", "Conv2D", inputs("p", "v"), ints("strides", 1, 2, 2, 1))}},
	} {
		model := ofGraph(taking(images, x, kernel, slices.Concat(test.nodes...)))
		wantScan(t, name, test.want, model, Skip(CheckVariables))
		wantScan(t, name+", allowed", "", model, Skip(CheckVariables), AllowOps("Conv2D"))
	}
}

// TestRows holds that a RaggedTensorToTensor takes the parts of a split and their places, which
// rise and are as many as the parts, and nothing else.
func TestRows(t *testing.T) {
	const falls = "RaggedTensorToTensor may end the process: expected numbers that rise of its " +
		"input 4 that the model itself says, got one that a client may choose"
	const others = "RaggedTensorToTensor may end the process: expected values and a last " +
		"partition of one StringSplitV2"
	ragged := func(values, rows, second string) []byte {
		return nodeOf("y", "RaggedTensorToTensor", inputs("k", values, "k", "k", rows),
			attribute(partitions, number(3, 2)), attribute(partitionTypes, message(1, slices.Concat(
				message(2, []byte("ROW_SPLITS")), message(2, []byte(second))))))
	}
	constant := func(rows ...int64) []byte {
		return nodeOf("r", "Const", constantOf(9, content(rows...),
			message(2, dims(int64(len(rows))))))
	}
	split := nodeOf("s", "StringSplitV2", inputs("x", "k"))
	another := nodeOf("s2", "StringSplitV2", inputs("x", "k"))
	mask := attribute("shrink_axis_mask", number(3, 2))
	column := func(of string) []byte {
		return nodeOf("c", "StridedSlice", inputs(of, "k", "k", "k"), mask)
	}
	known := nodeOf("v", "LookupTableFindV2", inputs("k", "l", "k"))
	lower := nodeOf("l", "StringLower", inputs("s:1"))
	// As Keras's TextVectorization has them: the words that are not known get another number.
	one := nodeOf("o", "Const", constantOf(3, message(2, dims())))
	choose := func(other string) []byte {
		return slices.Concat(nodeOf("e", "Equal", inputs("v", "o")),
			nodeOf("w", "SelectV2", inputs("e", other, "v")))
	}
	body := func(values string) []byte {
		return library(functionOf("f", slices.Concat(message(2, message(1, []byte("a"))),
			message(2, message(1, []byte("k")))),
			inBody("s", "StringSplitV2", inputs("a", "k")),
			inBody("c", "StridedSlice", inputs("s:indices:0", "k", "k", "k"), mask),
			inBody("y", "RaggedTensorToTensor", inputs("k", values, "k", "c:output:0"),
				attribute(partitionTypes, message(1, message(2, []byte(rowsOfValues)))))))
	}
	call := nodeOf("y", "PartitionedCall", inputs("x", "k"), callOf("f"))
	for name, test := range map[string]struct {
		want  string // "" where it passes
		nodes [][]byte
	}{
		"the client's":        {falls, [][]byte{ragged("s:1", "x", rowsOfValues), split}},
		"the client's splits": {others, [][]byte{ragged("x", "x", "ROW_SPLITS")}},
		"the model's": {others, [][]byte{ragged("x", "r", rowsOfValues),
			constant(0, 1, 1)}},
		"the model's, falling": {"input 4, got a constant that falls",
			[][]byte{ragged("x", "r", rowsOfValues), constant(0, 1, 0)}},
		"of what is split": {"", [][]byte{ragged("s:1", "c", rowsOfValues), column("s"), split}},
		"of what is split, :0": {"", [][]byte{ragged("s:1", "c", rowsOfValues), column("s:0"),
			split}},
		"numbers of what is split": {"", [][]byte{ragged("v", "c", rowsOfValues), column("s"),
			split, known, lower}},
		"one number in place of some": {"", [][]byte{ragged("w", "c", rowsOfValues), column("s"),
			split, known, lower, one, choose("o")}},
		"the client's in place of some": {others, [][]byte{ragged("w", "c", rowsOfValues),
			column("s"), split, known, lower, one, choose("x")}},
		"what leads to itself": {others, [][]byte{ragged("w", "c", rowsOfValues), column("s"),
			split, known, lower, one, choose("w")}},
		"as splits": {others, [][]byte{ragged("s:1", "c", "ROW_SPLITS"), column("s"), split}},
		"values of another split": {others, [][]byte{ragged("s2:1", "c", rowsOfValues),
			column("s"), split, another}},
		"fewer values": {others, [][]byte{ragged("f", "c", rowsOfValues), column("s"), split,
			nodeOf("f", "StridedSlice", inputs("s:1", "k", "k", "k"))}},
		"a column of values": {others, [][]byte{ragged("f", "c", rowsOfValues), column("s"), split,
			nodeOf("f", "StridedSlice", inputs("s:1", "k", "k", "k"), mask)}},
		"the size for values": {others, [][]byte{ragged("s:2", "c", rowsOfValues), column("s"),
			split}},
		"places as they are": {others, [][]byte{ragged("s:1", "s", rowsOfValues), split}},
		"the client's values": {others, [][]byte{ragged("x", "c", rowsOfValues), column("s"),
			split}},
		"the parts themselves": {others, [][]byte{ragged("s:1", "c", rowsOfValues), column("s:1"),
			split}},
		"of what is found": {others, [][]byte{ragged("s:1", "c", rowsOfValues), column("w"), split,
			nodeOf("w", "Where", inputs("x"))}},
		"in a function":                 {"", [][]byte{call, body("s:values:0")}},
		"in a function, other values":   {others, [][]byte{call, body("a")}},
		"in a function, values of size": {others, [][]byte{call, body("s:shape:0")}},
	} {
		wantScan(t, name, test.want, ofGraph(taking(images, x, kernel, slices.Concat(test.nodes...))))
	}
}

// TestTypes holds that a variable is gathered from as what it is, where it is known, also through
// a function.
func TestTypes(t *testing.T) {
	variable := nodeOf("v", "VarHandleOp", attribute("dtype", number(6, 1)))
	gather := func(input string, dtype int64) [][]byte {
		return [][]byte{inputs(input, "x"), attribute("dtype", number(6, dtype))}
	}
	signature := slices.Concat(message(2, message(1, []byte("a"))),
		message(2, message(1, []byte("x"))))
	const refused = `ResourceGather may end the process: expected dtype float32, which the ` +
		`variable "v" has, got int32`
	for name, test := range map[string]struct {
		want  string // "" where it passes
		nodes [][]byte
	}{
		"its own": {"", [][]byte{variable, nodeOf("y", "ResourceGather", gather("v", 1)...)}},
		"another": {refused,
			[][]byte{variable, nodeOf("y", "ResourceGather", gather("v", 3)...)}},
		"another in a function": {refused, [][]byte{variable,
			nodeOf("y", "PartitionedCall", inputs("v", "x"), callOf("f")),
			library(functionOf("f", signature,
				inBody("n", "ResourceGather", gather("a", 3)...)))}},
		"one that is not known": {"", [][]byte{variable, nodeOf("y", "ResourceGather",
			gather("i", 3)...), nodeOf("i", "IdentityN", inputs("v"))}},
	} {
		model := ofGraph(taking(images, x, slices.Concat(test.nodes...)))
		wantScan(t, name, test.want, model, Skip(CheckVariables))
	}
}

// TestTrustedAttributes holds that attributes with which TensorFlow ends the process are refused,
// and others pass.
func TestTrustedAttributes(t *testing.T) {
	for name, test := range map[string]struct {
		want string // "" where it passes
		node []byte
	}{
		"a depthwise convolution that pads": {"expected padding of DepthwiseConv2dNative",
			nodeOf("y", "DepthwiseConv2dNative", attribute("padding", message(2, []byte("EXPLICIT"))))},
		"its caller's padding": {"expected padding of DepthwiseConv2dNative",
			nodeOf("y", "DepthwiseConv2dNative", attribute("padding", message(9, []byte("p"))))},
		"a depthwise convolution": {"",
			nodeOf("y", "DepthwiseConv2dNative", attribute("padding", message(2, []byte("SAME"))))},
		"a format of GPUs": {"expected data_format of \"MaxPool\" of NHWC or NCHW",
			nodeOf("y", "MaxPool", attribute("data_format", message(2, []byte("NCHW_VECT_C"))))},
		"a convolution that pads": {"",
			nodeOf("y", "Conv2D", attribute("padding", message(2, []byte("EXPLICIT"))))},
		"sizes of 64 bits": {"expected Tshape of Conv3DBackpropInputV2 of int32",
			nodeOf("y", "Conv3DBackpropInputV2", attribute("Tshape", number(6, 9)))},
		"sizes of 32 bits": {"",
			nodeOf("y", "Conv3DBackpropInputV2", attribute("Tshape", number(6, 3)))},
		"strides of 64 x 65": {"strides of a transposed convolution that make at most 4096 " +
			"elements of one, got [1 64 65 1]",
			nodeOf("y", "Conv2DBackpropInput", ints("strides", 1, 64, 65, 1))},
		"strides beyond all numbers": {"got [1 2147483647 2147483647 2147483647 1]",
			nodeOf("y", "Conv3DBackpropInputV2", ints("strides", 1, 1<<31-1, 1<<31-1, 1<<31-1, 1))},
		"strides of 32 x 32": {"",
			nodeOf("y", "Conv2DBackpropInput", ints("strides", 1, 32, 32, 1))},
		"strides of a sound": {"",
			nodeOf("y", "Conv2DBackpropInput", ints("strides", 1, 1, 512, 1))},
		"strides of what gets smaller": {"",
			nodeOf("y", "Conv2D", ints("strides", 1, 128, 128, 1))},
		"one dilation of five": {"expected dilations of Conv3DBackpropInputV2 of 5 numbers, got 1",
			nodeOf("y", "Conv3DBackpropInputV2", ints("dilations", 4))},
		"dilations": {"", nodeOf("y", "Conv2D", ints("dilations", 1, 2, 2, 1))},
		"windows beyond all numbers": {"expected ksizes of ExtractImagePatches of at most 1048576",
			nodeOf("y", "ExtractImagePatches", ints("ksizes", 1, 1<<31-1, 8, 1))},
		"windows of 32 x 32": {"",
			nodeOf("y", "ExtractImagePatches", ints("ksizes", 1, 32, 32, 1))},
		"partitions": {"expected num_partitions of at most 65536",
			nodeOf("y", "DynamicPartition", attribute("num_partitions", number(3, 1<<31-1)))},
		"digits": {"expected width of at most 1024",
			nodeOf("y", "AsString", attribute("width", number(3, 1025)))},
		"an axis beyond all dimensions": {"expected input 2 of GatherV2 of at most 254",
			slices.Concat(nodeOf("y", "GatherV2", inputs("a", "a", "a")),
				nodeOf("a", "Const", constantOf(9, content[int64](math.MinInt64))))},
		"a size beyond all tensors": {"expected input 2 of Slice of at most 1.099511627776e+12, got 9",
			slices.Concat(nodeOf("y", "Slice", inputs("a", "a", "a")),
				nodeOf("a", "Const", constantOf(9, content[int64](math.MaxInt64))))},
		"the rest of a tensor": {"", slices.Concat(nodeOf("y", "Slice", inputs("a", "a", "a")),
			nodeOf("a", "Const", constantOf(9, content[int64](-1))))},
		"the last axis": {"", slices.Concat(nodeOf("y", "GatherV2", inputs("a", "a", "a")),
			nodeOf("a", "Const", constantOf(3, number(7, -1))))},
		"a hue beyond all colours": {"expected input 1 of AdjustHue of at most 1, got 1e+10",
			slices.Concat(nodeOf("y", "AdjustHue", inputs("h", "h")),
				nodeOf("h", "Const", constantOf(1, float(5, 1e10))))},
		"no hue": {"expected input 1 of AdjustHue of at most 1, got NaN",
			slices.Concat(nodeOf("y", "AdjustHue", inputs("h", "h")), nodeOf("h", "Const",
				constantOf(1, message(5, binary.LittleEndian.AppendUint32(nil, 0x7fc00000)))))},
		"a hue in bytes": {"expected input 1 of AdjustHue of at most 1, got +Inf",
			slices.Concat(nodeOf("y", "AdjustHue", inputs("h", "h")), nodeOf("h", "Const",
				constantOf(1, message(4, binary.LittleEndian.AppendUint32(nil, 0x7f800000)))))},
		"a hue": {"", slices.Concat(nodeOf("y", "AdjustHue", inputs("h", "h")),
			nodeOf("h", "Const", constantOf(1, float(5, -0.5))))},
		"more kinds of partitions than there are": {
			"expected as many row_partition_types of RaggedTensorToTensor as " +
				"num_row_partition_tensors, 1, got 2", nodeOf("y", "RaggedTensorToTensor",
				attribute(partitions, number(3, 1)), attribute(partitionTypes, message(1,
					slices.Concat(message(2, []byte(firstSize)), message(2, []byte("ROW_SPLITS"))))))},
		"partitions of their kinds": {"", nodeOf("y", "RaggedTensorToTensor",
			attribute(partitions, number(3, 1)), attribute(partitionTypes, message(1,
				message(2, []byte("ROW_SPLITS")))))},
		"nothing, very often": {"expected at most 16777216 elements but for the sizes of 0",
			nodeOf("y", "Const", constantOf(1, message(2, dims(1<<24, 0, 8))))},
		"nothing":  {"", nodeOf("y", "Const", constantOf(1, message(2, dims(0, 224, 224, 3))))},
		"no width": {"", nodeOf("y", "AsString", attribute("width", number(3, -1)))},
	} {
		wantScan(t, name, test.want, ofGraph(graphOf(test.node)))
	}
}
