package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
)

// writeJSON prints v as indented JSON.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// addFormat adds the flag --format, whose first format is the default.
func addFormat(cmd *cobra.Command, formats ...string) *choice {
	return addChoice(cmd, "format", "what to print", formats...)
}
