package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kerasrun/internal/version"
	"kerasrun/runner"
)

func newVersionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of kerasrun and TensorFlow",
		Args:  noArgs,
	}
	format := addFormat(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if format.value == "json" {
			return writeJSON(cmd.OutOrStdout(), map[string]string{
				"kerasrun": version.String(), "tensorflow": runner.Version(),
			})
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "kerasrun %s\nTensorFlow %s\n",
			version.String(), runner.Version())
		return err
	}
	return cmd
}
