package runner

import (
	"fmt"
	"sync"

	tfpb "github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// disableTFGOptimizer is RewriterConfig's field disable_tfg_optimizer, a bool, which is newer than the binding.
const disableTFGOptimizer = 32

// sessionConfig returns the bytes of the ConfigProto that sessions are made with: on the GPUs, or with all of them hidden. optimized
// says that the graph is one that the exporter has rewritten already, asIs that TensorFlow is to rewrite nothing.
func sessionConfig(c config, gpu, optimized, asIs bool) ([]byte, error) {
	threads := int32(cpus())
	p := &tfpb.ConfigProto{
		IntraOpParallelismThreads: threads,
		InterOpParallelismThreads: threads,
		AllowSoftPlacement:        c.devices[0] == "auto",
	}
	if c.intra > 0 {
		p.IntraOpParallelismThreads = int32(c.intra)
	}
	if c.inter > 0 {
		p.InterOpParallelismThreads = int32(c.inter)
	}
	// One pass of the optimisers finds what there is in a frozen graph, and the memory optimiser is for training. Each of them copies
	// the graph, constants included, which is most of the time that the first run takes.
	rewrite := &tfpb.RewriterConfig{MetaOptimizerIterations: tfpb.RewriterConfig_ONE, MemoryOptimization: tfpb.RewriterConfig_NO_MEM_OPT}
	switch {
	case asIs:
		rewrite.DisableMetaOptimizer = true
	case !gpu && !usesOneDNN():
		// The remapper fuses grouped convolutions with what follows them, and TensorFlow's own kernel refuses to run the result.
		rewrite.Remapping = tfpb.RewriterConfig_OFF
	case optimized && !gpu:
		// Only the fusion of operations is left to do.
		rewrite.Optimizers = []string{"remap"}
		if c.precision == BF16 {
			// In TensorFlow's own order constants are folded first, and then every run casts the weights to bfloat16 anew.
			rewrite.Optimizers = []string{"auto_mixed_precision_onednn_bfloat16", "constfold", "remap"}
		}
		rewrite.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, disableTFGOptimizer, protowire.VarintType), 1))
	case optimized && c.precision != FP16:
		// On a GPU what TensorFlow would rewrite gains nothing: on an H200 it costs 7 % of the images a second, and a second of the first run.
		rewrite.DisableMetaOptimizer = true
	case c.precision == BF16:
		rewrite.AutoMixedPrecisionOnednnBfloat16 = tfpb.RewriterConfig_ON
	case c.precision == FP16:
		rewrite.AutoMixedPrecision = tfpb.RewriterConfig_ON
		// A second pass computes the casts of the weights that the rewriter adds in the first, once and not in each run.
		rewrite.MetaOptimizerIterations = tfpb.RewriterConfig_TWO
	}
	// Without PlacePrunedGraph: under it TensorFlow rewrites nothing, not even for float16, and does not say so.
	p.GraphOptions = &tfpb.GraphOptions{RewriteOptions: rewrite}
	if gpu {
		p.GpuOptions = &tfpb.GPUOptions{AllowGrowth: c.gpuGrowth, PerProcessGpuMemoryFraction: c.gpuFraction}
	} else {
		p.DeviceCount = map[string]int32{"GPU": 0}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(p)
}

// process is what TensorFlow keeps once for the whole process, as the first model that asked for it left it.
var process struct {
	sync.Mutex
	intra, inter int
	tf32         *bool
}

// claimThreads returns an error where the options name other thread counts than those the process has already.
func claimThreads(c config) error {
	process.Lock()
	defer process.Unlock()
	if process.intra == 0 {
		n := cpus()
		process.intra, process.inter = n, n
		if c.intra > 0 {
			process.intra = c.intra
		}
		if c.inter > 0 {
			process.inter = c.inter
		}
		return nil
	}
	if c.intra > 0 && c.intra != process.intra || c.inter > 0 && c.inter != process.inter {
		return fmt.Errorf("threads: this process has %d intra and %d inter already, as its first model chose: want the same, got %d and %d",
			process.intra, process.inter, c.intra, c.inter)
	}
	return nil
}

// processThreads returns how many threads compute an operation of the process.
func processThreads() int {
	process.Lock()
	defer process.Unlock()
	return process.intra
}
