// Kerasrun classifies pictures with a model that kerasrun-export made from Keras, shows what is in the model's directory, and proves
// that its answers are Keras's. `kerasrun --help` lists the commands.
//
// It exits with 0 when all went well, 1 when something failed, and 2 when it was called wrongly.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	_ "kerasrun/runner/preinit" // oneDNN on every CPU, and nothing on standard error before main
)

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(execute(untilSignal(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// untilSignal returns a context that ends with the first interrupt. The second ends the program at once, as if it were not caught; it
// is not lost however soon it follows.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		second := (<-signals).(syscall.Signal)
		signal.Reset(second)
		if err := syscall.Kill(syscall.Getpid(), second); err != nil {
			os.Exit(exitFailed)
		}
	}()
	return ctx
}

// execute runs one command line and returns its exit status.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var failed *failure
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		if !errors.Is(err, errReported) {
			reportError(stderr, err)
		}
		return exitFailed
	default:
		fmt.Fprintf(stderr, "kerasrun: %v; see '%s --help'\n", err, cmd.CommandPath())
		return exitUsage
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "kerasrun",
		Short: "Keras's image models, from Go",
		Long: `Classify pictures with a model exported from Keras by kerasrun-export, look into its directory, and prove that its answers
are Keras's.

Exit status: 0 all well, 1 something failed, 2 wrong usage.`,
		SilenceErrors: true, // execute prints them
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("want a command")
			}
			return fmt.Errorf("unknown command %q%s", args[0], suggestion(cmd, args[0]))
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args refuses every call; with a RunE cobra asks it
	}
	root.AddCommand(
		newClassifyCommand(),
		newInspectCommand(),
		newPreprocessCommand(),
		newPredictCommand(),
		newVerifyCommand(),
		newBenchCommand(),
		newScanCommand(),
		newScoreCommand(),
		newServeCommand(),
		newMergeCommand(),
		newDiffCommand(),
		newDevicesCommand(),
		newProbeCommand(),
		newVersionCommand(),
	)
	for _, cmd := range root.Commands() {
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			var usage *usageError
			if err == nil || errors.As(err, &usage) {
				return err
			}
			return &failure{err}
		}
	}
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

func suggestion(cmd *cobra.Command, name string) string {
	cmd.SuggestionsMinimumDistance = 2
	if names := cmd.SuggestionsFor(name); len(names) > 0 {
		return ", did you mean " + strings.Join(names, " or ") + "?"
	}
	return ""
}

// failure is what a command that was called rightly returned; every other error is wrong usage.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

// usageError is a wrong call that only the command itself can see.
type usageError struct{ error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errReported ends a command that has already said on standard error what failed.
var errReported = errors.New("already reported")

// reportError prints err, of which several may be joined, each on a line of its own that begins with the program's name.
func reportError(stderr io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "kerasrun: %s\n", printable(strings.TrimRight(line, "\n")))
	}
}

// printable takes out of a text what drives a terminal: names in it may be a hostile file's. Line ends and tabs stay.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
