package runner

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"

	tfpb "github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"kerasrun/runner/internal/session"
)

// disableTFGOptimizer is the number of RewriterConfig's field disable_tfg_optimizer, a bool, which
// is newer than the binding.
const disableTFGOptimizer = 32

// target says what TensorFlow optimises a graph for.
type target struct {
	gpu       bool // on the GPUs; else all of them are hidden
	optimized bool // the exporter has rewritten the graph already
	oneDNN    bool // TensorFlow computes with oneDNN on the CPU
}

// optimizingConfig returns the bytes of the ConfigProto of sessions in which TensorFlow optimises
// the graph.
func optimizingConfig(c config, t target) ([]byte, error) {
	// One pass of the optimisers finds what there is in a frozen graph, and the memory optimiser is
	// for training. Each of them copies the graph, constants included: that is most of the first
	// run.
	rewrite := &tfpb.RewriterConfig{
		MetaOptimizerIterations: tfpb.RewriterConfig_ONE,
		MemoryOptimization:      tfpb.RewriterConfig_NO_MEM_OPT,
	}
	switch {
	case !t.gpu && !t.oneDNN:
		// The remapper fuses grouped convolutions with what follows them, and TensorFlow's own
		// kernel refuses to run the result.
		rewrite.Remapping = tfpb.RewriterConfig_OFF
	case t.optimized && !t.gpu:
		// Only the fusion of operations is left to do.
		rewrite.Optimizers = []string{"remap"}
		if c.precision == BF16 {
			// TensorFlow's own order folds constants first: then every run casts the weights anew.
			rewrite.Optimizers = []string{"auto_mixed_precision_onednn_bfloat16", "constfold",
				"remap"}
		}
		off := protowire.AppendVarint(protowire.AppendTag(nil, disableTFGOptimizer,
			protowire.VarintType), 1)
		rewrite.ProtoReflect().SetUnknown(off)
	case t.optimized && c.precision != FP16:
		// On a GPU what TensorFlow would rewrite gains nothing: on an H200 it costs 7 % of the
		// images a second, and a second of the first run.
		rewrite.DisableMetaOptimizer = true
	case c.precision == BF16:
		rewrite.AutoMixedPrecisionOnednnBfloat16 = tfpb.RewriterConfig_ON
	case c.precision == FP16:
		rewrite.AutoMixedPrecision = tfpb.RewriterConfig_ON
		// The second pass computes, once, the casts of weights that the first one adds.
		rewrite.MetaOptimizerIterations = tfpb.RewriterConfig_TWO
	}
	return marshalConfig(c, t.gpu, rewrite)
}

// asIsConfig returns the bytes of the ConfigProto of sessions on the CPU in which TensorFlow
// rewrites nothing.
func asIsConfig(c config) ([]byte, error) {
	return marshalConfig(c, false, &tfpb.RewriterConfig{
		MetaOptimizerIterations: tfpb.RewriterConfig_ONE,
		MemoryOptimization:      tfpb.RewriterConfig_NO_MEM_OPT,
		DisableMetaOptimizer:    true,
	})
}

func marshalConfig(c config, gpu bool, rewrite *tfpb.RewriterConfig) ([]byte, error) {
	threads := int32(cpus())
	p := &tfpb.ConfigProto{
		IntraOpParallelismThreads: threads,
		InterOpParallelismThreads: threads,
		AllowSoftPlacement:        c.devices[0] == "auto",
		// Else all models of the process share the threads that begin operations: one that waits
		// for another's long ones on both sides of a residual block is held up for whole batches.
		UsePerSessionThreads: true,
	}
	if c.intra > 0 {
		p.IntraOpParallelismThreads = int32(c.intra)
	}
	if c.inter > 0 {
		p.InterOpParallelismThreads = int32(c.inter)
	}
	// Without PlacePrunedGraph: under it TensorFlow rewrites nothing, not even for float16, and
	// does not say so.
	p.GraphOptions = &tfpb.GraphOptions{RewriteOptions: rewrite}
	if gpu {
		p.GpuOptions = &tfpb.GPUOptions{AllowGrowth: c.gpuGrowth,
			PerProcessGpuMemoryFraction: c.gpuFraction}
	} else {
		p.DeviceCount = map[string]int32{"GPU": 0}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(p)
}

// process is what TensorFlow keeps once for the whole process, as the first model that asked for it
// left it.
var process struct {
	sync.Mutex
	intra, inter int
	tf32         *bool
}

// claimThreads returns an error where the options name other thread counts than those the process
// has already.
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
		return fmt.Errorf("threads: expected %d and %d, as the first model chose, got %d and %d",
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

var warnOnce sync.Once

// warnWithoutOneDNN logs, once in a process, that the CPU computes slower than it could: TensorFlow
// has left oneDNN off, unasked.
func warnWithoutOneDNN() {
	_, asked := os.LookupEnv(oneDNNVariable)
	if runtime.GOARCH != "amd64" || asked || session.UsesOneDNN() {
		return
	}
	warnOnce.Do(func() {
		slog.Warn("TensorFlow computes without oneDNN on this CPU, which takes twice as long: " +
			"set " + oneDNNVariable + "=1 or import kerasrun/runner/preinit")
	})
}
