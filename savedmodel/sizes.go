package savedmodel

import (
	"encoding/binary"
	"fmt"
	"slices"

	"kerasrun/tensor"
)

// maxPadding limits what a convolution adds to a side. TensorFlow ends the process, in oneDNN's
// code, at 30,000. No image that is taken has more than some thousands of rows.
const maxPadding = 4096

// maxPaddingBytes is the size up to which a constant's numbers are kept: two 64-bit numbers for
// each dimension that a padded tensor may have, and more.
const maxPaddingBytes = 256

// explicitPaddings is the attribute by which a convolution pads on its own.
const explicitPaddings = "explicit_paddings"

// padded are the operations whose input a Pad before them becomes part of.
var padded = opSet(`Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput Conv2DBackpropInputV2
	Conv3DBackpropInputV2`)

var pads = opSet("Pad PadV2 MirrorPad")

func paddingFault(size uint64) string {
	return fmt.Sprintf("expected paddings of a convolution of at most %d, got %d", maxPadding, size)
}

// magnitude returns the absolute value.
func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// maxTransformed is how many dimensions a transform has at most.
const maxTransformed = 8

// transforms are the operations that end the process at a length of 0, which is their second input.
var transforms = opSet("RFFT RFFT2D RFFT3D RFFTND IRFFT IRFFT2D IRFFT3D IRFFTND")

// checkSizes reports sizes in constants that TensorFlow's native code trusts: the paddings of a Pad
// right before a convolution, whose own are a fault of the attribute, and transforms' lengths.
func (g *MetaGraph) checkSizes(r *report) {
	g.checkSizesOf(r, nil, g.graph.nodes)
	for _, f := range g.graph.functions {
		g.checkSizesOf(r, f, f.nodes)
	}
}

func (g *MetaGraph) checkSizesOf(r *report, f *function, nodes []*node) {
	var names map[string]*node
	for _, n := range nodes {
		if !r.work.step() {
			return
		}
		if fault := n.attrFault(); fault != "" {
			r.errorf(GraphPath, place(f, n), "%s", fault)
		}
		if !padded[n.op] && !transforms[n.op] {
			continue
		}
		if names == nil {
			names = nodeNames(nodes)
		}
		if transforms[n.op] {
			checkLengths(r, f, n, names)
			continue
		}
		for _, input := range n.inputs {
			pad := source(r.work, input, names)
			if pad == nil || !pads[pad.op] || len(pad.inputs) < 2 {
				continue
			}
			sizes := source(r.work, pad.inputs[1], names)
			if sizes == nil || sizes.value() == nil {
				continue
			}
			if size := sizes.value().largest(); size > maxPadding {
				r.errorf(GraphPath, place(f, pad), "%s", paddingFault(size))
			}
		}
	}
}

// attrFault returns what is wrong with an attribute with which TensorFlow ends the process at any
// input, "" where nothing is.
func (n *node) attrFault() string {
	padding, shapes := n.attrs["padding"], n.attrs["Tshape"]
	switch {
	case n.attr("data_format").text == "NCHW_VECT_C": // of GPUs alone
		return fmt.Sprintf("expected data_format of %s of NHWC or NCHW, got NCHW_VECT_C",
			quote(n.op))
	case n.op == "DepthwiseConv2dNative" && padding != nil && padding.text != "SAME" &&
		padding.text != "VALID": // with what is fused into it
		return fmt.Sprintf("expected padding of %s of SAME or VALID, got %s; put a Pad before it",
			n.op, quote(padding.text))
	case n.op == "Conv3DBackpropInputV2" && shapes != nil && shapes.dtype != tensor.Int32:
		return fmt.Sprintf("expected Tshape of %s of int32, got %v", n.op, shapes.dtype)
	}
	return ""
}

// checkLengths reports a length of 0 of a transform: in a constant, or packed from several.
func checkLengths(r *report, f *function, n *node, names map[string]*node) {
	if len(n.inputs) < 2 {
		return
	}
	lengths := []string{n.inputs[1]}
	if from := source(r.work, n.inputs[1], names); from != nil && from.op == "Pack" {
		lengths = from.inputs[:min(len(from.inputs), maxTransformed)]
	}
	for _, input := range lengths {
		if from := source(r.work, input, names); from != nil && from.value() != nil &&
			from.value().hasZero() {
			r.errorf(GraphPath, place(f, n), "expected a length of %s of at least 1, got 0", n.op)
			return
		}
	}
}

// source returns the node that an input comes from through Identity nodes, nil where it is unknown.
func source(w *work, input string, names map[string]*node) *node {
	n := names[producer(input)]
	for range maxDepth {
		if n == nil || n.op != "Identity" || len(n.inputs) == 0 || !w.step() {
			break
		}
		n = names[producer(n.inputs[0])]
	}
	return n
}

// largest returns the largest magnitude of the integers that were kept.
func (c *constant) largest() uint64 {
	largest := c.number
	for _, v := range c.integers() {
		largest = max(largest, magnitude(v))
	}
	return largest
}

// hasZero returns whether one of the integers that were kept is 0, as the first of an empty list of
// a shape with elements is.
func (c *constant) hasZero() bool {
	elements, err := c.shape.Elements()
	return c.zero || slices.Contains(c.integers(), 0) ||
		err == nil && elements > 0 && c.content == 0 && c.values == 0
}

// integers returns those of a small constant's content.
func (c *constant) integers() (numbers []int64) {
	for rest := c.small; ; {
		switch {
		case c.dtype == tensor.Int32 && len(rest) >= 4:
			numbers = append(numbers, int64(int32(binary.LittleEndian.Uint32(rest))))
			rest = rest[4:]
		case c.dtype == tensor.Int64 && len(rest) >= 8:
			numbers = append(numbers, int64(binary.LittleEndian.Uint64(rest)))
			rest = rest[8:]
		default:
			return numbers
		}
	}
}
