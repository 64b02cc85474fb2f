package cpuconv

import (
	"maps"
	"slices"
	"strconv"

	attrpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/attr_value_go_proto"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"
	typespb "github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"

	"kerasrun/runner/internal/graph"
	"kerasrun/tensor"
)

// Regions returns a graph with the largest parts that we compute as one operation each, and the
// kernels that these read packed. There is none, and ok is false, where some convolution is in no
// part: TensorFlow's threads and ours would be in each other's way.
//
// Kernels are the placeholders whose values do not change, endpoints the operations whose outputs
// leave the graph. With bf16 a convolution's filter and output are rounded to bfloat16, and so are
// its images, but for those that another kind of step hands on tiled or in nChw8c.
func Regions(g *graphpb.GraphDef, kernels, endpoints []string, bf16 bool) (
	*graphpb.GraphDef, []graph.PackedKernel, bool) {
	return newLowering(g, kernels, endpoints, bf16).regions()
}

// regions is Regions of a graph that nothing is lowered of yet.
func (l *lowering) regions() (*graphpb.GraphDef, []graph.PackedKernel, bool) {
	g := l.graph
	if !l.lowerAll() || !l.simplify() {
		return g, nil, false
	}
	var regions []*region
	for _, s := range l.steps {
		for len(regions) <= s.region {
			regions = append(regions, &region{name: "kerasrun/region_" +
				strconv.Itoa(len(regions)), step: map[string]*step{}})
		}
		r := regions[s.region]
		r.steps = append(r.steps, s)
		r.step[s.name] = s
	}
	var nodes []*nodepb.NodeDef
	leaves := map[string]string{} // where a value that leaves a region is
	var packed []graph.PackedKernel
	for _, r := range regions {
		node := r.operation(l)
		nodes = append(nodes, node)
		for i, name := range r.outputs {
			leaves[name] = node.Name + ":" + strconv.Itoa(i)
		}
		packed = append(packed, r.packed...)
	}
	float := &attrpb.AttrValue{Value: &attrpb.AttrValue_Type{Type: typespb.DataType_DT_FLOAT}}
	for _, kernel := range packed {
		nodes = append(nodes, graph.Placeholder(kernel.Name, tensor.Float32))
	}
	nodes = slices.Concat(nodes, l.added, l.constantsOf(l.steps), l.left())
	for _, name := range slices.Sorted(maps.Keys(l.endpoints)) {
		if l.lowered(name) {
			nodes = append(nodes, &nodepb.NodeDef{Name: name, Op: "Identity",
				Input: []string{l.resolve(name)}, Attr: map[string]*attrpb.AttrValue{"T": float}})
		}
	}
	result := &graphpb.GraphDef{Versions: g.Versions, Library: g.Library}
	there := map[string]bool{}
	for _, node := range nodes {
		there[node.Name] = true
	}
	for _, node := range nodes {
		read := &nodepb.NodeDef{Name: node.Name, Op: node.Op, Device: node.Device, Attr: node.Attr}
		for _, input := range node.Input {
			if at := leaves[l.resolve(input)]; at != "" {
				input = at
			}
			if !there[graph.Producer(input)] {
				return g, nil, false // another output of what a step computes
			}
			read.Input = append(read.Input, input)
		}
		result.Node = append(result.Node, read)
	}
	return result, packed, true
}

// region is a part of a graph that becomes one operation.
type region struct {
	name    string
	steps   []*step // each behind those that it reads
	step    map[string]*step
	inputs  []string
	outputs []string
	packed  []graph.PackedKernel
	layouts map[string]layoutChoice
}

type layoutChoice struct{ kind, padding int64 }

