package runner

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kerasrun/savedmodel"
)

// Option is a choice made at Open.
type Option func(*config) error

// config is what the options choose.
type config struct {
	tags         []string // nil: chosen by device
	signature    string
	devices      []string // "auto", "cpu" or "gpu:N"
	intra, inter int      // threads; 0: the CPUs that the process may use
	gpuFraction  float64  // 0: no limit
	gpuGrowth    bool
	precision    Precision
	scan         []savedmodel.ScanOption

	sha256     []string // contents that the caller vouches for; nil: none are named
	unverified bool     // whether files may be that no manifest was compared with
	warn       func(message string)
	// probe finds out whether a model that nothing vouches for can be loaded; nil: it is refused.
	probe func(ctx context.Context, dir string, c config) error
}

func newConfig(options []Option) (config, error) {
	c := config{devices: []string{"auto"}, gpuGrowth: true,
		precision: FP32}
	for _, option := range options {
		if err := option(&c); err != nil {
			return config{}, &OptionError{err}
		}
	}
	return c, nil
}

// WithTags chooses the graph with exactly these tags. Without it, it is the one tagged "serve", or
// on a GPU, where there is one, the one tagged "serve" and "gpu".
func WithTags(tags ...string) Option {
	return func(c *config) error {
		if len(tags) == 0 {
			return fmt.Errorf("tags: expected at least one, got none")
		}
		c.tags = tags
		return nil
	}
}

// WithSignature chooses the signature of Run and Classify, which is otherwise the
// manifest's, or "serving_default".
func WithSignature(key string) Option {
	return func(c *config) error { c.signature = key; return nil }
}

// WithDevice chooses where the model runs:
//
//	"auto"   on the first GPU if TensorFlow sees one, else on the CPU. This is the default.
//	"cpu"    on the CPU
//	"gpu"    on the first GPU; Open fails where there is none
//	"gpu:N"  on GPU N, counted from 0
//
// Several GPUs may be named; each has a session of its own, and each run goes to the one with the
// fewest. A device that was named is used or an error: nothing falls back to the CPU. Another GPU
// than the first needs a graph without variables.
func WithDevice(devices ...string) Option {
	return func(c *config) error {
		c.devices = nil
		for _, d := range devices {
			name := strings.ToLower(d)
			if name == "gpu" {
				name = "gpu:0"
			}
			number, isGPU := strings.CutPrefix(name, "gpu:")
			n, err := strconv.Atoi(number)
			if isGPU && (err != nil || n < 0 || strconv.Itoa(n) != number) ||
				!isGPU && name != "cpu" && name != "auto" {
				return fmt.Errorf("device: expected auto, cpu, gpu or gpu:N, got %q", d)
			}
			if slices.Contains(c.devices, name) {
				return fmt.Errorf("device: %s is named twice", name)
			}
			c.devices = append(c.devices, name)
		}
		if len(c.devices) == 0 {
			return fmt.Errorf("device: expected at least one, got none")
		}
		if len(c.devices) > 1 &&
			(slices.Contains(c.devices, "auto") || slices.Contains(c.devices, "cpu")) {
			return fmt.Errorf("device: expected GPUs alone where there are several, got %s",
				strings.Join(devices, ", "))
		}
		return nil
	}
}

// WithThreads sets how many threads compute one operation (intra) and how many operations are
// computed at a time (inter). 0, the default of both, is the number of CPUs that the process may
// use: its affinity, and the limit of its control group. TensorFlow keeps one pool of each kind in
// a process, of the size that the first model asks for: another size later is an error of Open.
func WithThreads(intra, inter int) Option {
	return func(c *config) error {
		if intra < 0 || inter < 0 {
			return fmt.Errorf("threads: expected 0 or more, got %d and %d", intra, inter)
		}
		c.intra, c.inter = intra, inter
		return nil
	}
}

// WithGPUMemoryFraction limits the memory that TensorFlow takes of each GPU to a fraction of it,
// over 0 and up to 1. It holds for the whole process, and the first session that uses a GPU
// decides.
func WithGPUMemoryFraction(fraction float64) Option {
	return func(c *config) error {
		if !(fraction > 0 && fraction <= 1) {
			return fmt.Errorf("GPU memory fraction: expected over 0 and up to 1, got %v", fraction)
		}
		c.gpuFraction = fraction
		return nil
	}
}

// WithGPUMemoryGrowth says whether TensorFlow takes a GPU's memory as it needs it, which is the
// default, or all of it at once. It holds for the whole process, and the first session that uses a
// GPU decides.
func WithGPUMemoryGrowth(growth bool) Option {
	return func(c *config) error { c.gpuGrowth = growth; return nil }
}

// Precision is the arithmetic that a graph of float32 is computed in.
type Precision string

// The precisions.
const (
	// FP32 is float32 throughout, on GPUs without TensorFloat-32 too: predictions match Keras.
	FP32 Precision = "fp32"
	// BF16 is for the CPU: bfloat16 summed in float32, by oneDNN or by this package's convolutions.
	// Without instructions for it the convolutions alone are rounded. Probabilities move by up to
	// 0.008.
	BF16 Precision = "bf16"
	// FP16 is for GPUs of compute capability 7.0: float16 where TensorFlow's rewriter finds it
	// safe.
	FP16 Precision = "fp16"
	// INT8 is for the CPU: convolutions in integers, of the graph that the exporter has quantized
	// in the directory's int8/, which is opened in the directory's place.
	INT8 Precision = "int8"
	// TF32 is for GPUs of compute capability 8.0: float32 with TensorFloat-32 products, for the
	// whole process.
	TF32 Precision = "tf32"
)

// WithPrecision chooses the arithmetic; the default is FP32. One that the device does not have is
// an error of Open.
func WithPrecision(p Precision) Option {
	return func(c *config) error {
		if !slices.Contains([]Precision{FP32, BF16, FP16, TF32, INT8}, p) {
			return fmt.Errorf("precision: expected fp32, bf16, fp16, tf32 or int8, got %q",
				string(p))
		}
		c.precision = p
		return nil
	}
}

// WithScan relaxes what Open checks of the directory, by name: [savedmodel.AllowOps] lets
// operations run that are not on the allow-list, [savedmodel.Skip] leaves out checks. It is for
// models from where one would run a program.
//
// Without CheckFiles a model is not verified: see [AllowUnverified].
func WithScan(options ...savedmodel.ScanOption) Option {
	return func(c *config) error { c.scan = append(c.scan, options...); return nil }
}
