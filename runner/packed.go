package runner

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	nodepb "github.com/galeone/tensorflow/tensorflow/go/core/framework/node_def_go_proto"

	"kerasrun/runner/internal/cpuconv"
	"kerasrun/runner/internal/graph"
	"kerasrun/runner/internal/session"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// ownConvolutions says in which precisions package cpuconv computes the convolutions whose kernels
// are packed.
var ownConvolutions = map[Precision]bool{FP32: cpuconv.Preferred(false),
	BF16: cpuconv.Preferred(true), INT8: cpuconv.Preferred(false)}

// errUnsupportedConv says that a signature has convolutions that package cpuconv does not compute,
// or none.
var errUnsupportedConv = errors.New("expected convolutions that can be computed in bfloat16")

// packer runs each signature in a session of what TensorFlow makes of it when its kernels are
// constants. That session is fed the kernels.
//
// TensorFlow's operations of oneDNN pack a kernel that is constant once, into the layout that the
// convolution reads, and any other in each run; for package cpuconv's operations kernels are packed
// here. So a run is as fast as with constants in the graph, of which TensorFlow makes half a dozen
// copies on the way to its first run. The variables must keep their values.
type packer struct {
	plan      plan
	source    *session.Session          // has the variables
	optimized map[string]optimizedGraph // of signatures that are not packed yet
	packed    []packedSession
}

// optimizedGraph is what TensorFlow makes of a signature, with placeholders for its variables.
type optimizedGraph struct {
	graph    *graphpb.GraphDef
	kernels  []string                        // the placeholders
	values   []string                        // what their values are read from
	int8     map[string]graph.ConstantKernel // those of int8, by placeholder
	replaced bool                            // convolutions are package cpuconv's
	packed   []graph.PackedKernel            // of cpuconv.Regions
}

// packedSession is a session and what it is fed beside its inputs.
type packedSession struct {
	session *session.Session
	kernels kernels
}

// newPacker loads the graph with these tags.
func newPacker(dir string, tags []string, p plan) (*packer, error) {
	if p.own || p.bf16 || p.int8 {
		if err := cpuconv.Register(processThreads()); err != nil {
			return nil, err
		}
	}
	source, err := session.Load(dir, tags, p.asIs)
	if err != nil {
		return nil, err
	}
	return &packer{plan: p, source: source, optimized: map[string]optimizedGraph{}}, nil
}

// supports says whether package cpuconv computes all convolutions of a signature, and there are
// some.
func (p *packer) supports(s savedmodel.Signature) (bool, error) {
	o, err := p.optimize(s)
	p.optimized[s.Key] = o
	return o.replaced, err
}

// call packs a signature, once.
func (p *packer) call(s savedmodel.Signature) (*call, error) {
	o, ok := p.optimized[s.Key]
	if delete(p.optimized, s.Key); !ok {
		var err error
		if o, err = p.optimize(s); err != nil {
			return nil, err
		}
	}
	if p.plan.bf16 && !o.replaced {
		return nil, errUnsupportedConv
	}
	values, err := p.source.Read(o.values)
	if err != nil {
		return nil, err
	}
	g, fed, err := newKernels(o, values)
	if err != nil {
		return nil, err
	}
	g, s.Inputs = graph.Ungate(g, s.Inputs)
	opened, err := session.New(g, p.plan.asIs)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the packed graph: %w", err), fed.free())
	}
	p.packed = append(p.packed, packedSession{opened, fed})
	return newCall(opened, s, fed.bound)
}

// optimize returns what TensorFlow makes of a signature. It computes what depends on constants
// alone, and shows the graph only after a run. So a variable is a placeholder there, and may be a
// kernel and nothing else; and the graph is gated, so that nothing is computed in that run.
func (p *packer) optimize(s savedmodel.Signature) (optimizedGraph, error) {
	g, o, err := p.gated(s)
	if err != nil {
		return optimizedGraph{}, err
	}
	zeros, err := s.ZeroInputs(1)
	if err != nil {
		return optimizedGraph{}, err
	}
	names := slices.Sorted(maps.Keys(s.Inputs))
	in, err := newTensors(s.Key, names, zeros)
	if err != nil {
		return optimizedGraph{}, err
	}
	var feeds []session.Endpoint
	for _, name := range names {
		feeds = append(feeds, endpoint(s.Inputs[name]))
	}
	var targets []string
	for _, out := range s.Outputs {
		targets = append(targets, out.Op)
	}
	if o.graph, err = session.Optimize(g, p.plan.optimize, feeds, in, targets); err != nil {
		return optimizedGraph{}, fmt.Errorf("the optimised graph: %w", err)
	}
	endpoints := graph.Endpoints(s)
	switch {
	case p.plan.int8:
		var refused string
		o.graph, o.packed, refused = cpuconv.QuantizedRegions(o.graph, o.kernels,
			slices.Collect(maps.Keys(o.int8)), endpoints)
		if refused != "" {
			return o, fmt.Errorf("expected convolutions that can be computed in integers, got %s",
				refused)
		}
	case p.plan.own || p.plan.bf16:
		o.graph, o.packed, o.replaced = cpuconv.Regions(o.graph, o.kernels, endpoints, p.plan.bf16)
		if !o.replaced {
			o.replaced = cpuconv.Replace(o.graph, o.kernels, endpoints, p.plan.bf16)
		}
	}
	return o, nil
}

