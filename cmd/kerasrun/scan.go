package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"kerasrun/savedmodel"
)

// safetyFlags is the heading of the flags that let more models pass.
const safetyFlags = "Safety flags"

// scanFlags leave out some of what a model's directory is checked for, each by name.
type scanFlags struct {
	allow []string
	skip  *choices
}

func (s *scanFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.allow, "allow-op", nil,
		"operations to allow in the model's graph, wherever they are")
	var checks []string
	for _, check := range savedmodel.Checks() {
		checks = append(checks, string(check))
	}
	s.skip = addChoices(cmd, "skip-check", "checks of the model to leave out", checks...)
	underHeading(cmd, safetyFlags, "allow-op", "skip-check")
}

func (s *scanFlags) options() []savedmodel.ScanOption {
	options := []savedmodel.ScanOption{savedmodel.AllowOps(s.allow...)}
	for _, check := range s.skip.values {
		options = append(options, savedmodel.Skip(savedmodel.Check(check)))
	}
	return options
}

// scanReport is the JSON of scan.
type scanReport struct {
	Path     string               `json:"path"`
	OK       bool                 `json:"ok"` // no finding is an error
	Findings []savedmodel.Finding `json:"findings"`
}

func newScanCommand() *cobra.Command {
	var model modelDir
	var scan scanFlags
	cmd := &cobra.Command{
		Use:   "scan [DIR]",
		Short: "List the problems found in a model",
		Long: `List the problems found in a model, a line each, as a linter does: a file that is missing,
damaged or not the manifest's; a signature that cannot be called; an operation that does more than
compute, anywhere in the graph or its functions.

The model is read without TensorFlow and nothing of it is run. The name in brackets is that of the
check, which --skip-check takes. Other commands refuse a model for the same errors.

Exit status: 1 when a finding is an error.`,
		Example: `  kerasrun scan models/resnext50
  kerasrun scan --format json downloaded | jq '.findings[].message'
  kerasrun scan --allow-op DecodeJpeg downloaded`,
		Args:              optionalModel,
		ValidArgsFunction: completeModel,
	}
	format := addFormat(cmd, "text", "json")
	model.register(cmd)
	scan.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := model.argument(cmd, args); err != nil {
			return err
		}
		report := scanReport{Path: model.dir, Findings: []savedmodel.Finding{}}
		m, err := model.read(cmd.Context())
		switch {
		case err == nil:
			found, err := m.Scan(cmd.Context(), scan.options()...)
			if err != nil {
				return fmt.Errorf("%s: %w", model.dir, err)
			}
			report.Findings = append(report.Findings, found...)
		case unreadable(err):
			report.Findings = append(report.Findings, savedmodel.Finding{
				Check: "graph", Severity: savedmodel.Error, File: savedmodel.GraphPath,
				Message: err.Error(),
			})
		default:
			return err
		}
		report.OK = savedmodel.Join(report.Findings) == nil
		if format.value == "json" {
			err = writeJSON(cmd.OutOrStdout(), report)
		} else {
			err = report.write(cmd)
		}
		if err == nil && !report.OK {
			err = errReported
		}
		return err
	}
	return cmd
}

// unreadable tells a graph that is malformed or unsupported from a directory that cannot be opened.
func unreadable(err error) bool {
	var malformed *savedmodel.FormatError
	var unsupported *savedmodel.UnsupportedError
	return errors.As(err, &malformed) || errors.As(err, &unsupported)
}

func (r scanReport) write(cmd *cobra.Command) error {
	errors := 0
	for _, f := range r.Findings {
		file := filepath.Join(r.Path, filepath.FromSlash(f.File))
		place := printableLine(file)
		if f.Where != "" {
			place += ": " + f.Where
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s: %s [%s]\n",
			place, f.Severity, f.Message, f.Check)
		if err != nil {
			return err
		}
		if f.Severity == savedmodel.Error {
			errors++
		}
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %d errors, %d warnings\n",
		r.Path, errors, len(r.Findings)-errors)
	return err
}
