package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kerasrun/contract"
	"kerasrun/object"
	"kerasrun/preprocess"
	"kerasrun/runner"
	"kerasrun/savedmodel"
)

const defaultModel = "models/resnext50"

// modelDir is the --model flag: a directory that is read without TensorFlow.
type modelDir struct {
	dir    string // as it was given; it may be an address
	copied string // where the files of an address are, once they were needed
	// quantized says whether it is the directory's quantized graph that is read; nil: it is not.
	quantized func() bool
}

func (m *modelDir) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.dir, "model", defaultModel,
		"the model's `directory`, a SavedModel; or its address, s3://..., gs://..., az://...")
	must(cmd.MarkFlagDirname("model"))
	underHeading(cmd, "Model flags", "model")
}

// argument takes the directory from the command's optional argument, where it has one.
func (m *modelDir) argument(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.Flags().Changed("model") {
		return usagef("expected the model as an argument or with --model, got both")
	}
	m.dir = args[0]
	return nil
}

// optionalModel allows one argument, a model's directory.
func optionalModel(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("expected one model, got %q", args)
	}
	return nil
}

// completeModel completes the argument of optionalModel.
func completeModel(
	_ *cobra.Command, args []string, _ string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// local is the directory that is read: with --precision int8 that of the quantized graph.
func (m *modelDir) local(ctx context.Context) (string, error) {
	dir, err := m.whole(ctx)
	if err != nil || m.quantized == nil || !m.quantized() {
		return dir, err
	}
	return runner.Quantized(dir)
}

// whole is the directory, of an address its copy in the user's cache.
func (m *modelDir) whole(ctx context.Context) (string, error) {
	if !object.IsRemote(m.dir) {
		return object.Local(m.dir)
	}
	if m.copied == "" {
		var err error
		if m.copied, err = object.CopyDirectory(ctx, m.dir); err != nil {
			return "", err
		}
	}
	return m.copied, nil
}

// read reads the directory.
func (m *modelDir) read(ctx context.Context) (*savedmodel.Model, error) {
	dir, err := m.local(ctx)
	if err != nil {
		return nil, err
	}
	model, err := savedmodel.Open(ctx, dir)
	return model, m.hint(err)
}

// hint says how the default model is made, where there is none.
func (m *modelDir) hint(err error) error {
	if m.dir == defaultModel && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; it is the default: --model DIR names yours, and in kerasrun's "+
			"repository `make run` exports this one", err)
	}
	return err
}

// goldens is the directory of the golden pack that is in the model's. The manifest may be nil.
func (m *modelDir) goldens(ctx context.Context, manifest *contract.Manifest) (string, error) {
	if manifest == nil || manifest.Goldens == "" {
		return "", fmt.Errorf("%s: expected a model with goldens of its own, got none", m.dir)
	}
	dir, err := m.local(ctx)
	return filepath.Join(dir, filepath.FromSlash(manifest.Goldens)), err
}

// pipeline is how the model's manifest has images preprocessed.
func (m *modelDir) pipeline(ctx context.Context) (*preprocess.Pipeline, error) {
	model, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	if model.Manifest == nil {
		return nil, fmt.Errorf("%s: expected a manifest that says how images are preprocessed, "+
			"found none; --image-size, --mode and --resample say it too", m.dir)
	}
	in := model.Manifest.Image()
	if in == nil {
		return nil, fmt.Errorf("%s: %s: expected one input of images, got %+v", m.dir,
			contract.ManifestPath, model.Manifest.Inputs)
	}
	p, err := in.Pipeline()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", m.dir, contract.ManifestPath, err)
	}
	if p == nil {
		return nil, fmt.Errorf("%s: expected a model that is given decoded images, got one whose "+
			"graph decodes them itself", m.dir)
	}
	return p, nil
}

// modelFlags are the common flags of the commands that run a model.
type modelFlags struct {
	modelDir
	warn         func(message string)
	devices      []string
	intra, inter int
	gpuFraction  float64
	gpuGrowth    bool
	precision    *choice
	scan         scanFlags
	unverified   bool
	sha256       []string
}