// gated returns the graph of a signature that TensorFlow is to optimise, and its kernels.
func (p *packer) gated(s savedmodel.Signature) (g *graphpb.GraphDef, o optimizedGraph, err error) {
	whole, err := p.source.Graph()
	if err != nil {
		return nil, o, err
	}
	pruned, variables := graph.Prune(whole, graph.Endpoints(s))
	replaced, err := graph.ReplaceVariables(pruned, variables)
	if err != nil {
		return nil, o, err
	}
	for _, v := range variables {
		o.kernels = append(o.kernels, v.Read)
	}
	o.values = o.kernels
	if p.plan.int8 {
		var constants []graph.ConstantKernel
		replaced, constants = graph.ReplaceConstants(replaced)
		o.int8 = map[string]graph.ConstantKernel{}
		for _, k := range constants {
			o.kernels = append(o.kernels, k.Name)
			o.values = append(o.values, k.Value)
			if k.Scale != "" {
				o.values = append(o.values, k.Scale)
				o.int8[k.Name] = k
			}
		}
		// Without the constants of which placeholders have been made.
		replaced, _ = graph.Prune(replaced, graph.Endpoints(s))
	}
	return graph.Gate(replaced, s.Inputs), o, nil
}

// close frees the sessions and the kernels. Nothing may run.
func (p *packer) close() (err error) {
	if p == nil {
		return nil
	}
	for _, packed := range p.packed {
		err = errors.Join(err, packed.session.Close(), packed.kernels.free())
	}
	return errors.Join(err, p.source.Close())
}

// kernels are what a session's operations read from placeholders in every run: those of package
// cpuconv's operations packed, and those of TensorFlow's as they are.
type kernels struct {
	bound  []session.Bound
	memory *cpuconv.Memory
}

// newMemory is cpuconv's; a test puts another in its place, which fails.
var newMemory = cpuconv.NewMemory

// newKernels takes over the kernels' values, and returns a graph that is fed them.
func newKernels(o optimizedGraph, values map[string]*session.Tensor) (fedGraph *graphpb.GraphDef,
	k kernels, err error) {
	defer func() {
		for _, b := range k.bound {
			delete(values, b.At.Op) // k's from here on: each tensor has one owner
		}
		deleteAll(values)
		if err != nil {
			k, err = kernels{}, errors.Join(err, k.free())
		}
	}()
	fedGraph, fed := graph.FeedKernels(o.graph,
		slices.AppendSeq(slices.Clone(o.kernels), maps.Keys(values)), cpuconv.Op)
	fed.Packed = append(fed.Packed, o.packed...)
	bind := func(name string, t *session.Tensor) {
		k.bound = append(k.bound, session.Bound{At: session.Endpoint{Op: name}, Tensor: t})
	}
	for _, name := range fed.Plain {
		bind(name, values[name])
	}
	var lengths []int
	for _, kernel := range fed.Packed {
		length, err := cpuconv.PackedLength(kernel.Node)
		if err != nil {
			return nil, k, fmt.Errorf("%s: %w", kernel.Node.Name, err)
		}
		lengths = append(lengths, length)
	}
	if len(lengths) > 0 {
		if k.memory, err = newMemory(lengths...); err != nil {
			return nil, k, err
		}
	}
	for i, kernel := range fed.Packed {
		numbers := k.memory.Take(lengths[i])
		if bytes, ok := o.int8[kernel.Variable]; ok {
			err = packBytes(kernel.Node, values[bytes.Value], values[bytes.Scale], numbers)
		} else {
			err = packValue(kernel.Node, values[kernel.Variable], numbers)
		}
		if err != nil {
			return nil, k, fmt.Errorf("%s: kernel %s: %w", kernel.Node.Name, kernel.Variable, err)
		}
		bind(kernel.Name, session.Borrow(numbers))
	}
	return fedGraph, k, nil
}

// packValue packs a variable's value for an operation of package cpuconv. What a checkpoint holds
// need not be what the graph says of it.
func packValue(node *nodepb.NodeDef, value *session.Tensor, packed []float32) error {
	if value == nil {
		return errors.New("expected a value, got none")
	}
	if dtype := value.DType(); dtype != tensor.Float32 {
		return fmt.Errorf("expected float32, got %v", dtype)
	}
	return cpuconv.Pack(node, value.Shape(), value.Float32s(), packed)
}

// packBytes is packValue of a constant of int8 and its scales.
func packBytes(node *nodepb.NodeDef, value, scales *session.Tensor, packed []float32) error {
	if value == nil || scales == nil || value.DType() != tensor.Int8 ||
		scales.DType() != tensor.Float32 {
		return errors.New("expected constants of int8 and float32, got others")
	}
	return cpuconv.PackBytes(node, value.Shape(), value.Int8s(), scales.Float32s(), packed)
}

func (k kernels) free() error {
	for _, b := range k.bound {
		b.Tensor.Delete()
	}
	if k.memory == nil {
		return nil
	}
	return k.memory.Free()
}
