package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// choice is the value of a flag that takes one of a few words. The first word is the default.
type choice struct {
	words []string
	value string
}

// addChoice adds a flag called name, which takes one of words, and their completion.
func addChoice(cmd *cobra.Command, name, usage string, words ...string) *choice {
	c := &choice{words: words, value: words[0]}
	cmd.Flags().Var(c, name, fmt.Sprintf("%s: %s", usage, strings.Join(words, ", ")))
	// It fails for a flag that does not exist or has one already.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (c *choice) String() string { return c.value }

func (c *choice) Type() string { return "word" }

func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return fmt.Errorf("want one of %s", strings.Join(c.words, ", "))
	}
	c.value = word
	return nil
}

// choices is the value of a flag that takes some of a few words, with commas between or one a flag.
type choices struct {
	choice
	values []string
}

// addChoices adds a flag called name, which takes any of words, none by default, and their completion.
func addChoices(cmd *cobra.Command, name, usage string, words ...string) *choices {
	c := &choices{choice: choice{words: words}}
	cmd.Flags().Var(c, name, fmt.Sprintf("%s:\n%s", usage, strings.Join(words, ", ")))
	// It fails for a flag that does not exist or has one already.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
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
