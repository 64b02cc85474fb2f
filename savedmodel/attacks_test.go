package savedmodel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"
)

// number returns a field whose value is a varint.
func number(field protowire.Number, value int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType),
		uint64(value))
}

// named returns an entry of a map.
func named(key string, value []byte) []byte {
	return slices.Concat(message(1, []byte(key)), message(2, value))
}

// attribute returns an attribute as a field of a node.
func attribute(key string, value ...[]byte) []byte {
	return message(5, named(key, slices.Concat(value...)))
}

// inputs returns a node's inputs.
func inputs(names ...string) (fields []byte) {
	for _, name := range names {
		fields = append(fields, message(3, []byte(name))...)
	}
	return fields
}

// dims returns the dimensions of a shape.
func dims(sizes ...int64) (shape []byte) {
	for _, size := range sizes {
		shape = append(shape, message(2, number(1, size))...)
	}
	return shape
}

// calls returns the attribute by which a node calls a function.
func callOf(name string) []byte { return attribute("f", message(10, message(1, []byte(name)))) }

// functionOf returns a function as a field of a library. Its signature's fields follow its name.
func functionOf(name string, signature []byte, fields ...[]byte) []byte {
	return message(1, append(message(1, append(message(1, []byte(name)), signature...)),
		slices.Concat(fields...)...))
}

// inBody returns a node as a field of a function.
func inBody(name, op string, fields ...[]byte) []byte {
	return message(3, slices.Concat(message(1, []byte(name)), message(2, []byte(op)),
		slices.Concat(fields...)))
}

func library(functions ...[]byte) []byte { return message(2, slices.Concat(functions...)) }

var signatureOfY = message(5, named("serving_default",
	message(2, named("y", message(1, []byte("y:0"))))))

// graphOf returns a SavedModel of a graph with a signature that fetches the node y.
func graphOf(fields ...[]byte) []byte {
	return message(2, append(signatureOfY, message(2, slices.Concat(fields...))...))
}

// restoring returns a SavedModel whose saver gives its file's name to the tensor filename and runs
// the node restore.
func restoring(filename string, fields ...[]byte) []byte {
	saver := message(3, slices.Concat(message(1, []byte(filename)), message(3, []byte("restore"))))
	return message(2, slices.Concat(signatureOfY, saver,
		message(2, slices.Concat(nodeOf("y", "NoOp"), slices.Concat(fields...)))))
}

// constantOf returns the attribute value of a constant.
func constantOf(dtype int64, fields ...[]byte) []byte {
	return attribute("value", message(8, append(number(1, dtype), slices.Concat(fields...)...)))
}

