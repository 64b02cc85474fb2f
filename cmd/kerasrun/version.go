package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kerasrun/runner"
)

// version is that of this program; the exporter writes the same into its manifests.
const version = "0.1.0"

func newVersionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of kerasrun and of TensorFlow",
		Args:  noArgs,
	}
	format := addChoice(cmd, "format", "what to print", "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if format.value == "json" {
			return writeJSON(cmd.OutOrStdout(), map[string]string{"kerasrun": version, "tensorflow": runner.Version()})
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "kerasrun %s\nTensorFlow %s\n", version, runner.Version())
		return err
	}
	return cmd
}
