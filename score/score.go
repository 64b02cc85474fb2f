// Package score classifies any number of images offline and loses none. A run may be killed at any
// moment: run again, it ends with the output of an undisturbed run, byte for byte.
//
// Images are read, decoded and preprocessed in parallel, batched, run, and written in the order of
// the input. Batches are cut at fixed places (images 0 to B-1, B to 2B-1, ...), so that a resumed
// run and a sharded one form the same batches, and with them the same bits, as a single one. Memory
// does not grow with the number of images.
//
// The package runs over [classify.Model], an interface, and does not import TensorFlow.
package score

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"kerasrun/classify"
	"kerasrun/object"
)

// OnError says what an image without an answer does.
type OnError string

const (
	RecordErrors OnError = "record" // it is a row with its error
	SkipErrors   OnError = "skip"   // it is counted, and left out of the output
	StopOnError  OnError = "stop"   // it ends the run; the same command goes on from there
)

// ParseOnError accepts "record", "skip" and "stop".
func ParseOnError(s string) (OnError, error) {
	switch o := OnError(s); o {
	case RecordErrors, SkipErrors, StopOnError:
		return o, nil
	}
	return "", fmt.Errorf("on error: expected record, skip or stop, got %q", s)
}

// Shard is the part Index of Count of a run: every Count-th batch. The zero value is the whole.
type Shard struct{ Index, Count int }

// ParseShard reads "I/N", or "/N" with I from JOB_COMPLETION_INDEX, as Kubernetes sets it in the
// pods of an indexed job.
func ParseShard(s string) (Shard, error) {
	index, count, ok := strings.Cut(s, "/")
	if index == "" {
		index = os.Getenv("JOB_COMPLETION_INDEX")
	}
	i, err1 := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	if !ok || err1 != nil || err2 != nil || i < 0 || i >= n {
		return Shard{}, fmt.Errorf(
			"shard: expected I/N with 0 <= I < N, or /N with I in JOB_COMPLETION_INDEX, got %q", s)
	}
	return Shard{i, n}, nil
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, max(s.Count, 1)) }

func (s Shard) has(batch int64) bool {
	return s.Count <= 1 ||
		batch%int64(s.Count) == int64(s.Index)
}

// Path is where that shard of an output is written: out.csv, shard 0 of 4, is
// out-00000-of-00004.csv.
func (s Shard) Path(output string) string {
	if s.Count <= 1 || output == "-" {
		return output
	}
	ext := filepath.Ext(output)
	return fmt.Sprintf("%s-%05d-of-%05d%s", strings.TrimSuffix(output, ext), s.Index, s.Count, ext)
}

// Config is a run. Model, Source and Output are needed; zero values of the others are useful.
type Config struct {
	Model  Model
	Source Source
	// its ending names the format; "-" writes JSON lines to Stdout as they come, without a journal
	Output      string
	Stdout      io.Writer // for "-"; nil is the process's
	Kept        []Kept    // the columns of the items' Kept
	Columns     Columns
	Batch       int // images that run together; 0 is 32
	Concurrency int // batches that run at once; 0 is 1, which suits a model on one device
	Workers     int // images that are read and decoded at once; 0 is GOMAXPROCS
	Shard       Shard
	OnError     OnError // "" is RecordErrors
	// MaxFailures, if not nil, ends the run with a [*FailuresError] when more images of this shard
	// have no answer. It may change from one process of a run to the next.
	MaxFailures *Limit
	AllowEmpty  bool // a run over no image has no rows, and is no error
	// Failures, if not "", is a file to write: the index, path and error of each image without an
	// answer, as CSV.
	Failures string
	Versions map[string]string // for the manifest and the report
	Machine  string            // for the report
	Skipped  *Skipped          // for the report: what the source passes over

	Warn     func(message string) // nil: warnings are dropped
	Progress func(Counts)         // if not nil, called at the start and after each batch, in order
}

// complete returns the run with its zero values replaced, or everything that is wrong with it.
func (c Config) complete() (Config, error) {
	var faults []error
	wrong := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if c.Model.Model == nil {
		wrong("model: expected one, got none")
	}
	if c.Source == nil {
		wrong("source: expected one, got none")
	}
	for name, value := range map[string]int{
		"batch": c.Batch, "concurrency": c.Concurrency, "workers": c.Workers,
	} {
		if value < 0 {
			wrong("%s: expected 0 or more, got %d", name, value)
		}
	}
	if s := c.Shard; s.Index < 0 || s.Count < 0 || s.Index >= max(s.Count, 1) {
		wrong("shard: expected an index below the count, got %d and %d", s.Index, s.Count)
	}
	c.Batch, c.Concurrency = cmp.Or(c.Batch, 32), cmp.Or(c.Concurrency, 1)
	c.Stdout = cmp.Or[io.Writer](c.Stdout, os.Stdout)
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	var err error
	if c.OnError, err = ParseOnError(string(cmp.Or(c.OnError, RecordErrors))); err != nil {
		faults = append(faults, err)
	}
	return c, errors.Join(faults...)
}

