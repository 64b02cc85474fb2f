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
		Use:     "merge --output OUT SHARD...",
		Short:   "Join the outputs of all shards of a run",
		Long:    `Join what score --shard wrote for every part of a run into the output of the whole, byte for byte what one run would have written.`,
		Example: `  kerasrun merge --output scores.csv scores-0*-of-00004.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if output == "" || len(args) == 0 {
				return errors.New("want --output and the outputs of all shards")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "the output, in the format of the shards")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := score.Merge(output, args, versions())
		if err != nil {
			return asUsage(err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "kerasrun: %d shards, %d pictures in, %d answered, %d failed: %s\n", len(args), m.Images, m.Answered, m.Failed, output)
		return nil
	}
	return cmd
}

// asUsage makes a usage error of the errors by which package score says that it was asked wrongly.
func asUsage(err error) error {
	var usage *score.UsageError
	if errors.As(err, &usage) {
		return &usageError{err}
	}
	return err
}