func (m *modelFlags) register(cmd *cobra.Command) {
	m.modelDir.register(cmd)
	m.warn = func(message string) { fmt.Fprintln(cmd.ErrOrStderr(), "kerasrun:", message) }
	flags := cmd.Flags()
	flags.StringSliceVar(&m.devices, "device", []string{"auto"},
		"where to run: auto, cpu, gpu, gpu:N, or several GPUs")
	completeWords(cmd, "device", "auto", "cpu", "gpu")
	m.precision = addChoice(cmd, "precision", "arithmetic", "fp32", "bf16", "fp16", "tf32", "int8")
	m.quantized = func() bool { return m.precision.value == string(runner.INT8) }
	flags.IntVar(&m.intra, "tensorflow-intra-op-parallelism", 0,
		"threads that compute one operation (default the CPUs that the process may use)")
	flags.IntVar(&m.inter, "tensorflow-inter-op-parallelism", 0,
		"operations computed at a time (default the CPUs that the process may use)")
	flags.Float64Var(&m.gpuFraction, "per-process-gpu-memory-fraction", 1,
		"share of each GPU's memory to take at most")
	flags.BoolVar(&m.gpuGrowth, "gpu-memory-growth", true,
		"take GPU memory as it is needed, not all at once")
	underHeading(cmd, "Device flags", "device", "precision", "tensorflow-intra-op-parallelism",
		"tensorflow-inter-op-parallelism", "per-process-gpu-memory-fraction", "gpu-memory-growth")
	m.scan.register(cmd)
	flags.BoolVar(&m.unverified, "allow-unverified", false,
		"run a model without a manifest too")
	flags.StringSliceVar(&m.sha256, "model-sha256", nil,
		"the model's `SHA-256`, as inspect prints it, in place of a probe; another model is "+
			"refused")
	underHeading(cmd, safetyFlags, "allow-unverified", "model-sha256")
}

// options are what the flags choose.
func (m *modelFlags) options() []runner.Option {
	options := []runner.Option{
		runner.WithDevice(m.devices...),
		runner.WithThreads(m.intra, m.inter),
		runner.WithGPUMemoryGrowth(m.gpuGrowth),
		runner.WithPrecision(runner.Precision(m.precision.value)),
		runner.WithScan(m.scan.options()...),
		runner.WithProbe(ownProgram(), probeCommand),
		runner.WithWarnings(m.warn),
	}
	if len(m.sha256) > 0 {
		options = append(options, runner.WithModelSHA256(m.sha256...))
	}
	if m.unverified {
		options = append(options, runner.AllowUnverified())
	}
	if m.gpuFraction != 1 {
		options = append(options, runner.WithGPUMemoryFraction(m.gpuFraction))
	}
	return options
}

// gpuSetup is what to do where TensorFlow is built for the CPU only.
const gpuSetup = "`TENSORFLOW=gpu make setup` installs TensorFlow for GPUs"

// open loads the model, as the flags and more options choose. It warns where a TensorFlow that is
// made for GPUs goes without one.
func (m *modelFlags) open(ctx context.Context, more ...runner.Option) (*runner.Model, error) {
	dir, err := m.whole(ctx)
	if err != nil {
		return nil, err
	}
	options := append(m.options(), more...)
	model, err := runner.Open(ctx, dir, options...)
	if wrong := (*runner.OptionError)(nil); errors.As(err, &wrong) {
		return nil, &usageError{wrong.Err}
	}
	gpu := slices.ContainsFunc(m.devices, func(d string) bool { return strings.HasPrefix(d, "gpu") })
	switch {
	case errors.Is(err, runner.ErrUnverified):
		err = fmt.Errorf("%w; --allow-unverified runs it", err)
	case err != nil && gpu && !runner.HasCUDA():
		err = fmt.Errorf("--device %s: TensorFlow %s is built for the CPU only; %s",
			strings.Join(m.devices, ","), runner.Version(), gpuSetup)
	case err == nil && m.devices[0] == "auto" && model.Devices()[0] == "cpu" && runner.HasCUDA():
		m.warn("--device auto is the CPU here: " + runner.GPUUnavailableReason())
	}
	return model, m.hint(err)
}

const probeCommand = "probe"

// newProbeCommand is what opening a model starts that nothing vouches for.
func newProbeCommand() *cobra.Command {
	return &cobra.Command{
		Use:    probeCommand,
		Short:  "Load and run the model that standard input names",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := runner.Probe(cmd.Context(), cmd.InOrStdin()); err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), err) // for the process that started this one
				return errReported
			}
			return nil
		},
	}
}

// noteSynthetic says where the classes' names mean nothing.
func noteSynthetic(stderr io.Writer, model *savedmodel.Model) {
	if model.Manifest != nil && model.Manifest.Weights.Synthetic() {
		fmt.Fprintln(stderr, "kerasrun: the model has synthetic weights, not trained ones: "+
			"its classes mean nothing")
	}
}
