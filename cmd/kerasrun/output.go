package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// writeFile writes a file under another name first, so that a failure half way leaves the old file
// as it was. What is not a regular file, such as /dev/stdout, is written to directly.
func writeFile(path string, write func(io.Writer) error) error {
	target := path
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		target = path + ".partial"
	}
	f, err := os.Create(target)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if target != path {
		if err == nil {
			err = os.Rename(target, path)
		}
		if err != nil {
			os.Remove(target) // what is reported is why it was not finished
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

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
