package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kerasrun/contract"
	"kerasrun/golden"
	"kerasrun/internal/junit"
	"kerasrun/runner"
)

func newVerifyCommand() *cobra.Command {
	var model modelFlags
	var goldens goldenFlags
	cmd := &cobra.Command{
		Use:   "verify [MODEL]",
		Short: "Verify that predictions match Keras",
		Long: `Compute every case of a golden pack and compare it, stage by stage, with what Keras in
Python made of it: the decoded image, the resized one, the tensor, and the model's outputs. Outputs
are compared for every case alone, in a batch, and in a batch with other rows between.

The pack is the model's own, or, with --goldens, any that kerasrun-golden wrote. Where the pack was
written under another contract than the model's, each field that differs is named and nothing is
compared. The report says whether the reference is your own function or was made from the manifest,
and, of a failure, whether it looks like rounding or like another model.

The tolerances are the pack's: measured by what the reference itself moves by when it runs one by
one and in batches. --tolerance gives an output another one, of its |difference|. --min-top1 also
demands the reference's class for a share of the cases, of a map's pixels.

With another --precision than fp32 the outputs of fp32 are shown, and judged, before its own. Those
of tf32 are held to 200 times the tolerances. Those of bf16 and fp16 are measured: only NaN fails,
or outputs equal to those of fp32, because then the precision was not used. --format json prints an
object for each of the two, junit a test suite, with a case a stage and one an image.

int8 is the quantized graph of the directory, with goldens of its own, which an integer reference in
Python has computed: they are held to that, alone. What was measured against Keras at its export is
shown behind them, and --min-top1 also demands its share of that.

Exit status: 1 when any stage differs by more than its tolerance.`,
		Example: `  kerasrun verify
  kerasrun verify --goldens pack models/mine
  kerasrun verify --tolerance probs=1e-4 --min-top1 0.999 models/mine
  kerasrun verify --precision bf16
  kerasrun verify --precision int8 --min-top1 0.99 models/mine
  kerasrun verify --format junit > verify.xml`,
		Args:              optionalModel,
		ValidArgsFunction: completeModel,
	}
	goldens.register(cmd)
	format := addFormat(cmd, "text", "json", "junit")
	model.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := model.argument(cmd, args); err != nil {
			return err
		}
		if err := goldens.parse(); err != nil {
			return err
		}
		reports, err := verifyAll(cmd, args, &model, &goldens)
		if format.value == "junit" {
			err = errors.Join(err, writeJUnit(cmd, &model, reports, err))
		}
		if err != nil {
			return err
		}
		ok := true
		for i, report := range reports {
			ok = ok && report.OK
			var err error
			switch {
			case format.value == "json":
				err = report.WriteJSON(cmd.OutOrStdout())
			case format.value == "text" && i > 0:
				_, err = io.WriteString(cmd.OutOrStdout(), "\n"+printable(report.String()))
			case format.value == "text":
				_, err = io.WriteString(cmd.OutOrStdout(), printable(report.String()))
			}
			if err != nil {
				return err
			}
		}
		if model.quantized() {
			to := io.Discard
			if format.value == "text" {
				to = cmd.OutOrStdout()
			}
			if err := verifyParity(cmd.Context(), to, &model, goldens.minTop1); err != nil {
				return err
			}
		}
		if !ok {
			return fmt.Errorf("%s: outputs differ from those of %s", model.dir, reports[0].Reference)
		}
		if len(reports) > 1 && unchanged(reports[0], reports[1]) {
			return fmt.Errorf("precision %s: every output is that of fp32: TensorFlow did not use it",
				model.precision.value)
		}
		return nil
	}
	return cmd
}

// verifyAll reports of the model in fp32, and in the precision that is asked for where it is another.
func verifyAll(
	cmd *cobra.Command, args []string, model *modelFlags, goldens *goldenFlags,
) (reports []*golden.Report, err error) {
	// The quantized graph has goldens of its own, which those of fp32 say nothing of.
	if model.precision.value != string(runner.FP32) && !model.quantized() {
		report, err := verifyElsewhere(cmd, args)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	report, err := verify(cmd.Context(), model, goldens)
	if err != nil {
		return nil, err
	}
	return append(reports, report), nil
}

// verifyParity writes what was measured of a quantized graph when it was exported, and returns an
// error where fewer images than that share had the class of Keras.
func verifyParity(ctx context.Context, w io.Writer, model *modelFlags, minTop1 float64) error {
	saved, err := model.read(ctx)
	if err != nil {
		return err
	}
	if saved.Manifest == nil || saved.Manifest.Quantization == nil {
		return fmt.Errorf("%s: precision int8: expected a quantized graph's manifest, got another",
			model.dir)
	}
	p := saved.Manifest.Quantization.Parity
	if _, err := fmt.Fprintf(w, "\nat export: %s\n", parityWords(p)); err != nil {
		return err
	}
	if p.Top1 < minTop1 {
		return fmt.Errorf("%s: precision int8: expected the class of Keras for a share of %v, "+
			"got %v of %d images at its export", model.dir, minTop1, p.Top1, p.Images)
	}
	return nil
}

// writeJUnit writes a suite for each report, or one whose one case could not be checked, and why.
func writeJUnit(
	cmd *cobra.Command, model *modelFlags, reports []*golden.Report, failure error,
) error {
	properties := versions()
	properties["model"] = model.dir
	if failure != nil {
		return junit.Write(cmd.OutOrStdout(), junit.Suite{Name: model.dir,
			Properties: junit.Properties(properties), Cases: []junit.Case{{Class: "kerasrun.verify",
				Name: "open", Error: &junit.Failure{Message: failure.Error()}}}})
	}
	saved, err := model.read(cmd.Context())
	if err != nil {
		return err
	}
	properties["model.sha256"] = saved.Manifest.ID() // of its manifest, which has the files'
	return golden.WriteJUnit(cmd.OutOrStdout(), properties, reports...)
}

// verifyElsewhere verifies in fp32 with the command's other flags, in a process of its own.
// TensorFlow has tf32 on or off for a whole process. In one that has computed in fp32 on a GPU it
// would go on with the convolutions that it chose for that.
func verifyElsewhere(cmd *cobra.Command, args []string) (*golden.Report, error) {
	command := []string{cmd.Name()}
	cmd.Flags().Visit(func(f *pflag.Flag) { command = append(command, argument(f)) })
	command = append(command, "--precision=fp32", "--format=json", "--")
	other := exec.CommandContext(cmd.Context(), ownProgram(), append(command, args...)...)
	var stderr bytes.Buffer
	other.Stderr = &stderr
	out, failed := other.Output() // with 1 too where the report says so
	report := new(golden.Report)
	if err := json.Unmarshal(out, report); err != nil {
		message := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "kerasrun: ")
		if other.ProcessState.ExitCode() == exitUsage {
			// execute says that again.
			message, _, _ = strings.Cut(message, "; see '"+cmd.CommandPath())
			return nil, usagef("%s", message)
		}
		if message == "" {
			return nil, fmt.Errorf("precision fp32: %w", cmp.Or(failed, err))
		}
		return nil, fmt.Errorf("precision fp32: %s", message)
	}
	return report, nil
}

