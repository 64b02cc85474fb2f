package savedmodel

import (
	"fmt"
	"slices"
	"strings"

	"kerasrun/tensor"
)

// skipFault returns what is wrong with a convolution whose strides are larger than its window: at
// some sizes of images oneDNN reads outside of one, and the process ends. A window of one pixel in
// an image without padding, as Keras's models have it, does not. "" where nothing is wrong, or the
// kernel's shape is not known.
func (t *tracing) skipFault(f *function, n *node) string {
	strides, dilations := n.attr("strides").numbers, n.attr("dilations").numbers
	if n.op != "Conv2D" || len(strides) != 4 || len(n.inputs) < 2 {
		return ""
	}
	kernel := t.shape(f, n.inputs[1])
	if len(kernel) != 4 {
		return ""
	}
	first := 1 // of the two dimensions of images
	if strings.HasPrefix(n.attr("data_format").text, "NC") {
		first = 2
	}
	skips := false
	for i, size := range kernel[:2] {
		if len(dilations) == 4 {
			size = (size-1)*dilations[first+i] + 1
		}
		skips = skips || strides[first+i] > size
	}
	if !skips || kernel[0] == 1 && kernel[1] == 1 && !t.padded(f, n) {
		return ""
	}
	return fmt.Sprintf("expected strides of at most the window's size, or a window of 1 x 1 "+
		"without padding, got strides %v of a kernel of shape %v", strides, kernel)
}

// padded returns whether a convolution gets an image with padding. One of 1 x 1 has none by SAME.
func (t *tracing) padded(f *function, n *node) bool {
	if slices.ContainsFunc(n.attr(explicitPaddings).numbers, func(n int64) bool { return n != 0 }) {
		return true
	}
	pad, _ := padBefore(t.work, n.inputs[0], t.names(f))
	return pad != nil
}

// shape returns the shape of a constant or a variable that a tensor is, in the graph or through the
// arguments of functions, wherever these are called; nil where it is another, or not the same.
func (t *tracing) shape(f *function, name string) (shape tensor.Shape) {
	for _, n := range t.sources(f, name) {
		found := n.attr("shape").shape
		if n.value() != nil {
			found = n.value().shape
		}
		if found == nil || shape != nil && !slices.Equal(found, shape) {
			return nil
		}
		shape = found
	}
	return shape
}

// sources returns the constants and variables that a tensor is, as shape does; nil where it may be
// another.
func (t *tracing) sources(f *function, name string) (sources []*node) {
	todo := []tensorOf{{of: f, name: name}}
	for range maxDepth {
		if len(todo) == 0 || !t.work.step() {
			return sources
		}
		of := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		of.name = producer(of.name)
		switch n := t.node(of); {
		case n == nil && of.of != nil:
			i, ok := t.index(of.of)[of.name]
			c := t.callers[of.of]
			if !ok || len(c.handing) > maxDepth || len(c.others) > 0 || len(c.alike) > 0 {
				return nil
			}
			for _, call := range c.handing {
				todo = append(todo, tensorOf{of: call.in, name: call.n.inputs[i+call.skip]})
			}
		case n == nil:
			return nil
		case n.value() != nil || slices.Contains(variableOps, n.op):
			sources = append(sources, n)
		case (n.op == "Identity" || n.op == "ReadVariableOp") && len(n.inputs) > 0:
			todo = append(todo, tensorOf{of: of.of, name: n.inputs[0]})
		default:
			return nil
		}
	}
	return nil
}

// gathering are the operations that trust that a variable has the type that they say.
var gathering = opSet("ResourceGather ResourceGatherNd")

// typeFault returns what is wrong with an operation that reads a variable as another type; "" where
// nothing is, or the variable is not known.
func (t *tracing) typeFault(f *function, n *node) string {
	if !gathering[n.op] || len(n.inputs) == 0 {
		return ""
	}
	for _, variable := range t.sources(f, n.inputs[0]) {
		if got, want := n.attr("dtype").dtype, variable.attr("dtype").dtype; got != want {
			return fmt.Sprintf("expected dtype %v, which the variable %s has, got %v", want,
				quote(variable.name), got)
		}
	}
	return ""
}
