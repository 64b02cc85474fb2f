package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kerasrun/score"
)

// must panics where a command sets up a flag that it does not have.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// flagHeading is the annotation that holds which heading of the help a flag stands under.
const flagHeading = "heading"

// underHeading puts flags of cmd, by name, under a heading of their own in its help.
func underHeading(cmd *cobra.Command, heading string, names ...string) {
	for _, name := range names {
		must(cmd.Flags().SetAnnotation(name, flagHeading, []string{heading}))
	}
}

// choice is the value of a flag that takes one of a few words. The first word is the default.
type choice struct {
	words []string
	value string
}

// addChoice adds a flag called name, which takes one of words, and their completion.
func addChoice(cmd *cobra.Command, name, usage string, words ...string) *choice {
	c := &choice{words: words, value: words[0]}
	cmd.Flags().Var(c, name, fmt.Sprintf("%s: %s", usage, strings.Join(words, ", ")))
	completeWords(cmd, name, words...)
	return c
}

// completeWords has the shell complete a flag with words.
func completeWords(cmd *cobra.Command, name string, words ...string) {
	complete := cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	must(cmd.RegisterFlagCompletionFunc(name, complete))
}

func (c *choice) String() string { return c.value }

func (c *choice) Type() string { return "word" }

func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return fmt.Errorf("expected one of %s", strings.Join(c.words, ", "))
	}
	c.value = word
	return nil
}

// choices is the value of a flag that takes some of a few words, with commas between or one a flag.
type choices struct {
	choice
	values []string
}

// addChoices adds a flag called name, which takes any of words, none by default.
func addChoices(cmd *cobra.Command, name, usage string, words ...string) *choices {
	c := &choices{choice: choice{words: words}}
	cmd.Flags().Var(c, name, fmt.Sprintf("%s: %s", usage, strings.Join(words, ", ")))
	completeWords(cmd, name, words...)
	return c
}

func (c *choices) Type() string { return "words" }

func (c *choices) Set(words string) error {
	for word := range strings.SplitSeq(words, ",") {
		if err := c.choice.Set(word); err != nil {
			return err
		}
		c.values = append(c.values, word)
	}
	return nil
}

// limitFlag is the value of a flag that takes a number of images, or a share of them.
type limitFlag struct {
	score.Limit
	set bool
}

func (l *limitFlag) String() string {
	if !l.set {
		return ""
	}
	return l.Limit.String()
}

func (l *limitFlag) Type() string { return "limit" }

func (l *limitFlag) Set(text string) (err error) {
	l.set = true
	l.Limit, err = score.ParseLimit(text)
	return err
}

// orNil is the limit, nil where the flag was not given.
func (l *limitFlag) orNil() *score.Limit {
	if !l.set {
		return nil
	}
	return &l.Limit
}

// separatorFlag is the value of --separator; 0 has the table's header decide.
type separatorFlag struct {
	rune
	text string
}

func (s *separatorFlag) String() string { return s.text }

func (s *separatorFlag) Type() string { return "character" }

func (s *separatorFlag) Set(text string) (err error) {
	s.text = text
	s.rune, err = score.ParseSeparator(text)
	return err
}

func (s *separatorFlag) register(cmd *cobra.Command) {
	cmd.Flags().Var(s, "separator",
		"what is between the columns of a .csv or .tsv table, as ; or tab (default as its header has it)")
}

// argument is a flag and its value in one argument, for another process of this program.
func argument(f *pflag.Flag) string {
	value := f.Value.String()
	if _, list := f.Value.(pflag.SliceValue); list {
		value = value[1 : len(value)-1] // the brackets around what the flag reads
	}
	return "--" + f.Name + "=" + value
}

// ownProgram is this program, also where its file has been replaced since it started.
func ownProgram() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	program, err := os.Executable()
	if err != nil {
		return "kerasrun"
	}
	return program
}

// noArgs refuses arguments.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("expected no arguments, got %q", args)
	}
	return nil
}