// unchanged says whether two reports of one pack have the same differences in every output.
// TensorFlow ignores a precision that it cannot apply, without an error.
func unchanged(a, b *golden.Report) bool {
	return slices.EqualFunc(a.Stages, b.Stages, func(x, y golden.Stage) bool {
		return x.Run == "" || x.Max == y.Max && x.Mean == y.Mean
	})
}

// goldenFlags choose the pack and how it is judged.
type goldenFlags struct {
	dir        string
	tolerance  []string
	minTop1    float64
	tolerances map[string]float64 // by output, of tolerance
}

func (g *goldenFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&g.dir, "goldens", "",
		"`directory` of the golden pack (default the model's own)")
	must(cmd.MarkFlagDirname("goldens"))
	flags.StringSliceVar(&g.tolerance, "tolerance", nil,
		"`NAME=NUMBER`, the largest |difference| of the output of that name (default the pack's)")
	flags.Float64Var(&g.minTop1, "min-top1", 0,
		"share of cases, 0 to 1, that have to have the reference's class")
}

func (g *goldenFlags) parse() error {
	if !(g.minTop1 >= 0 && g.minTop1 <= 1) {
		return usagef("--min-top1: expected 0 to 1, got %v", g.minTop1)
	}
	g.tolerances = map[string]float64{}
	for _, word := range g.tolerance {
		at := strings.LastIndexByte(word, '=')
		number, err := strconv.ParseFloat(word[at+1:], 64)
		if at < 1 || err != nil || !(number >= 0) || math.IsInf(number, 1) {
			return usagef("--tolerance: expected NAME=NUMBER, as probs=1e-4, got %q", word)
		}
		g.tolerances[word[:at]] = number
	}
	return nil
}

// open opens the pack, or the model's own, judged as the flags say.
func (g *goldenFlags) open(
	ctx context.Context, model *modelFlags, manifest *contract.Manifest,
) (*golden.Pack, error) {
	dir := g.dir
	if dir == "" {
		var err error
		if dir, err = model.goldens(ctx, manifest); err != nil {
			return nil, fmt.Errorf("%w; --goldens names a pack", err)
		}
	}
	pack, err := golden.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := pack.CheckContract(manifest); err != nil {
		return nil, err
	}
	if pack, err = judged(pack, model.precision.value).Tolerating(g.tolerances); err != nil {
		return nil, usagef("--tolerance: %v", err)
	}
	pack.MinTop1 = g.minTop1
	return pack, nil
}

// verify verifies the model, in the precision that its flags choose, against a pack. A pack that
// does not suit it is refused before it is loaded.
func verify(ctx context.Context, model *modelFlags, goldens *goldenFlags) (*golden.Report, error) {
	saved, err := model.read(ctx)
	if err != nil {
		return nil, err
	}
	var pack *golden.Pack
	var options []runner.Option
	if saved.Manifest != nil {
		if pack, err = goldens.open(ctx, model, saved.Manifest); err != nil {
			return nil, err
		}
		options = append(options, runner.WithSignature(pack.Signature))
	}
	m, err := model.open(ctx, options...) // says what is wrong with a manifest
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if pack == nil {
		return nil, fmt.Errorf("%s: expected a model with a manifest, which says how images are "+
			"prepared, got none", model.dir)
	}
	report, err := golden.Verify(ctx, m, pack)
	if err != nil {
		return nil, err
	}
	report.Precision = model.precision.value
	return report, nil
}

// tf32Tolerance is how many times the tolerances of fp32 tf32 has, since its products have 10 bits
// in place of 23: 2e-3 of probabilities. Rounding the operands of every product of ResNeXt50 to 10
// bits moved them by up to 5e-4.
const tf32Tolerance = 200

// judged is the pack as it judges a precision.
func judged(pack *golden.Pack, precision string) *golden.Pack {
	switch runner.Precision(precision) {
	case runner.FP32, runner.INT8:
		return pack
	case runner.TF32:
		return pack.Loosened(tf32Tolerance)
	default:
		return pack.Measured()
	}
}
