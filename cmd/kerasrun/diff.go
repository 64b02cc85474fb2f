package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kerasrun/score"
)

func newDiffCommand() *cobra.Command {
	var tolerance float64
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare what two runs of score wrote",
		Long: `Compare what score wrote in two runs over the same images, such as on CPU and GPU, or with
one TensorFlow and the next: top classes that flipped, how far probabilities moved, and the images
that moved most.

Exit status: 1 when a top class flipped, an image has a result in only one run, or a probability
moved by more than the tolerance.`,
		Example: `  kerasrun diff --tolerance 1e-4 cpu.parquet gpu.parquet`,
		Args:    twoOutputs,
	}
	cmd.Flags().Float64Var(&tolerance, "tolerance", 1e-5,
		"how far a probability, or a feature, may move")
	format := addFormat(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := score.Diff(args[0], args[1], tolerance)
		if err != nil {
			return asUsage(err)
		}
		if format.value == "json" {
			err = writeJSON(cmd.OutOrStdout(), d)
		} else {
			err = writeDifference(cmd.OutOrStdout(), d)
		}
		if err != nil {
			return err
		}
		if !d.OK() {
			return fmt.Errorf("%s and %s differ beyond the tolerance", args[0], args[1])
		}
		return nil
	}
	return cmd
}

// twoOutputs allows two arguments.
func twoOutputs(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("expected the outputs A and B, got %d arguments", len(args))
	}
	return nil
}

func writeDifference(w io.Writer, d score.Difference) error {
	fmt.Fprintf(w, "images in both              %d\n", d.Images)
	fmt.Fprintf(w, "only in the first           %d\n", d.OnlyA)
	fmt.Fprintf(w, "only in the second          %d\n", d.OnlyB)
	fmt.Fprintf(w, "with a result in one only   %d\n", d.Errors)
	fmt.Fprintf(w, "top class flipped           %d\n", d.TopFlips)
	fmt.Fprintf(w, "other classes in the top    %d\n", d.SetFlips)
	fmt.Fprintf(w, "largest difference          %.3g\n", d.Max)
	fmt.Fprintf(w, "mean of largest differences %.3g\n", d.Mean)
	_, err := fmt.Fprintf(w, "tolerance                   %.3g\n", d.Tolerance)
	for _, c := range d.Worst {
		_, err = fmt.Fprintf(w, "  %-10.3g class %d, %d  %s\n",
			c.Difference, c.TopA, c.TopB, c.Path)
	}
	return err
}
