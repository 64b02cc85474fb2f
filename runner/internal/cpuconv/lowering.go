package cpuconv

import (
	"slices"
	"strings"

	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"

	"kerasrun/runner/internal/graph"
)

// lowering makes steps of a graph's operations.
type lowering struct {
	graph     *graphpb.GraphDef
	order     []*nodepb.NodeDef // each behind those that it reads
	node      map[string]*nodepb.NodeDef
	kernels   map[string]bool
	endpoints map[string]bool
	bf16      bool

	steps []*step // each behind those that it reads
	step  map[string]*step
	alias map[string]string // operations that hand on a value
	pads  map[string]pad    // operations that put zeros around one
	// quantized are the kernels of bytes, and quants the operations that round to bytes.
	quantized map[string]bool
	quants    map[string]quant
	// those of alias, pads and quants that TensorFlow computes all the same
	kept map[string]bool
	// refused is a convolution that there is no step for, "" where there is one for each.
	refused string

	leaving map[string]bool   // values that TensorFlow reads
	added   []*nodepb.NodeDef // constants beside the graph's
}

// pad is zeros around a value: top, bottom, left and right.
type pad struct {
	of      string
	padding [4]int64
}

func newLowering(g *graphpb.GraphDef, kernels, endpoints []string, bf16 bool) *lowering {
	l := &lowering{graph: g, bf16: bf16, node: map[string]*nodepb.NodeDef{},
		kernels: map[string]bool{}, endpoints: map[string]bool{}, step: map[string]*step{},
		alias: map[string]string{}, pads: map[string]pad{}, kept: map[string]bool{},
		quants: map[string]quant{}, quantized: map[string]bool{}, leaving: map[string]bool{}}
	for _, node := range g.Node {
		l.node[node.Name] = node
	}
	for _, name := range kernels {
		l.kernels[name] = true
	}
	for _, name := range endpoints {
		l.endpoints[name] = true
	}
	seen := map[string]bool{}
	var visit func(node *nodepb.NodeDef)
	visit = func(node *nodepb.NodeDef) {
		if node == nil || seen[node.Name] {
			return
		}
		seen[node.Name] = true
		for _, input := range node.Input {
			visit(l.node[graph.Producer(input)])
		}
		l.order = append(l.order, node)
	}
	for _, node := range g.Node {
		visit(node)
	}
	return l
}

// resolve returns the name of the value that an input is, where it is one.
func (l *lowering) resolve(input string) string {
	name := nameOf(input)
	for l.alias[name] != "" {
		name = l.alias[name]
	}
	return name
}

// lowered says whether TensorFlow computes an operation no more.
func (l *lowering) lowered(name string) bool {
	return !l.kept[name] && (l.step[name] != nil || l.alias[name] != "" || l.pads[name].of != "" ||
		l.quants[name].of != "")
}

// left returns the operations that stay TensorFlow's.
func (l *lowering) left() []*nodepb.NodeDef {
	return slices.DeleteFunc(slices.Clone(l.graph.Node), func(node *nodepb.NodeDef) bool {
		return l.lowered(node.Name)
	})
}

// source is resolve of what zeros are put around, or bytes are made of for a step, where an input
// is that.
func (l *lowering) source(input string, s *step) string {
	name := l.resolve(input)
	if q := l.quants[name]; q.of != "" && s != nil && s.kind == stepQConv {
		name = l.resolve(q.of)
	}
	if p := l.pads[name]; p.of != "" {
		name = l.resolve(p.of)
	}
	return name
}

// lowerAll makes steps of all operations that it can. It returns whether these have all
// convolutions, and there is one. Where some are of bytes it is enough that they have those.
func (l *lowering) lowerAll() bool {
	depth := map[string]int{} // of operations that stay TensorFlow's: the regions before them
	convolutions := 0
	for _, node := range l.order {
		s := l.lower(node)
		isConv := strings.Contains(strings.ToLower(node.Op), "conv2d")
		if len(l.quantized) > 0 {
			isConv = len(node.Input) > 1 && l.quantized[node.Input[1]]
		}
		if isConv && s == nil {
			l.refused = node.Name
			return false
		}
		if isConv {
			convolutions++
		}
		if s != nil {
			s.name, l.step[node.Name] = node.Name, s
			l.steps = append(l.steps, s)
			for _, image := range s.images {
				if l.quants[image].of != "" {
					l.kept[image] = true // a convolution of floats reads it
				}
			}
		}
		for _, input := range node.Input {
			name := graph.Producer(l.source(input, s))
			before := depth[name]
			if from := l.step[name]; from != nil {
				before = from.region
				if s == nil {
					before++
				}
			}
			if s != nil {
				s.region = max(s.region, before)
			} else {
				depth[node.Name] = max(depth[node.Name], before)
			}
		}
	}
	if convolutions == 0 || !l.keepRead() {
		return false
	}
	l.findLeaving()
	return true
}

// keepRead has TensorFlow compute what it reads of a shape or with zeros that no step has. It
// returns whether TensorFlow reads nothing else that it does not compute.
func (l *lowering) keepRead() bool {
	for again := true; again; {
		again = false
		for _, node := range l.left() {
			for _, input := range node.Input {
				name := graph.Producer(input)
				if strings.HasPrefix(input, "^") && l.lowered(name) ||
					l.step[name] != nil && nameOf(input) != name {
					return false
				}
				again = l.keep(nameOf(input)) || again
			}
		}
		for name := range l.endpoints {
			again = l.keep(name) || again
		}
	}
	return true
}

// keep keeps the operations between a name and a step whose value the step's is not. It returns
// whether there are any.
func (l *lowering) keep(name string) (kept bool) {
	for ; l.lowered(name) && l.step[name] == nil; name = nameOf(l.node[name].Input[0]) {
		if l.pads[name].of != "" || l.quants[name].of != "" ||
			l.rankOf(name) != l.step[l.resolve(name)].rank {
			l.kept[name], kept = true, true
		}
	}
	return kept
}

// rankOf returns the rank of an operation that hands a value on.
func (l *lowering) rankOf(name string) int64 {
	node := l.node[name]
	if node.Op == "Reshape" {
		shape, _ := l.integers(node.Input[1])
		return int64(len(shape))
	}
	if s := l.step[name]; s != nil {
		return s.rank
	}
	return l.rankOf(l.aliased(node))
}

// aliased returns the operation whose output another hands on.
func (l *lowering) aliased(node *nodepb.NodeDef) string {
	for _, input := range node.Input {
		if name := nameOf(input); l.step[name] != nil || l.alias[name] != "" {
			return name
		}
	}
	return ""
}

// findLeaving finds the values that leave the regions.
func (l *lowering) findLeaving() {
	for name := range l.endpoints {
		if l.lowered(name) {
			l.leaving[l.resolve(name)] = true
		}
	}
	for _, node := range l.left() {
		for _, input := range node.Input {
			l.leaving[l.resolve(input)] = true
		}
	}
}
