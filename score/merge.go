package score

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"kerasrun/object"
)

// Merge joins the outputs of all shards of a run into what a single run would have written, byte
// for byte. The shards must be complete and of one run; whatever is missing, double or different is
// an error that names it.
func Merge(output string, shards []string, versions map[string]string) (m Manifest, err error) {
	format, err := formatOf(output)
	if err != nil {
		return m, err
	}
	if len(shards) == 0 || output == "-" {
		return m, &UsageError{"merge: expected an output file and the outputs of all shards"}
	}
	if _, err := object.Stat(context.Background(), output); !errors.Is(err, os.ErrNotExist) {
		return m, errors.Join(err,
			fmt.Errorf("%s is there already; remove it or name another output", output))
	}
	m, err = shardManifests(shards, format)
	if err != nil {
		return m, err
	}
	var rows int64
	m.OutputSHA256, m.OutputBytes, err = writeOutput(output, func(w io.Writer) error {
		out, err := newSink(w, format, m.Schema)
		if err != nil {
			return err
		}
		err = inOrder(shards, func(r Record) error {
			rows++
			return out.Write(r)
		})
		if err != nil {
			return err
		}
		return out.Close()
	})
	if err != nil {
		return m, err
	}
	if want := m.Images - m.Skipped; rows != want {
		return m, errors.Join(fmt.Errorf("%s: expected %d rows, got %d", output, want, rows),
			object.Remove(context.Background(), output))
	}
	m.Finished, m.Versions = time.Now().UTC(), versions
	return m, cmp.Or(mergeReports(output, shards, m), writeManifest(output, m))
}

// mergeReports writes the report of the whole run, where every shard has one.
func mergeReports(output string, shards []string, m Manifest) error {
	whole := newReporter(m.Schema)
	for _, shard := range shards {
		r, err := ReadReport(shard)
		if errors.Is(err, os.ErrNotExist) { // written by a version without reports
			return nil
		}
		if err != nil {
			return err
		}
		whole.merge(*r)
	}
	report := whole.done()
	report.describe(output, m)
	return report.write()
}

// maxMissing is how many shards an error names that are missing.
const maxMissing = 20

// shardManifests checks that the outputs are those of all shards of one run, and returns the whole
// run's manifest.
func shardManifests(shards []string, format outputFormat) (whole Manifest, err error) {
	seen := map[string]string{}
	var faults []error
	for i, path := range shards {
		m, err := ReadManifest(path)
		if err != nil {
			return whole, err
		}
		if sum, err := fileSHA256(path); err != nil || sum != m.OutputSHA256 {
			faults = append(faults,
				errors.Join(err, fmt.Errorf("%s: expected SHA-256 %s as in its manifest, got %s",
					path, m.OutputSHA256, sum)))
		}
		if other, double := seen[m.Header.Shard]; double {
			faults = append(faults, fmt.Errorf("%s: shard %s, as %s is", path, m.Header.Shard,
				other))
		}
		seen[m.Header.Shard] = path
		if i == 0 {
			whole = Manifest{Header: m.Header, Schema: m.Schema}
		}
		same := m.Header
		same.Shard = whole.Header.Shard
		d := same.differences(whole.Header)
		if schema := m.Schema.String(); schema != whole.Schema.String() && len(d) == 0 {
			d = []string{"columns: there " + schema}
		}
		if len(d) > 0 {
			faults = append(faults, fmt.Errorf("%s: of another run than %s (%s)", path, shards[0],
				strings.Join(d, "; ")))
		}
		if m.Header.Started.Before(whole.Header.Started) {
			whole.Header.Started = m.Header.Started
		}
		whole.Images += m.Images
		whole.Answered += m.Answered
		whole.Failed += m.Failed
		whole.Skipped += m.Skipped
	}
	shard, err := ParseShard(whole.Header.Shard)
	if err != nil {
		return whole, fmt.Errorf("%s: %w", shards[0], err)
	}
	for i := range shard.Count {
		if _, there := seen[(Shard{i, shard.Count}).String()]; there {
			continue
		}
		faults = append(faults, fmt.Errorf("shard %d/%d is missing", i, shard.Count))
		if len(faults) > maxMissing {
			break
		}
	}
	if len(faults) == 0 && whole.Images != whole.Header.Images {
		faults = append(faults, fmt.Errorf("expected the shards of %d images, got those of %d",
			whole.Header.Images, whole.Images))
	}
	if string(format) != whole.Header.Output {
		faults = append(faults, fmt.Errorf("expected an output in %s, as the shards are, got %s",
			whole.Header.Output, format))
	}
	whole.Header.Shard = Shard{}.String()
	return whole, errors.Join(faults...)
}

// inOrder goes through several outputs at once, in the order of the images' indices.
func inOrder(paths []string, f func(Record) error) error {
	type cursor struct {
		record Record
		next   func() (Record, error, bool)
	}
	var cursors []*cursor
	advance := func(c *cursor) (bool, error) {
		r, err, ok := c.next()
		c.record = r
		return ok, err
	}
	for _, path := range paths {
		_, records, err := ReadOutput(path)
		if err != nil {
			return err
		}
		next, stop := iter.Pull2(records)
		defer stop()
		c := &cursor{next: next}
		if ok, err := advance(c); err != nil {
			return err
		} else if ok {
			cursors = append(cursors, c)
		}
	}
	last := int64(-1)
	for len(cursors) > 0 {
		k := 0 // few shards: looking at each is cheaper than a heap is long
		for i, c := range cursors {
			if c.record.Index < cursors[k].record.Index {
				k = i
			}
		}
		if index := cursors[k].record.Index; index == last {
			return fmt.Errorf("expected image %d in one shard, got it in several", index)
		}
		last = cursors[k].record.Index
		if err := f(cursors[k].record); err != nil {
			return err
		}
		ok, err := advance(cursors[k])
		if err != nil {
			return err
		}
		if !ok {
			cursors = append(cursors[:k], cursors[k+1:]...)
		}
	}
	return nil
}
