package savedmodel

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"
)

// content returns numbers as a constant's bytes.
func content[T int32 | int64](numbers ...T) (data []byte) {
	for _, n := range numbers {
		data, _ = binary.Append(data, binary.LittleEndian, n)
	}
	return message(4, data)
}

// TestPaddings holds that paddings of a convolution, its own and a Pad's, are bounded, however they
// are written, and that others are not.
func TestPaddings(t *testing.T) {
	const int32s, int64s = 3, 9
	shape := message(2, dims(2, 2))
	explicit := func(size int64) []byte {
		return nodeOf("y", "Conv2D", attribute("explicit_paddings",
			message(1, slices.Concat(number(3, 0), number(3, 0), number(3, size), number(3, 0)))))
	}
	pad := func(op, conv string, dtype int64, fields ...[]byte) []byte {
		return slices.Concat(nodeOf("y", conv, inputs("same")),
			nodeOf("same", "Identity", inputs("pad")), nodeOf("pad", op, inputs("x", "again")),
			nodeOf("again", "Identity", inputs("sizes:0")),
			nodeOf("sizes", "Const", constantOf(dtype, append(fields, shape)...)))
	}
	sides := func(sizes ...int64) (list []byte) {
		for _, size := range sizes {
			list = append(list, number(3, size)...)
		}
		return nodeOf("y", "Conv2D", attribute("explicit_paddings", message(1, list)))
	}
	const many = "paddings of a convolution that make at most 1048576 elements of one, got ["
	wants := func(size int) string {
		return fmt.Sprintf("expected paddings of a convolution of at most 4096, got %d", size)
	}
	for _, test := range []struct {
		name, want string
		nodes      []byte
	}{
		{"explicit", wants(30000), explicit(30000)},
		{"explicit and negative", wants(30000), explicit(-30000)},
		{"explicit and just right", "", explicit(4096)},
		{"of 32 bits", wants(4097), pad("Pad", "Conv2D", int32s, content[int32](0, 0, 4097, 3))},
		{"of 64 bits", wants(40000),
			pad("PadV2", "Conv3D", int64s, content[int64](40000, 0, 1, 3))},
		{"in a field", wants(40000), pad("Pad", "DepthwiseConv2dNative", int32s, number(7, 40000))},
		{"in a long field", wants(1 << 40), pad("MirrorPad", "Conv2D", int64s, number(10, 1<<40))},
		{"just right", "", pad("Pad", "Conv2D", int32s, content[int32](0, 0, 4096, 3))},
		{"of one side alone", "", sides(0, 0, 4096, 4096, 0, 0, 0, 0)},
		{"of two", many + "0 0 600 600 600 600 0 0]", sides(0, 0, 600, 600, 600, 600, 0, 0)},
		{"of two, negative", many + "0 0 -600 600 600 -600]", sides(0, 0, -600, 600, 600, -600)},
		{"a Pad of two", many + "600 600 600 600]",
			pad("Pad", "Conv2D", int32s, content[int32](600, 600, 600, 600))},
		{"one number for all", many + "600 600 600 600]",
			pad("Pad", "Conv2D", int32s, number(7, 600))},
		{"of no convolution", "", pad("Pad", "Relu", int32s, content[int32](0, 0, 16000, 3))},
	} {
		graph := graphOf(test.nodes, nodeOf("x", "Placeholder"))
		for _, graph := range [][]byte{graph,
			graphOf(nodeOf("y", "f"), library(functionOf("f", nil, inFunction(test.nodes))))} {
			m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: graph}})
			if err != nil {
				t.Fatal(err)
			}
			findings := scanned(t, m)
			refused := slices.ContainsFunc(findings, func(f Finding) bool {
				return f.Check == CheckAttributes && f.Severity == Error &&
					strings.Contains(f.Message, test.want)
			})
			if passes := Join(findings) == nil; passes != (test.want == "") || !passes && !refused {
				t.Errorf("%s: got %v, want %q", test.name, findings, test.want)
			}
		}
	}
}

// TestTransforms holds that a constant length of 0 is refused, which ends the process, and that one
// is not.
func TestTransforms(t *testing.T) {
	rfft := func(fields ...[]byte) []byte {
		return slices.Concat(nodeOf("y", "RFFT", inputs("x", "n")), nodeOf("x", "Placeholder"),
			nodeOf("n", "Const", constantOf(3, append(fields, message(2, dims(1)))...)))
	}
	packed := func(length int64) []byte {
		return slices.Concat(nodeOf("y", "IRFFT2D", inputs("x", "n")), nodeOf("x", "Placeholder"),
			nodeOf("n", "Pack", inputs("a", "b")), nodeOf("a", "Const", constantOf(3, number(7, 4))),
			nodeOf("b", "Const", constantOf(3, number(7, length))))
	}
	for name, test := range map[string]struct {
		refused bool
		nodes   []byte
	}{
		"a field of 0":     {true, rfft(number(7, 0))},
		"no field":         {true, rfft()},
		"content of 0":     {true, rfft(content[int32](0))},
		"0 among others":   {true, packed(0)},
		"one":              {false, rfft(number(7, 1))},
		"content of 512":   {false, rfft(content[int32](512))},
		"packed, not zero": {false, packed(6)},
	} {
		m, err := Read(t.Context(), fstest.MapFS{GraphPath: {Data: graphOf(test.nodes)}})
		if err != nil {
			t.Fatal(err)
		}
		err = Join(scanned(t, m))
		if refused := err != nil && strings.Contains(err.Error(), "of at least 1, got 0"); refused !=
			test.refused || !refused && err != nil {
			t.Errorf("%s: got %v, want refused: %v", name, err, test.refused)
		}
	}
}

// inFunction returns nodes of a graph as those of a function: they are another field there.
func inFunction(nodes []byte) (body []byte) {
	for rest := nodes; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		value, _ := protowire.ConsumeBytes(rest[1:])
		body = append(body, message(3, value)...)
		rest = rest[n:]
	}
	return body
}

// TestTrusting holds that an operation that trusts shapes is refused where it may run, with what
// lets it pass.
func TestTrusting(t *testing.T) {
	for op := range trusting {
		files := fstest.MapFS{GraphPath: {Data: graphOf(nodeOf("y", op))}}
		m, err := Read(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		want := "--allow-op " + op
		if err := Join(scanned(t, m)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", op, err, want)
		}
		if err := Join(scanned(t, m, AllowOps(op))); err != nil {
			t.Errorf("%s: got %v, want it taken", op, err)
		}
	}
}