// Counts says how far a run is. Images is what this shard has to answer in all.
type Counts struct {
	Images, Answered, Failed int64
	Resumed                  int64 // of the answered and failed ones, those from earlier processes
}

// Summary is the end of a run: Images = Answered + Failed, which is checked.
type Summary struct {
	Counts
	Output  string
	Already bool    // the output was complete before this run began
	Report  *Report // of an output that was complete: as it is beside it, or nil
}

// Run does what is left of a run. It returns an error when the run could not be finished; running
// it again continues it. An image without an answer is no error but a count.
func Run(ctx context.Context, c Config) (Summary, error) {
	s := Summary{Output: c.Shard.Path(c.Output)}
	format, err := formatOf(c.Output)
	if err != nil {
		return s, err
	}
	if c, err = c.complete(); err != nil {
		return s, fmt.Errorf("score: %w", err)
	}
	if err := c.checkFailuresFile(ctx, s.Output); err != nil {
		return s, err
	}
	recorder, err := c.recorder(format)
	if err != nil {
		return s, err
	}
	recorder.schema.Kept = c.Kept
	if err := recorder.schema.checkKept(); err != nil {
		return s, err
	}
	schema := recorder.schema
	inputs, err := digestInputs(ctx, c.Source, c.Batch, func(item Item) error {
		return schema.checkItem(format, item)
	})
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	if err != nil {
		return s, err
	}
	if inputs.images == 0 && !c.AllowEmpty {
		return s, &UsageError{"the inputs hold no image, for which --allow-empty writes no rows"}
	}
	s.Images = c.mine(inputs.images)
	if c.Output == "-" {
		p := pipeline{Config: c, recorder: recorder, inputs: inputs, counts: s.Counts,
			keep: func(_ int64, records []Record) error {
				out := newJSONL(c.Stdout, schema)
				// nothing waits for more
				return errors.Join(c.writeRecords(out, records), out.Close())
			}}
		err = p.run(ctx)
		s.Counts = p.counts
		return s, err
	}
	header := Header{journalFormat, c.Model.ID, c.Model.Preprocessing, inputs.digest, inputs.images,
		c.Batch, schema.String(), string(format),
		c.Shard.String(), string(c.OnError), time.Now().UTC()}
	journalPath := s.Output + journalSuffix
	if done, err := finished(s.Output, journalPath, header); done != nil || err != nil {
		if done != nil {
			s.Answered, s.Failed, s.Resumed, s.Already = done.Answered, done.Failed, done.Images,
				true
			s.Report, err = ReadReport(s.Output)
			if errors.Is(err, os.ErrNotExist) { // written by a version without reports
				err = nil
			}
			err = cmp.Or(err, c.writeFailuresOf(s.Output, *done), c.checkFailures(s.Counts))
		}
		return s, err
	}

	j, err := openJournal(journalPath, header)
	if err != nil {
		return s, err
	}
	for _, warning := range j.warnings {
		c.Warn(journalPath + ": " + warning)
	}
	if err := j.watchCrash(); err != nil {
		return s, errors.Join(err, j.close())
	}
	defer func() { _ = debug.SetCrashOutput(nil, debug.CrashOptions{}) }()

	s.Answered, s.Failed, s.Resumed = j.answered-j.failed, j.failed, j.answered
	if err := c.checkFailures(s.Counts); err != nil {
		return s, errors.Join(err, j.close())
	}
	began := time.Now()
	p := pipeline{Config: c, recorder: recorder, inputs: inputs, counts: s.Counts,
		journal: j, keep: j.commit}
	err = p.run(ctx)
	s.Counts = p.counts
	if err != nil {
		return s, errors.Join(err, j.close())
	}
	r := newReporter(schema)
	r.report.Seconds, r.report.Slowest = time.Since(began).Seconds(), p.slowest
	s.Report, err = c.finish(j, format, r, header, s)
	return s, err
}

// recorder returns what makes the records of a run, with what it may have in memory.
func (c Config) recorder(f outputFormat) (*recorder, error) {
	decoders, err := classify.NewDecoders(classify.Limits{
		ImageBytes: MaxImageBytes, PixelsInFlight: pixelsInFlight, Decoders: c.Workers,
	})
	if err != nil {
		return nil, err
	}
	r, err := c.Model.recorder(c.Columns, f, classify.Options{
		BatchSize: c.Batch, Concurrency: c.Concurrency, Decoders: decoders,
	})
	if err != nil {
		return nil, fmt.Errorf("score: %w", err)
	}
	return r, nil
}

