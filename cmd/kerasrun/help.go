package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the longest line of a help text, in columns.
const helpWidth = 100

// usageTemplate is cobra's own with the flags under several headings.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{- if .HasExample}}

Examples:
{{.Example}}
{{- end}}
{{- $commands := .Commands}}
{{- range $group := .Groups}}

{{.Title}}:
{{- range $commands}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{- end}}
{{- if and .HasAvailableSubCommands (not .Groups)}}

Commands:
{{- range $commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{- end}}
{{- range flagSections .}}

{{.Heading}}:
{{.Usages}}
{{- end}}
{{- if .HasAvailableSubCommands}}

Use "{{.CommandPath}} COMMAND --help" for more about a command.
{{- end}}
`

// setHelp gives root and its commands the help texts of this program.
func setHelp(root *cobra.Command) {
	cobra.AddTemplateFunc("flagSections", flagSections)
	root.SetUsageTemplate(usageTemplate)
}

// flagSection is one heading of a help text with the lines of its flags.
type flagSection struct {
	Heading, Usages string
}

// flagSections are the flags of cmd: its own, then each heading's, then those that all commands
// have.
func flagSections(cmd *cobra.Command) []flagSection {
	const own, global = "Flags", "Global flags"
	headings := []string{own}
	sets := map[string]*pflag.FlagSet{}
	visit := func(f *pflag.Flag) {
		heading := own
		if given := f.Annotations[flagHeading]; len(given) > 0 {
			heading = given[0]
		} else if f.Name == "help" || f.Name == "version" {
			heading = global
		}
		if !slices.Contains(headings, heading) && heading != global {
			headings = append(headings, heading)
		}
		if sets[heading] == nil {
			sets[heading] = pflag.NewFlagSet(heading, pflag.ContinueOnError)
			sets[heading].SortFlags = false
		}
		sets[heading].AddFlag(f)
	}
	cmd.Flags().VisitAll(visit)
	var sections []flagSection
	for _, heading := range append(headings, global) {
		if set := sets[heading]; set != nil && set.HasAvailableFlags() {
			usages := strings.TrimRight(set.FlagUsagesWrapped(helpWidth), "\n")
			sections = append(sections, flagSection{heading, usages})
		}
	}
	return sections
}
