package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"kerasrun/internal/version"
)

func newManCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "man --out DIR",
		Short:  "Write the manual pages into a directory",
		Hidden: true, // for packagers
		Args:   noArgs,
	}
	cmd.Flags().StringVar(&dir, "out", "", "`directory` to write to")
	must(cmd.MarkFlagRequired("out"))
	must(cmd.MarkFlagDirname("out"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		header := &doc.GenManHeader{Section: "1", Source: "kerasrun " + version.String()}
		cmd.Root().DisableAutoGenTag = true
		return doc.GenManTree(cmd.Root(), header, dir)
	}
	return cmd
}
