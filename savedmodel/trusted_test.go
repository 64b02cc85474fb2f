package savedmodel

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
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
	kernel      = nodeOf("k", "Const", constantOf(1, number(5, 0)))
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
	data := nodeOf("d", "Const", constantOf(1, number(5, 0)))
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
		"behind a pool": {"", unknownRank, [][]byte{conv("p"), nodeOf("p", "MaxPool", inputs("x"))}},
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
		"a length of what is sent": {"", images, [][]byte{nodeOf("y", "RFFT", inputs("x", "n")),
			nodeOf("n", "StridedSlice", inputs("s", "d", "d", "d")), data,
			nodeOf("s", "Shape", inputs("x"))}},
		"a length of the model's": {"", images,
			[][]byte{nodeOf("y", "RFFT", inputs("x", "n")), nodeOf("n", "Const", numbersOf(8))}},
	} {
		m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: taking(test.shape, x, kernel,
			slices.Concat(test.nodes...))}})
		if err != nil {
			t.Fatal(err)
		}
		err = Join(scanned(t, m))
		if (err == nil) != (test.want == "") ||
			err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err := Join(scanned(t, m, AllowOps("Conv2D", "RFFT"))); err != nil {
			t.Errorf("%s: got %v, want it taken", name, err)
		}
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
		"partitions": {"expected num_partitions of at most 65536",
			nodeOf("y", "DynamicPartition", attribute("num_partitions", number(3, 1<<31-1)))},
		"digits": {"expected width of at most 1024",
			nodeOf("y", "AsString", attribute("width", number(3, 1025)))},
		"no width": {"", nodeOf("y", "AsString", attribute("width", number(3, -1)))},
	} {
		m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: graphOf(test.node)}})
		if err != nil {
			t.Fatal(err)
		}
		err = Join(scanned(t, m))
		if (err == nil) != (test.want == "") ||
			err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
