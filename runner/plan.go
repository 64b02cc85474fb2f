package runner

import (
	"fmt"
	"slices"
	"strings"

	"kerasrun/contract"
	"kerasrun/savedmodel"
)

// mode is how a model's graph is run.
type mode string

const (
	plain  mode = "plain"  // as TensorFlow loads it
	frozen mode = "frozen" // with constants for variables, in a session for each device
	packed mode = "packed" // CPU: it is fed packed kernels, in a session for each signature
)

// plan says how a model is opened. It is made once, before a session that runs the model.
type plan struct {
	mode mode
	// placement has the device of each session of a frozen graph, as TensorFlow names it; "" leaves
	// the choice to TensorFlow.
	placement []string
	// own has package cpuconv compute the convolutions of a packed signature, where it can compute
	// all of them.
	own bool
	// bf16 has it compute them in bfloat16. It has to be able to.
	bf16 bool
	// int8 has it compute those of a frozen graph whose kernels are int8, in integers. It has to be
	// able to.
	int8 bool

	optimize []byte // the ConfigProto of sessions in which TensorFlow optimises the graph
	asIs     []byte // that of sessions in which it rewrites nothing
}

// facts are what a plan is made of.
type facts struct {
	options   config
	gpus      []Device           // to run on; none for the CPU
	optimized bool               // the exporter has optimised the graph, as its manifest says
	state     string             // an operation of the graph that has state, "" where none has
	oneDNN    bool               // TensorFlow computes with oneDNN on the CPU
	own       map[Precision]bool // package cpuconv is preferred on this CPU

	// supported says whether package cpuconv computes all convolutions of the signature to run, as
	// the plan has it. That shows only once TensorFlow has optimised the graph.
	supported func(plan) (bool, error)
}

// newPlan decides how a model is opened.
func newPlan(f facts) (p plan, err error) {
	gpu := len(f.gpus) > 0
	// TensorFlow places what names no device on the first GPU; for another one the graph is read on
	// the CPU, and placed anew.
	placed := len(f.gpus) > 1 || gpu && f.gpus[0].Name != "gpu:0"
	if placed && f.state != "" && !f.optimized {
		return plan{}, fmt.Errorf("device %s: expected a graph without state, got the operation %s",
			strings.Join(f.options.devices, ", "), f.state)
	}
	if p.asIs, err = asIsConfig(f.options); err != nil {
		return plan{}, err
	}
	if f.options.precision == INT8 {
		p.mode, p.int8 = packed, true
		options := f.options
		options.precision = FP32 // of all that is not int8
		p.optimize, err = optimizingConfig(options, target{optimized: true, oneDNN: true})
		return p, err
	}
	// The exporter's graphs have their kernels in variables, which never change. TensorFlow
	// prepares only constants for other precisions and for GPUs.
	kernels := f.optimized && f.state != ""
	if kernels && !gpu && f.oneDNN {
		p.mode, p.own, p.bf16 = packed, f.own[FP32], f.options.precision == BF16
		options := f.options
		options.precision = FP32 // of all that TensorFlow computes
		p.optimize, err = optimizingConfig(options, target{optimized: true, oneDNN: true})
		if err != nil {
			return plan{}, err
		}
		if !p.bf16 {
			return p, nil
		}
		if f.own[BF16] {
			if ok, err := f.supported(p); err != nil || ok {
				return p, err
			}
		}
		// So TensorFlow computes all of them in bfloat16.
	}
	p.mode, p.own, p.bf16 = plain, false, false
	if placed || kernels && (gpu || f.options.precision != FP32) {
		p.mode, p.placement = frozen, []string{""}
	}
	if placed {
		p.placement = nil
		for _, gpu := range f.gpus {
			p.placement = append(p.placement, "/device:"+strings.ToUpper(gpu.Name))
		}
	}
	p.optimize, err = optimizingConfig(f.options, target{gpu, f.optimized, f.oneDNN})
	return p, err
}

// chooseTags returns the tags of the graph for the device: TensorFlow's convention is a graph for
// GPUs beside the one for all. The only graph of an adopted SavedModel is it whatever its tags are.
func chooseTags(m *savedmodel.Model, gpu bool) []string {
	forGPU := func(g savedmodel.MetaGraph) bool {
		return slices.Equal(g.Tags, []string{contract.GPUTag, contract.ServeTag})
	}
	if gpu && slices.ContainsFunc(m.MetaGraphs, forGPU) {
		return []string{contract.ServeTag, contract.GPUTag}
	}
	return m.ServeTags()
}

// stateful returns an operation of the graph that keeps something from one run to the next, ""
// where none does.
func stateful(g *savedmodel.MetaGraph) string {
	for _, op := range g.Ops {
		if slices.Contains([]string{"VarHandleOp", "Variable", "VariableV2"}, op.Op) ||
			strings.Contains(op.Op, "HashTable") {
			return op.Op
		}
	}
	return ""
}
