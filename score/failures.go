package score

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"kerasrun/object"
)

// writeFailures writes the failed ones of all records to the file that Config.Failures names.
func (c Config) writeFailures(each func(func(Record) error) error) error {
	if c.Failures == "" {
		return nil
	}
	return object.Write(context.Background(), c.Failures, func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write([]string{"index", "path", "error"}); err != nil {
			return err
		}
		err := each(func(r Record) error {
			if r.Error == "" {
				return nil
			}
			return out.Write([]string{strconv.FormatInt(r.Index, 10), r.Path, r.Error})
		})
		if err != nil {
			return err
		}
		out.Flush()
		return out.Error()
	})
}

// writeFailuresOf writes the failed images of an output that is complete.
func (c Config) writeFailuresOf(output string, m Manifest) error {
	if c.Failures != "" && m.Skipped > 0 {
		return fmt.Errorf("%s: its %d failed images were left out, so that %s cannot be written; "+
			"remove the output to score again", output, m.Skipped, c.Failures)
	}
	return c.writeFailures(func(add func(Record) error) error {
		return inOrder([]string{output}, add)
	})
}
