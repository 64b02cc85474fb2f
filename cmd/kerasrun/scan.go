package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kerasrun/savedmodel"
)

// scanFlags relax what a model's directory is held against, each by name.
type scanFlags struct {
	allow []string
	skip  *choices
}

func (s *scanFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.allow, "allow-op", nil, "operations to allow in the model's graph, wherever they are")
	var checks []string
	for _, check := range savedmodel.Checks() {
		checks = append(checks, string(check))
	}
	s.skip = addChoices(cmd, "skip-check", "checks of the model to leave out", checks...)
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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "scan [DIR]",
		Short: "Say what speaks against loading a model",
		Long: `Say what speaks against loading a model, a line a finding, as a linter does: a file that is missing, damaged or not the
manifest's, a signature that cannot be called, an operation that does more than compute, anywhere in the graph or its functions.

Nothing of the model is run, and TensorFlow does not see it. It exits with 1 when a finding is an error. The name in brackets is that
of the check, which --skip-check takes; other commands refuse a model for the same errors.`,
		Example: `  kerasrun scan models/resnext50
  kerasrun scan --json downloaded | jq '.findings[].message'
  kerasrun scan --allow-op DecodeJpeg downloaded`,
		Args: optionalModel,
	}
	model.register(cmd)
	scan.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an object with path, ok and findings")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := model.argument(cmd, args); err != nil {
			return err
		}
		report := scanReport{Path: model.dir, Findings: []savedmodel.Finding{}}
		m, err := model.read()
		switch {
		case err == nil:
			report.Findings = append(report.Findings, m.Scan(scan.options()...)...)
		case unreadable(err):
			report.Findings = append(report.Findings, savedmodel.Finding{
				Check: "graph", Severity: savedmodel.Error, File: savedmodel.GraphPath, Message: err.Error(),
			})
		default:
			return err
		}
		report.OK = savedmodel.Join(report.Findings) == nil
		if asJSON {
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
	for _, f := range r.Findings {
		place := printable(strings.ReplaceAll(filepath.Join(r.Path, filepath.FromSlash(f.File)), "\n", " "))
		if f.Where != "" {
			place += ": " + f.Where
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s: %s [%s]\n", place, f.Severity, f.Message, f.Check); err != nil {
			return err
		}
	}
	errors := len(slices.DeleteFunc(slices.Clone(r.Findings), func(f savedmodel.Finding) bool { return f.Severity != savedmodel.Error }))
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %d errors, %d warnings\n", r.Path, errors, len(r.Findings)-errors)
	return err
}
