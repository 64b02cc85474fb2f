package savedmodel

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"kerasrun/tensor"
)

// maxPadding limits what a convolution adds to a side. TensorFlow ends the process, in oneDNN's
// code, at 30,000. No image that is taken has more than some thousands of rows.
const maxPadding = 4096

// maxGrowth limits how many elements one becomes with the paddings that a convolution has around
// it, in one channel, and maxUpsampling by how many elements a transposed convolution moves them
// apart. An image of 1 pixel could fill the memory otherwise: where there is none left oneDNN ends
// the process.
const (
	maxGrowth     = 1 << 20 // also of the elements of a window
	maxUpsampling = 1 << 12 // Keras's models have 32 x 32 at most
)

// maxSides is how many numbers the paddings of a convolution are: two for each of five dimensions.
const maxSides = 10

// maxPaddingBytes is the size up to which a constant's numbers are kept: two 64-bit numbers for
// each dimension that a padded tensor may have, and more.
const maxPaddingBytes = 256

// explicitPaddings is the attribute by which a convolution pads on its own.
const explicitPaddings = "explicit_paddings"

// padded are the operations whose input a Pad before them becomes part of.
var padded = opSet(`Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput Conv2DBackpropInputV2
	Conv3DBackpropInputV2`)

var pads = opSet("Pad PadV2 MirrorPad")

// transposed are the operations that make images larger by their strides.
var transposed = opSet(`Conv2DBackpropInput Conv2DBackpropInputV2 Conv3DBackpropInput
	Conv3DBackpropInputV2`)

// sidesOf is how many numbers the lists of these operations have, one for each dimension of what
// they take: they trust that the list of dilations has them.
var sidesOf = map[string]int{"Conv2D": 4, "Conv2DBackpropInput": 4, "Conv2DBackpropInputV2": 4,
	"Conv3D": 5, "Conv3DBackpropInput": 5, "Conv3DBackpropInputV2": 5, "DepthwiseConv2dNative": 4}

// patching are the operations that cut windows out of images, of the sizes in an attribute.
var patching = opSet("ExtractImagePatches ExtractVolumePatches")

const patchSizes = "ksizes"

// paddingFault returns what is wrong with a convolution's paddings, two numbers for each dimension,
// of which the largest has the magnitude; "" where nothing is.
func paddingFault(sides []int64, largest uint64) string {
	if largest > maxPadding {
		return fmt.Sprintf("expected paddings of a convolution of at most %d, got %d", maxPadding,
			largest)
	}
	var growth []int64 // of each dimension
	for i := 0; i+1 < len(sides); i += 2 {
		growth = append(growth, int64(1+magnitude(sides[i])+magnitude(sides[i+1])))
	}
	if over(growth, maxGrowth) {
		return fmt.Sprintf("expected paddings of a convolution that make at most %d elements of "+
			"one, got %v", maxGrowth, sides)
	}
	return ""
}

// over returns whether the product of the numbers' magnitudes, of which 0 counts as 1, is more than
// most.
func over(numbers []int64, most uint64) bool {
	product := uint64(1)
	for _, number := range numbers {
		if product *= min(max(magnitude(number), 1), most+1); product > most {
			return true
		}
	}
	return false
}

// magnitude returns the absolute value.
func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// mostConstant limits the magnitude of a constant that is an operation's input.
var mostConstant = map[string]struct {
	input int
	most  float64
}{
	"AdjustHue": {1, 1},              // a part of the circle of colours
	"GatherV2":  {2, tensor.MaxDims}, // an axis
	// Sizes, with which others are multiplied or to which they are added.
	"Slice":                  {2, 1 << 40},
	"SparseBincount":         {3, 1 << 31},
	"StatelessRandomGammaV2": {0, 1 << 40},
	"StatelessRandomGammaV3": {0, 1 << 40},
}

