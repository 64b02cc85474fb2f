package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"kerasrun/runner/golden"
)

func newVerifyCommand() *cobra.Command {
	var model modelFlags
	var goldens string
	cmd := &cobra.Command{
		Use:   "verify [MODEL]",
		Short: "Prove that the answers are Keras's",
		Long: `Compute every case of a golden pack and compare it, stage by stage, with what Keras in Python made of it: the decoded picture,
the resized one, the tensor, and the model's outputs, for every case alone, in a batch, and in a batch with other rows between.

It exits with 1 when any stage differs by more than its tolerance. The pack is the model's own, or, with --goldens, any that
` + "`python -m tools.golden`" + ` wrote.`,
		Example: `  kerasrun verify
  kerasrun verify --goldens pack models/mine
  kerasrun verify --format junit > verify.xml`,
		Args: optionalModel,
	}
	model.register(cmd)
	cmd.Flags().StringVar(&goldens, "goldens", "", "directory of the golden pack (default the model's own)")
	format := addChoice(cmd, "format", "what to print", "text", "json", "junit")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := model.argument(cmd, args); err != nil {
			return err
		}
		m, err := model.open()
		if err != nil {
			return err
		}
		defer m.Close()
		if goldens == "" {
			manifest := m.Directory().Manifest
			if manifest == nil || manifest.Goldens == "" {
				return fmt.Errorf("%s: the model has no goldens of its own; want --goldens", model.dir)
			}
			goldens = filepath.Join(model.dir, filepath.FromSlash(manifest.Goldens))
		}
		pack, err := golden.Open(goldens)
		if err != nil {
			return err
		}
		report, err := golden.Verify(cmd.Context(), m, pack)
		if err != nil {
			return err
		}
		write := map[string]func() error{
			"text":  func() error { return report.WriteText(cmd.OutOrStdout()) },
			"json":  func() error { return report.WriteJSON(cmd.OutOrStdout()) },
			"junit": func() error { return report.WriteJUnit(cmd.OutOrStdout()) },
		}[format.value]
		if err := write(); err != nil {
			return err
		}
		if !report.OK {
			return fmt.Errorf("%s does not answer as %s does", model.dir, pack.Reference)
		}
		return nil
	}
	return cmd
}
