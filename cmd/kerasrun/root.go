package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kerasrun/internal/version"
)

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "kerasrun",
		Short: "Run image models from Keras, without Python",
		Long: `Classify images with a model that kerasrun-export exported from Keras, inspect and serve
it, and verify that its predictions match Keras.

Exit status: 0 all well, 1 something failed, 2 wrong usage, 3 done, with failed images, 129, 130
or 143 stopped by SIGHUP (a closed terminal), an interrupt or SIGTERM.`,
		Version:       version.String(),
		SilenceErrors: true, // execute prints them
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("unknown command %q%s", args[0], suggestCommand(cmd, args[0]))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("kerasrun {{.Version}}\n")
	setHelp(root)
	root.SetFlagErrorFunc(suggestFlag)
	addGroup(root, "images", "Classify images",
		newClassifyCommand(), newScoreCommand(), newMergeCommand(), newDiffCommand(), newServeCommand())
	addGroup(root, "tensors", "Run tensors", newPreprocessCommand(), newPredictCommand())
	addGroup(root, "models", "Check a model",
		newInspectCommand(), newScanCommand(), newVerifyCommand(), newEvaluateCommand())
	addGroup(root, "machine", "Measure", newBenchCommand(), newDevicesCommand())
	root.AddGroup(&cobra.Group{ID: "other", Title: "Other commands"})
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	versionCommand := newVersionCommand()
	versionCommand.GroupID = "other"
	root.AddCommand(versionCommand, newManCommand(), newProbeCommand(),
		newWorkerCommand())
	for _, cmd := range root.Commands() {
		cmd.RunE = markFailures(cmd.RunE)
		cmd.Flags().SortFlags = false
		// saved_model_cli and TensorFlow Serving write flags with underscores.
		cmd.Flags().SetNormalizeFunc(hyphenated)
	}
	root.InitDefaultVersionFlag()
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Args = func(_ *cobra.Command, args []string) error {
			if cmd, rest, err := root.Find(args); err != nil || len(rest) > 0 || cmd == nil {
				return fmt.Errorf("no help for %q", strings.Join(args, " "))
			}
			return nil
		}
	}
	return root
}

// addGroup adds commands that stand together in the help of root.
func addGroup(root *cobra.Command, id, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, cmd := range commands {
		cmd.GroupID = id
	}
	root.AddCommand(commands...)
}

// markFailures tells the errors of a command that was called correctly from wrong usage.
func markFailures(
	run func(*cobra.Command, []string) error,
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		var usage *usageError
		if err == nil || errors.As(err, &usage) {
			return err
		}
		return &failure{err}
	}
}

func hyphenated(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
}

// suggestCommand names the commands that are spelled like name.
func suggestCommand(cmd *cobra.Command, name string) string {
	cmd.SuggestionsMinimumDistance = 2
	return didYouMean(cmd.SuggestionsFor(name))
}

// suggestFlag adds to the error for an unknown flag the flags that are spelled like it.
func suggestFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return err
	}
	// Cobra compares the names of commands only.
	flags := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	names := flags.SuggestionsFor(unknown.GetSpecifiedName())
	for i, name := range names {
		names[i] = "--" + name
	}
	return fmt.Errorf("%w%s", err, didYouMean(names))
}

func didYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", did you mean " + strings.Join(names, " or ") + "?"
}