// checkMost reports a constant beyond its limit. A number that is none is beyond each.
func checkMost(r *report, f *function, n *node, names map[string]*node) {
	limit := mostConstant[n.op]
	if limit.input >= len(n.inputs) {
		return
	}
	from := source(r.work, n.inputs[limit.input], names)
	if from == nil || from.value() == nil {
		return
	}
	c := from.value()
	got := max(float64(c.largest()), math.Abs(float64(c.float)))
	if !(got <= limit.most) {
		r.errorf(GraphPath, place(f, n), "expected input %d of %s of at most %v, got %v",
			limit.input, n.op, limit.most, got)
	}
}

// maxTransformed is how many dimensions a transform has at most.
const maxTransformed = 8

// transforms are the operations that end the process at a length of 0, which is their second input.
var transforms = opSet("RFFT RFFT2D RFFT3D RFFTND IRFFT IRFFT2D IRFFT3D IRFFTND")

// checkSizes reports numbers in constants that TensorFlow's native code trusts: the paddings of a
// Pad right before a convolution, whose own are a fault of the attribute, transforms' lengths,
// axes.
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
		_, limited := mostConstant[n.op]
		if !padded[n.op] && !transforms[n.op] && !limited {
			continue
		}
		if names == nil {
			names = nodeNames(nodes)
		}
		switch {
		case limited:
			checkMost(r, f, n, names)
			continue
		case transforms[n.op]:
			checkLengths(r, f, n, names)
			continue
		}
		for _, input := range n.inputs {
			pad, paddings := padBefore(r.work, input, names)
			if paddings == nil {
				continue
			}
			if fault := paddingFault(paddings.sides(), paddings.largest()); fault != "" {
				r.errorf(GraphPath, place(f, pad), "%s", fault)
			}
		}
	}
}

// padBefore returns the Pad that an input comes from right away, nil where it comes from another
// node, and its paddings, nil where they are no constant.
func padBefore(w *work, input string, names map[string]*node) (pad *node, paddings *constant) {
	pad = source(w, input, names)
	if pad == nil || !pads[pad.op] {
		return nil, nil
	}
	if len(pad.inputs) > 1 {
		if sizes := source(w, pad.inputs[1], names); sizes != nil {
			paddings = sizes.value()
		}
	}
	return pad, paddings
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
	case sidesOf[n.op] != 0 && n.attr("dilations").length > 0 &&
		n.attr("dilations").length != sidesOf[n.op]:
		return fmt.Sprintf("expected dilations of %s of %d numbers, got %d", n.op, sidesOf[n.op],
			n.attr("dilations").length)
	case transposed[n.op] && over(n.attr("strides").numbers, maxUpsampling):
		return fmt.Sprintf("expected strides of a transposed convolution that make at most %d "+
			"elements of one, got %v", maxUpsampling, n.attr("strides").numbers)
	case patching[n.op] && over(n.attr(patchSizes).numbers, maxGrowth):
		return fmt.Sprintf("expected %s of %s of at most %d elements, got %v", patchSizes, n.op,
			maxGrowth, n.attr(patchSizes).numbers)
	case n.op == "RaggedTensorToTensor" && n.attrs[partitions] != nil &&
		n.attr(partitions).number != int64(len(n.attr(partitionTypes).texts)):
		return fmt.Sprintf("expected as many %s of %s as %s, %d, got %d", partitionTypes, n.op,
			partitions, n.attr(partitions).number, len(n.attr(partitionTypes).texts))
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

// sides returns paddings as a list: as they are in the content, or, where they are in the typed
// fields, of which no more is kept, the largest of them for each.
func (c *constant) sides() []int64 {
	if numbers := c.integers(); numbers != nil {
		return numbers[:min(len(numbers), maxSides)]
	}
	elements, err := c.shape.Elements()
	if err != nil {
		return nil
	}
	return slices.Repeat([]int64{int64(min(c.number, maxPadding))}, int(min(elements, maxSides)))
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