// TestAttacks holds ways around the scan that it once had: each of them either aborts TensorFlow
// 2.21 (circles of calls, shapes, dilations), makes it run what the scan took for something else,
// or answers with memory that was never written.
func TestAttacks(t *testing.T) {
	args := func(names ...string) (fields []byte) {
		for _, name := range names {
			fields = append(fields, message(2, message(1, []byte(name)))...)
		}
		return fields
	}
	read := inBody("read", "RestoreV2", inputs("a", "n", "s"))
	reads := "RestoreV2 reads another file than the model's variables"
	bomb := []byte{}
	for i := range 30 {
		callee := fmt.Sprint("f", i+1)
		bomb = append(bomb, functionOf(fmt.Sprint("f", i), nil, inBody("p", callee),
			inBody("q", callee))...)
	}
	bomb = append(bomb, functionOf("f30", nil, inBody("r", "NoOp"))...)
	for _, test := range []struct {
		name  string
		check Check // "" where reading the graph fails
		want  string
		graph []byte
	}{
		{"a circle of calls", CheckCalls, "calls itself",
			graphOf(nodeOf("y", "PartitionedCall", callOf("g")), library(
				functionOf("g", nil, inBody("n", "PartitionedCall", callOf("h"))),
				functionOf("h", nil, inBody("n", "PartitionedCall", callOf("g")))))},
		{"calls without end", CheckCalls, "at most 10000000 nodes",
			graphOf(nodeOf("y", "f0"), library(bomb))},
		{"a function by default", CheckOps, "ReadFile reads files; run by a signature",
			graphOf(nodeOf("y", "wrapper"), library(
				functionOf("wrapper",
					message(4, slices.Concat(message(1, []byte("F")),
						message(3, message(10, message(1, []byte("evil")))))),
					inBody("n", "PartitionedCall", attribute("f", message(9, []byte("F"))))),
				functionOf("evil", nil, inBody("n", "ReadFile"))))},
		{"a constant by default", CheckConstants, "float32 of shape (1048576, 1048576)",
			graphOf(nodeOf("y", "wrapper"), library(
				functionOf("wrapper", message(4, slices.Concat(message(1, []byte("V")),
					message(3, message(8,
						slices.Concat(number(1, 1), message(2, dims(1<<20, 1<<20))))))))))},
		{"a function called as an operation", CheckOps, "WriteFile writes files",
			graphOf(nodeOf("y", "WriteFile"), library(functionOf("WriteFile", nil)))},
		{"two values merged to one", "", "an attribute has two values",
			graphOf(nodeOf("y", "Const", attribute("value",
				message(8, slices.Concat(number(1, 1), message(2, dims(1<<20)))), message(8,
					message(2, dims(1<<20))))))},
		{"a key that changes", "", "a collection has two keys",
			message(2, message(4, slices.Concat(message(1, []byte("x")),
				message(2, nil), message(1, []byte("saved_model_assets")))))},
		{"a shape that overflows", CheckAttributes, "more elements than can be addressed",
			graphOf(nodeOf("y", "ParallelConcat",
				attribute("shape", message(7, dims(1<<40, 1<<40)))))},
		{"a shape that overflows beside an unknown size", CheckAttributes,
			"more elements than can be addressed",
			graphOf(nodeOf("y", "Placeholder",
				attribute("shape", message(7, dims(-1, 1<<40, 1<<40)))))},
		{"a shape in a list", CheckAttributes, "dimension 0 is negative",
			graphOf(nodeOf("y", "NoOp",
				attribute("_output_shapes", message(1, message(7, dims(-2))))))},
		{"255 dimensions", CheckAttributes, "255 dimensions",
			graphOf(nodeOf("y", "ParallelConcat",
				attribute("shape", message(7, dims(slices.Repeat([]int64{1}, 255)...)))))},
		{"a dilation of 64 bits", CheckAttributes,
			"expected numbers of 32 bits in a list, got 1099511627776",
			graphOf(nodeOf("y", "DepthwiseConv2dNative", attribute("dilations",
				message(1, slices.Concat(number(3, 1), number(3, 1<<40))))))},
		{"a terabyte of strings", CheckConstants, "more with string of shape (1099511627776,)",
			graphOf(nodeOf("y", "Const", constantOf(7, message(2, dims(1<<40)),
				message(4, []byte{0}))))},
		{"a terabyte of quantised numbers", CheckConstants, "of shape (1099511627776,)",
			graphOf(nodeOf("y", "Const", constantOf(13, message(2, dims(1<<40)),
				message(4, []byte{0}))))},
		{"memory never written", CheckOps, "Empty is not on the list",
			graphOf(nodeOf("y", "Empty"))},
		{"memory never written, of a branch", CheckOps, "FakeParam is not on the list",
			graphOf(nodeOf("y", "FakeParam"))},
		{"an answer that counts", CheckOps, "AssignVariableOp changes a variable",
			graphOf(nodeOf("y", "NoOp", inputs("^a")), nodeOf("a", "AssignVariableOp"))},
		{"another output of the file name's node", CheckOps, reads,
			restoring("names:0", nodeOf("names", "Unpack"),
				nodeOf("restore", "RestoreV2", inputs("names:1", "n", "s")))},
		{"an argument behind a condition", CheckOps, reads,
			restoring("name:0", nodeOf("name", "Placeholder"), nodeOf("elsewhere", "Const"),
				nodeOf("restore", "If", inputs("elsewhere", "name", "elsewhere"),
					callOf("g")), library(functionOf("g", args("b", "a"), read)))},
		{"an argument behind a list", CheckOps, reads,
			restoring("name:0", nodeOf("name", "Placeholder"), nodeOf("elsewhere", "Const"),
				nodeOf("restore", "g", inputs("elsewhere", "name")),
				library(functionOf("g", slices.Concat(
					message(2, slices.Concat(message(1, []byte("list")), message(6, []byte("T")))),
					args("a")), read)))},
		{"a restoring function by default", CheckOps, reads,
			restoring("name:0", nodeOf("name", "Placeholder"), nodeOf("elsewhere", "Const"),
				nodeOf("restore", "g", inputs("name")), library(
					functionOf("g", slices.Concat(args("a"),
						message(4, message(3, message(10, message(1, []byte("h"))))))),
					functionOf("h", args("a"), read)))},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: test.graph}})
			if test.check == "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if findings := scanned(t, m); !slices.ContainsFunc(findings, func(f Finding) bool {
				return f.Severity == Error && f.Check == test.check &&
					strings.Contains(f.Message, test.want)
			}) {
				t.Errorf("got %+v, want %s: %q", findings, test.check, test.want)
			}
			if err := Join(scanned(t, m, Skip(test.check))); err != nil {
				t.Errorf("got %v, want nothing else to be wrong", err)
			}
		})
	}
}

// TestAttacksLookalikes holds that what is like an attack, and is none, passes.
func TestAttacksLookalikes(t *testing.T) {
	for name, graph := range map[string][]byte{
		"a complex number": graphOf(nodeOf("y", "Const",
			constantOf(8, message(9, make([]byte, 8))))),
		"a key of 64 bits": graphOf(nodeOf("y", "StringToHashBucketStrong",
			attribute("hash_key", message(1, number(3, 1<<40))))),
		"one function called twice": graphOf(nodeOf("y", "g", inputs("z")), nodeOf("z", "g"),
			library(
				functionOf("g", nil, inBody("a", "h"), inBody("b", "h")), functionOf("h", nil,
					inBody("a", "NoOp")))),
		"the file's name through a call": restoring("name:0", nodeOf("name", "Placeholder"),
			nodeOf("more", "Const"),
			nodeOf("restore", "StatefulPartitionedCall", inputs("name", "more"), callOf("g")),
			library(functionOf("g",
				slices.Concat(message(2, message(1, []byte("a"))),
					message(2, message(1, []byte("b")))),
				inBody("i", "Identity", inputs("a")), inBody("read", "RestoreV2",
					inputs("i:output:0", "n", "s"))))),
	} {
		m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: graph}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := Join(scanned(t, m)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamesThatDriveTerminals holds that a finding is one line, whatever an operation is called.
func TestNamesThatDriveTerminals(t *testing.T) {
	m, err := Read(t.Context(), fstest.MapFS{
		GraphPath: {Data: graphOf(nodeOf("y", "X\nmodel: 0 errors\x1b[2J"))}})
	if err != nil {
		t.Fatal(err)
	}
	if err := Join(scanned(t, m)); err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("got %q, want one line", err)
	}
}
