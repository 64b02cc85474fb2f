package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kerasrun/score"
)

func newMergeCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "merge --output OUT SHARD...",
		Short: "Join the outputs of all shards of a run",
		Long: `Join what score --shard wrote for every shard of a run. The output is, byte for byte, what
one run over all images would have written.`,
		Example: `  kerasrun merge --output scores.csv scores-0*-of-00004.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case output == "":
				return errors.New("missing --output")
			case len(args) == 0:
				return errors.New("missing SHARD")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "",
		"the output `file`, in the format of the shards")
	must(cmd.MarkFlagFilename("output", outputExtensions...))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := score.Merge(output, args, versions())
		if err != nil {
			return asUsage(err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "kerasrun: %d shards, %d images, %d scored, %d failed: %s\n",
			len(args), m.Images, m.Answered, m.Failed, output)
		return nil
	}
	return cmd
}

// asUsage makes a usage error of the errors by which package score says that it was called wrongly.
func asUsage(err error) error {
	var usage *score.UsageError
	if errors.As(err, &usage) {
		return &usageError{err}
	}
	return err
}
