package cpuconv

import (
	"math"
	"slices"
	"strconv"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"

	"kerasrun/runner/internal/graph"
)

// quantization is how floats become bytes: qconv2d.h has it.
type quantization struct {
	min, max, inverse float32
	zero              int32
	scale             float32 // the distance between two bytes' numbers
}

// newQuantization returns that of TensorFlow's FakeQuantWithMinMaxArgs, which moves the range so
// that a byte stands for 0. Each operation is rounded to float32, as TensorFlow has it. ok says
// whether there is one.
func newQuantization(low, high float32) (q quantization, ok bool) {
	if !(low <= 0 && high >= 0 && low < high) {
		return q, false
	}
	q.scale = float32(high-low) / 255
	q.inverse = 255 / float32(high-low)
	zero := float32(0 - float32(low/q.scale))
	switch {
	case zero < 0:
		q.zero = 0
	case zero > 255:
		q.zero = 255
	default:
		q.zero = int32(math.Round(float64(zero)))
	}
	q.min = float32(0-float32(q.zero)) * q.scale
	q.max = float32(255-float32(q.zero)) * q.scale
	finite := !math.IsInf(float64(q.inverse), 0) && !math.IsInf(float64(q.scale), 0)
	return q, finite && q.min < q.max && q.inverse > 0
}

// attrs adds what PackBytes reads of it to an operation's attributes.
func (q quantization) attrs(attrs map[string]*attrpb.AttrValue) {
	attrs["scale"] = &attrpb.AttrValue{Value: &attrpb.AttrValue_F{F: q.scale}}
	attrs["zero"] = &attrpb.AttrValue{Value: &attrpb.AttrValue_I{I: int64(q.zero)}}
}

// quant is a value that is rounded to bytes.
type quant struct {
	of           string
	quantization quantization
}

// QuantizedRegions is Regions of a graph in which some kernels, which are named, are of bytes. Each
// operation that reads one is computed in integers, exactly as qconv2d.h has it. Where one of them
// cannot be it is named, and there is no graph; refused is "" otherwise.
func QuantizedRegions(g *graphpb.GraphDef, kernels, quantized, endpoints []string) (
	computed *graphpb.GraphDef, packed []graph.PackedKernel, refused string) {
	l := newLowering(g, kernels, endpoints, false)
	for _, name := range quantized {
		l.quantized[name] = true
	}
	computed, packed, ok := l.regions()
	if ok {
		return computed, packed, ""
	}
	if l.refused == "" {
		l.refused = "one whose value another part of the graph reads in a way that is not known"
	}
	return nil, nil, l.refused
}

// quantize remembers what an operation makes bytes of.
func (l *lowering) quantize(node *nodepb.NodeDef) {
	number := func(name string, otherwise float32) float32 {
		if a, has := node.Attr[name]; has {
			return a.GetF()
		}
		return otherwise
	}
	bits := node.Attr["num_bits"]
	if bits != nil && bits.GetI() != 8 || node.Attr["narrow_range"].GetB() {
		return
	}
	// What TensorFlow has where an attribute is left out.
	if q, ok := newQuantization(number("min", -6), number("max", 6)); ok {
		l.quants[node.Name] = quant{nameOf(node.Input[0]), q}
	}
}

// readsBytes says whether an operation's kernel is of bytes.
func (l *lowering) readsBytes(node *nodepb.NodeDef) bool {
	return len(node.Input) > 1 && l.quantized[node.Input[1]]
}

// windowOf returns the rows and columns of a kernel. One of bytes has those between its own too
// where it is dilated: PackBytes puts zeros there.
func (l *lowering) windowOf(node *nodepb.NodeDef, kernel []int64) []int64 {
	window := slices.Clone(kernel[:2])
	if dilations := node.Attr["dilations"].GetList().GetI(); l.readsBytes(node) &&
		len(dilations) == 4 {
		for i, d := range dilations[1:3] {
			window[i] = (window[i]-1)*max(d, 1) + 1
		}
	}
	return window
}

// quantOf returns how the image of an operation is made bytes, where its kernel is of bytes too.
func (l *lowering) quantOf(node *nodepb.NodeDef) quant {
	if !l.readsBytes(node) {
		return quant{}
	}
	return l.quants[l.resolve(node.Input[0])]
}

// floatInput returns what an operation reads, before it was made bytes.
func (l *lowering) floatInput(node *nodepb.NodeDef) string {
	if q := l.quantOf(node); q.of != "" {
		return q.of
	}
	return node.Input[0]
}

// maxSum is KERASRUN_MAX_SUM.
const maxSum = math.MaxInt32 / (255 * 127)

// ofBytes makes a step of a convolution of floats one of bytes, nil where it cannot be.
func (l *lowering) ofBytes(s *step, node *nodepb.NodeDef) *step {
	q := l.quantOf(node)
	if q.of == "" || s.window[0]*s.window[1]*s.window[2] > maxSum ||
		s.window[3]%s.window[4] != 0 {
		return nil
	}
	s.kind, s.quantization, s.dilations = stepQConv, q.quantization, [2]int64{1, 1}
	if d := node.Attr["dilations"].GetList().GetI(); len(d) == 4 {
		s.dilations = [2]int64(d[1:3])
	}
	return s
}

// makeBytes puts a step behind each value that convolutions of bytes read, which makes bytes of it:
// behind a convolution of bytes it is computed with that.
func (r *region) makeBytes(l *lowering) {
	type key struct {
		of string
		q  quantization
	}
	made := map[key]*step{}
	after := map[string][]*step{} // by the step that they are behind, "" of the region's inputs
	for _, s := range r.steps {
		if s.kind != stepQConv {
			continue
		}
		of := key{s.images[0], s.quantization}
		q := made[of]
		if q == nil {
			name := of.of + "/bytes_" + strconv.Itoa(len(made))
			q = &step{name: name, kind: stepQuantize, rank: 4, in: s.in, shape: s.in,
				images: []string{of.of}, strides: [2]int64{1, 1}, region: s.region,
				quantization: s.quantization}
			producer := ""
			if from := r.step[of.of]; from != nil {
				producer, q.rank = of.of, from.rank
			}
			made[of], r.step[name] = q, q
			after[producer] = append(after[producer], q)
		}
		s.images[0] = q.name
	}
	if len(made) == 0 {
		return
	}
	steps := after[""]
	for _, s := range r.steps {
		steps = append(append(steps, s), after[s.name]...)
	}
	r.steps = steps
	l.steps = append(l.steps, slices.DeleteFunc(slices.Clone(steps), func(s *step) bool {
		return slices.Contains(l.steps, s)
	})...)
}

// planned returns a step's sizes of a window, or what is in their place in a plan.
func (s *step) planned() []int64 {
	if s.kind != stepQuantize {
		return s.window[:]
	}
	bits := func(x float32) int64 { return int64(int32(math.Float32bits(x))) }
	q := s.quantization
	return []int64{bits(q.min), bits(q.max), bits(q.inverse), int64(q.zero), 0}
}