// operation returns the region's operation, as region.h describes it.
func (r *region) operation(l *lowering) *nodepb.NodeDef {
	r.copyImages(l)
	r.makeBytes(l)
	r.chooseLayouts(l)
	for _, s := range r.steps {
		for _, name := range s.operands() {
			if name != "" && r.step[name] == nil && !slices.Contains(r.inputs, name) {
				r.inputs = append(r.inputs, name)
			}
		}
		if s.kind == stepConv || s.kind == stepQConv {
			r.packed = append(r.packed, graph.PackedKernel{Node: s.packing(l.bf16),
				Variable: s.filter, Name: s.packed()})
		}
		if l.leaves(s) {
			r.outputs = append(r.outputs, s.name)
		}
	}
	value := make(map[string]int64, len(r.inputs)+len(r.steps))
	for i, name := range r.inputs {
		value[name] = int64(i)
	}
	for i, s := range r.steps {
		value[s.name] = int64(len(r.inputs) + i)
	}
	plan := []int64{int64(len(r.inputs)), int64(len(r.outputs))}
	for _, name := range r.outputs {
		plan = append(plan, value[name])
	}
	for _, s := range r.steps {
		layout, bf16 := r.layouts[s.name], int64(0)
		if s.kind == stepConv && l.bf16 && !s.matrix {
			bf16 = 1
		}
		plan = append(plan, s.kind, s.act, bf16, s.rank, layout.kind, layout.padding)
		plan = append(plan, s.planned()...)
		plan = append(plan, s.strides[:]...)
		plan = append(plan, s.padding[:]...)
		operands := s.operands()
		plan = append(plan, int64(len(operands)))
		for _, name := range operands {
			if name == "" {
				plan = append(plan, -1)
			} else {
				plan = append(plan, value[name])
			}
		}
	}
	count := func(n int) *attrpb.AttrValue {
		return &attrpb.AttrValue{Value: &attrpb.AttrValue_I{I: int64(n)}}
	}
	return &nodepb.NodeDef{Name: r.name, Op: RegionOp, Input: r.inputs,
		Attr: map[string]*attrpb.AttrValue{"inputs": count(len(r.inputs)),
			"outputs": count(len(r.outputs)), "plan": list(plan)}}
}

// readers calls f for each step of the region that reads a value as an image.
func (r *region) readers(name string, f func(s *step)) {
	for _, s := range r.steps {
		if slices.Contains(s.images, name) {
			f(s)
		}
	}
}

// leaves says whether TensorFlow or another region reads a value of a region.
func (l *lowering) leaves(s *step) bool {
	return l.leaving[s.name] || slices.ContainsFunc(l.steps, func(other *step) bool {
		return other.region != s.region && slices.Contains(other.operands(), s.name)
	})
}

// isNHWC says whether a value of a region has to be in NHWC.
func (l *lowering) isNHWC(s *step) bool {
	if s.shape.c%8 != 0 || s.rank == 2 || s.kind == stepMean || s.kind == stepDense ||
		s.kind == stepQConv || l.leaves(s) {
		return true
	}
	return slices.ContainsFunc(l.steps, func(other *step) bool {
		return other.scale == s.name || other.kind == stepQConv && other.added == s.name ||
			slices.Contains(other.images, s.name) && (other.kind == stepDense ||
				other.kind == stepQuantize || other.kind == stepConv && other.window[2]%8 != 0)
	})
}

// copyImages puts a step before a depthwise convolution whose image is in NHWC, which it does not
// read.
func (r *region) copyImages(l *lowering) {
	var steps []*step
	for _, s := range r.steps {
		if s.kind == stepDepthwise {
			image := s.images[0]
			from := r.step[image]
			if from == nil || l.isNHWC(from) {
				name := s.name + "/image"
				c := &step{name: name, kind: stepScale, rank: 4, shape: s.in, images: []string{image},
					strides: [2]int64{1, 1}, region: s.region}
				s.images[0], r.step[name] = name, c
				steps = append(steps, c)
			}
		}
		steps = append(steps, s)
	}
	r.steps = steps
	l.steps = append(l.steps, slices.DeleteFunc(slices.Clone(steps), func(s *step) bool {
		return slices.Contains(l.steps, s)
	})...)
}

// chooseLayouts has each value lie in memory as those read it best who do.
func (r *region) chooseLayouts(l *lowering) {
	r.layouts = map[string]layoutChoice{}
	for _, s := range r.steps {
		if s.kind == stepQuantize {
			layout := layoutChoice{kind: layoutBytes}
			r.readers(s.name, func(reader *step) {
				layout.padding = max(layout.padding, slices.Max(reader.padding[:]))
			})
			r.layouts[s.name] = layout
			continue
		}
		if l.isNHWC(s) {
			continue
		}
		layout := layoutChoice{layoutTiled, 0}
		r.readers(s.name, func(reader *step) {
			pad := int64(0)
			switch reader.kind {
			case stepConv:
				if reader.is1x1() {
					return
				}
				pad = slices.Max(reader.padding[:])
			case stepDepthwise:
				pad = slices.Max(reader.padding[:])
			case stepMaxPool, stepAvgPool:
			default:
				return
			}
			layout = layoutChoice{layoutNCHW8C, max(layout.padding, pad)}
		})
		r.layouts[s.name] = layout
	}
}
