package score

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"kerasrun/object"
)

var failuresHeader = []string{"index", "path", "error"}

// checkFailuresFile returns an error where the file that Config.Failures names is one that it must
// not replace: one of the run's own, or one with something else in it, as an input is.
func (c Config) checkFailuresFile(ctx context.Context, output string) error {
	if c.Failures == "" {
		return nil
	}
	for _, own := range []string{output, output + journalSuffix, ManifestPath(output),
		ReportPath(output), output + reportPageSuffix} {
		if c.Failures == own {
			return fmt.Errorf("failures: expected a file of their own, got %s, which this run writes",
				own)
		}
	}
	if local, err := object.Local(c.Failures); err == nil && !object.IsRemote(c.Failures) {
		if info, err := os.Stat(local); err == nil && !info.Mode().IsRegular() {
			return nil // a pipe holds nothing
		}
	}
	want := strings.Join(failuresHeader, ",") + "\n"
	head, err := object.ReadHead(ctx, c.Failures, int64(len(want)))
	if errors.Is(err, fs.ErrNotExist) || err == nil && (len(head) == 0 || string(head) == want) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: expected no file, or one of the failures of a run, got one that does not "+
		"begin with %q: remove it, or name another", c.Failures, want)
}

// writeFailures writes the failed ones of all records to the file that Config.Failures names.
func (c Config) writeFailures(each func(func(Record) error) error) error {
	if c.Failures == "" {
		return nil
	}
	return object.Write(context.Background(), c.Failures, func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(failuresHeader); err != nil {
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
