// Kerasrun classifies images with models exported from Keras by kerasrun-export, inspects and
// serves them, and verifies that predictions match Keras. `kerasrun --help` lists the commands.
//
// Exit status: 0 all well, 1 something failed, 2 wrong usage, 3 done, with failed images, 129,
// 130 or 143 stopped by SIGHUP (a closed terminal), an interrupt or SIGTERM.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"kerasrun/internal/interrupt"
	_ "kerasrun/runner/preinit" // oneDNN on every CPU, and nothing on standard error before main
)

//go:generate go test . -run TestDocs -update

const (
	exitFailed       = 1
	exitUsage        = 2
	exitFailedImages = 3
)

func main() {
	ctx := interrupt.Context()
	stdin := newReader(ctx, os.Stdin)
	os.Exit(interrupt.Status(ctx, execute(ctx, os.Args[1:], stdin, os.Stdout, os.Stderr)))
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
	case errors.Is(err, errFailedImages):
		return exitFailedImages
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

// failure is the error of a command that was called correctly; every other error is wrong usage.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

// usageError is a wrong call that only the command itself can see.
type usageError struct{ error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errReported ends a command that has already printed what failed to standard error.
var errReported = errors.New("already reported")

// errFailedImages ends a command that has done its work but for images that it has named.
var errFailedImages = errors.New("done, with failed images")

// reportError prints err, of which several may be joined, one a line, after the program's name.
func reportError(stderr io.Writer, err error) {
	text := err.Error()
	// "open x: no such file or directory" names a system call, and may stand behind "x: ".
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		path := file.Path + ": "
		text = strings.Replace(text, file.Error(), path+file.Err.Error(), 1)
		text = strings.Replace(text, path+path, path, 1)
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(stderr, "kerasrun: %s\n", printable(strings.TrimRight(line, "\n")))
	}
}

// printableLine is printable, for a name that is part of a line.
func printableLine(text string) string {
	return printable(strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
}

// printable replaces control characters, except line ends and tabs: a name may come from a hostile
// file and drive the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