// FailuresError says that more images have no answer than Config.MaxFailures allows.
type FailuresError struct {
	Failed, Images int64 // of all that the shard has to answer
	Limit          Limit
}

func (e *FailuresError) Error() string {
	return fmt.Sprintf("%d of %d images failed: expected at most %v", e.Failed, e.Images, e.Limit)
}

func (c Config) checkFailures(n Counts) error {
	if c.MaxFailures != nil && c.MaxFailures.Exceeded(n.Failed, n.Images) {
		return &FailuresError{n.Failed, n.Images, *c.MaxFailures}
	}
	return nil
}

// pixelsInFlight bounds the images that are decoded at a time: two of the largest, which take half
// a gigabyte.
const pixelsInFlight = 2 * classify.DefaultImagePixels

// mine is the number of images in this shard's batches.
func (c Config) mine(total int64) (n int64) {
	size := int64(c.Batch)
	for b := int64(0); b*size < total; b++ {
		if c.Shard.has(b) {
			n += min(size, total-b*size)
		}
	}
	return n
}

// finished returns the manifest of an output that this very run has written whole. An output of
// another run is an error, unless there is a journal that decides.
func finished(output, journalPath string, h Header) (*Manifest, error) {
	if _, err := object.Stat(context.Background(), output); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err := storeError(err); err != nil {
		return nil, err
	}
	if _, err := object.Stat(context.Background(), journalPath); err == nil {
		// killed between the last rename and the end: the journal is complete, and writes the same
		// again
		return nil, nil
	}
	m, err := ReadManifest(output)
	if err != nil {
		return nil, fmt.Errorf(
			"%s is there and was not written by this command (%w); "+
				"remove it or name another output",
			output, err)
	}
	h.Format = m.Header.Format // of the journal, which is gone
	if d := m.Header.differences(h); len(d) > 0 {
		return nil, &MismatchError{output, d}
	}
	if sum, err := fileSHA256(output); err != nil || sum != m.OutputSHA256 {
		return nil, errors.Join(err,
			fmt.Errorf("%s: expected SHA-256 %s as in its manifest, got %s; remove it to "+
				"answer again", output, m.OutputSHA256, sum))
	}
	return &m, nil
}

// finish writes the output from the journal, then its report and its manifest, and removes the
// journal.
func (c Config) finish(
	j *journal, format outputFormat, r *reporter, h Header, s Summary,
) (*Report, error) {
	if s.Answered+s.Failed != s.Images {
		return nil, errors.Join(fmt.Errorf(
			"%s: %d images in, %d answered and %d failed: the sums differ", s.Output, s.Images,
			s.Answered, s.Failed), j.close())
	}
	var rows int64
	sum, size, err := writeOutput(s.Output, func(w io.Writer) error {
		out, err := newSink(w, format, r.schema)
		if err != nil {
			return err
		}
		err = j.records(func(record Record) error {
			rows++
			r.add(record)
			return c.writeRecords(out, []Record{record})
		})
		if err != nil {
			return err
		}
		return out.Close()
	})
	if err == nil && rows != s.Images {
		err = fmt.Errorf("%s: %d images in, %d records in the journal", s.Output, s.Images, rows)
	}
	if err == nil {
		err = c.writeFailures(j.records)
	}
	if err != nil {
		return nil, errors.Join(err, j.close())
	}
	h.Started = j.started
	m := Manifest{Header: h, Schema: r.schema, OutputSHA256: sum, OutputBytes: size,
		Images: s.Images, Answered: s.Answered, Failed: s.Failed,
		Finished: time.Now().UTC(), Versions: c.Versions}
	if c.OnError == SkipErrors {
		m.Skipped = s.Failed
	}
	r.report.Resumed = s.Resumed
	if c.Skipped != nil {
		r.report.Skipped = c.Skipped.Reasons()
	}
	report := r.done()
	report.Model, report.Machine = c.Model.Directory, c.Machine
	report.describe(s.Output, m)
	if err := cmp.Or(report.write(), writeManifest(s.Output, m)); err != nil {
		return nil, errors.Join(err, j.close())
	}
	return report, j.remove()
}

func (c Config) writeRecords(out sink, records []Record) error {
	for _, r := range records {
		if r.Error != "" && c.OnError == SkipErrors {
			continue
		}
		if err := out.Write(r); err != nil {
			return err
		}
	}
	return nil
}
