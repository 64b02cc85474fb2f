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
		Short: "Compare the outputs of two runs over the same pictures",
		Long: `Compare what score wrote in two runs over the same pictures, such as on CPU and GPU, or with one TensorFlow and the next: top classes that
flipped, how far probabilities moved, and the pictures that moved most.

It exits with 1 when a top class flipped, a picture was answered in only one run, or anything moved by more than the tolerance.`,
		Example: `  kerasrun diff --tolerance 1e-4 cpu.parquet gpu.parquet`,
		Args:    cobra.ExactArgs(2),
	}
	cmd.Flags().Float64Var(&tolerance, "tolerance", 1e-5, "how far a probability, or a feature, may move")
	format := addChoice(cmd, "format", "what to print", "text", "json")
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

func writeDifference(w io.Writer, d score.Difference) error {
	fmt.Fprintf(w, "pictures in both            %d\nonly in the first           %d\nonly in the second          %d\n", d.Images, d.OnlyA, d.OnlyB)
	fmt.Fprintf(w, "answered in one only        %d\ntop class flipped           %d\nother classes in the top    %d\n", d.Errors, d.TopFlips, d.SetFlips)
	_, err := fmt.Fprintf(w, "largest difference          %.3g\nmean of largest differences %.3g\ntolerance                   %.3g\n", d.Max, d.Mean, d.Tolerance)
	for _, c := range d.Worst {
		_, err = fmt.Fprintf(w, "  %-10.3g class %d, %d  %s\n", c.Difference, c.TopA, c.TopB, c.Path)
	}
	return err
}
