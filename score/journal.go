package score

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kerasrun/internal/atomicfile"
	"kerasrun/object"
	"kerasrun/tensor"
)

// The journal holds what has been answered so far, one line for each event, appended before the run
// goes on:
//
//	the line's number from 1, a space, a chained crc32c in 8 hex digits, a space, json, a newline
//
// The checksum of a line goes over that of the line before, the number and the json. So a line that
// was lost, doubled or exchanged with another is found, though each is whole. The first line is the
// header, which says what the run is; the others are entries. A batch is one line, so it is there
// whole or not at all. The output is a pure function of the journal: it is written from it when the
// last batch is in.
//
// Format 1 had neither number nor chain. Outputs of such runs are still read.
const journalFormat = 2

const (
	journalSuffix = ".journal"
	crashSuffix   = ".crash"
)

// chain is the place in a journal before its next line.
type chain struct {
	lines int64
	sum   uint32
}

// next returns the place after the next line, whose json this is.
func (c chain) next(payload []byte) chain {
	c.lines++
	sum := crc32.Update(c.sum, castagnoli, strconv.AppendInt(nil, c.lines, 10))
	return chain{c.lines, crc32.Update(sum, castagnoli, payload)}
}

// prefix begins the line that led here.
func (c chain) prefix() string { return fmt.Sprintf("%d %08x ", c.lines, c.sum) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says what a run is. A journal may only be continued by a run with the same header. Its
// names in JSON, "contract" and "pictures" among them, are those that format 1 began with: journals
// that exist have to stay readable.
type Header struct {
	Format int `json:"format"`
	// the SHA-256 of the model's manifest, which holds the hash of each of its files
	Model         string `json:"model"`
	Preprocessing string `json:"contract"`
	Inputs        string `json:"inputs"` // the SHA-256 of every path and size, in order
	Images        int64  `json:"pictures"`
	Batch         int    `json:"batch"`
	Columns       string `json:"columns"`
	Output        string `json:"output"` // jsonl, csv, parquet or npz
	Shard         string `json:"shard"`  // I/N
	OnError       string `json:"on_error"`
	// of the first process that worked on it; the one field that may differ
	Started time.Time `json:"started"`
}

// MismatchError says in which respects a journal belongs to another run.
type MismatchError struct {
	File        string
	Differences []string // "model: journal has ..., this run ..."
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s: belongs to another run (%s); finish that one, or remove the file to "+
		"start afresh",
		e.File, strings.Join(e.Differences, "; "))
}

// differences lists the fields in which two headers differ, the journal's first.
func (h Header) differences(other Header) []string {
	var out []string
	add := func(name string, a, b any) {
		if a != b {
			out = append(out, fmt.Sprintf("%s: there %v, now %v", name, a, b))
		}
	}
	add("format", h.Format, other.Format)
	add("model", h.Model, other.Model)
	add("preprocessing", h.Preprocessing, other.Preprocessing)
	add("number of images", h.Images, other.Images)
	add("inputs, by the SHA-256 of their paths and sizes", h.Inputs, other.Inputs)
	add("batch", h.Batch, other.Batch)
	add("columns", h.Columns, other.Columns)
	add("output format", h.Output, other.Output)
	add("shard", h.Shard, other.Shard)
	add("on error", h.OnError, other.OnError)
	return out
}

// entry is one line after the header. Exactly one of the fields is set, and Cause beside Poison.
type entry struct {
	Read  *int64 `json:"read,omitempty"`  // a batch is about to be read
	Start *int64 `json:"start,omitempty"` // a batch is about to run
	// an image is about to be read or to run alone, its batch having crashed the process; -1: it
	// was read
	Probe *int64 `json:"probe,omitempty"`
	// these batches were running when the process crashed
	Crash  []int64     `json:"crash,omitempty"`
	Poison *int64      `json:"poison,omitempty"` // this image crashed the process when it ran alone
	Cause  string      `json:"cause,omitempty"`  // how it ended the worker; "" where there was none
	Batch  *batchEntry `json:"batch,omitempty"`
}

// poisoned is the error of the image that a poison entry names.
func (e entry) poisoned() error {
	if e.Cause != "" {
		return &CulpritError{e.Cause}
	}
	return errPoison
}

type batchEntry struct {
	Number  int64         `json:"number"`
	Records []recordEntry `json:"records"`
}

// recordEntry is a Record with its floats as bytes: exact, and a third of their size as text.
type recordEntry struct {
	Index         int64    `json:"i"`
	Path          string   `json:"p"`
	Classes       []int64  `json:"c,omitempty"`
	Labels        []string `json:"l,omitempty"`
	Probabilities string   `json:"b,omitempty"`
	// of each output
	Values []valuesEntry `json:"v,omitempty"`
	Kept   []keptEntry   `json:"k,omitempty"`
	Error  string        `json:"e,omitempty"`
}

func packFloats(f []float32) string {
	raw, _ := binary.Append(nil, binary.LittleEndian, f) // cannot fail: fixed size
	return base64.StdEncoding.EncodeToString(raw)
}

func unpackFloats(s string) ([]float32, error) {
	if s == "" {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw)%4 != 0 {
		return nil, fmt.Errorf("expected base64 of float32 values, got %d bytes, %v", len(raw), err)
	}
	out := make([]float32, len(raw)/4)
	_, err = binary.Decode(raw, binary.LittleEndian, out)
	return out, err
}

// valuesEntry is an image's row of an output.
type valuesEntry struct {
	DType  string       `json:"t"`
	Shape  tensor.Shape `json:"s"`
	Values []byte       `json:"b"` // little-endian, in base64
}

func packRecord(r Record) (recordEntry, error) {
	var values []valuesEntry
	for _, t := range r.Values {
		raw, err := t.Bytes()
		if err != nil {
			return recordEntry{}, err
		}
		values = append(values, valuesEntry{t.DType.String(), t.Shape, raw})
	}
	return recordEntry{r.Index, r.Path, r.Classes, r.Labels, packFloats(r.Scores), values,
		packKept(r.Kept), r.Error}, nil
}

func (e recordEntry) unpack() (Record, error) {
	probabilities, err := unpackFloats(e.Probabilities)
	if err != nil {
		return Record{}, err
	}
	kept, err := unpackKept(e.Kept)
	if err != nil {
		return Record{}, err
	}
	r := Record{e.Index, e.Path, kept, e.Classes, e.Labels, probabilities, nil, e.Error}
	for _, v := range e.Values {
		d, err := tensor.ParseDType(v.DType)
		if err != nil {
			return Record{}, err
		}
		t, err := tensor.FromBytes(d, v.Shape, v.Values)
		if err != nil {
			return Record{}, err
		}
		r.Values = append(r.Values, t)
	}
	return r, nil
}

// journal is an open journal and what it says.
type journal struct {
	path  string    // as the output was named
	local string    // of the file; "" of a journal in a store
	store *segments // of a journal in a store; file is then its copy

	mu     sync.Mutex // of file, chain and synced
	file   *os.File
	chain  chain // of what was written
	synced time.Time

	started time.Time // when the first process began

	done     map[int64]bool  // batches answered
	crashed  map[int64]bool  // batches that were running when the process crashed
	poison   map[int64]error // of images that are known to crash it, or killed the worker
	answered int64           // images in the batches done, failed ones included
	failed   int64
	warnings []string // for the user: a torn last line, a crash
}

// openJournal creates the journal or, where there is one, reads it to its end, drops a torn last
// line and continues it. One process at a time may have it open.
func openJournal(path string, h Header) (*journal, error) {
	j := &journal{path: path, done: map[int64]bool{}, crashed: map[int64]bool{},
		poison: map[int64]error{}}
	open := j.openLocal
	if object.IsRemote(path) {
		open = j.openStore
	}
	if err := open(); err != nil {
		return nil, err
	}
	if err := j.recover(h); err != nil {
		return nil, errors.Join(err, j.file.Close())
	}
	return j, nil
}

func (j *journal) openLocal() error {
	local, err := object.Local(j.path)
	if err != nil {
		return err
	}
	for _, own := range []string{local, local + crashSuffix} {
		// Through a link, which whoever may write to the directory can make, it would be another's.
		if info, err := os.Lstat(own); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s: expected no file, or a run's journal, got %v: remove it", own,
				info.Mode().Type())
		}
	}
	file, err := os.OpenFile(local, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	if err := lock(file); err != nil {
		return errors.Join(fmt.Errorf("%s: another process is at this run: %w", j.path, err),
			file.Close())
	}
	j.file, j.local = file, local
	return nil
}

func (j *journal) recover(h Header) error {
	var running []int64 // batches started and not done
	probing := int64(-1)
	var good int64
	err := j.chain.read(j.file, func(header *Header, e entry, end int64) error {
		good = end
		if header != nil {
			if d := header.differences(h); len(d) > 0 {
				return &MismatchError{j.path, d}
			}
			j.started = header.Started
			return nil
		}
		switch {
		case e.Read != nil:
			running = append(running, *e.Read)
		case e.Start != nil:
			if !slices.Contains(running, *e.Start) {
				running = append(running, *e.Start)
			}
			probing = -1 // a batch never starts while an image is probed
		case e.Probe != nil:
			probing = *e.Probe
		case e.Poison != nil:
			j.poison[*e.Poison] = e.poisoned()
			probing = -1
		case e.Crash != nil:
			for _, b := range e.Crash {
				j.crashed[b] = true
			}
		case e.Batch != nil:
			j.done[e.Batch.Number] = true
			running = slices.DeleteFunc(running, func(b int64) bool { return b == e.Batch.Number })
			for _, r := range e.Batch.Records {
				j.answered++
				if r.Error != "" {
					j.failed++
				}
			}
		}
		return nil
	})
	var torn *tornError
	var mismatch *MismatchError
	switch {
	case errors.As(err, &mismatch):
		return mismatch
	case errors.As(err, &torn) && j.store == nil: // a part in a store is whole
		if good == 0 {
			if err := j.checkBegun(); err != nil {
				return err
			}
		}
		j.warnings = append(j.warnings, torn.Error())
	case err != nil:
		return fmt.Errorf("%s: %w", j.path, err)
	}
	if err := j.file.Truncate(good); err != nil {
		return err
	}
	if _, err := j.file.Seek(good, io.SeekStart); err != nil {
		return err
	}
	if good == 0 {
		j.started = h.Started
		line, err := json.Marshal(h)
		if err != nil {
			return err
		}
		if err := j.appendLine(line); err != nil {
			return err
		}
		if err := j.sync(); err != nil || j.store != nil {
			return err
		}
		return atomicfile.SyncDirectory(filepath.Dir(j.local))
	}
	return j.attributeCrash(running, probing)
}

// begun matches the beginning of a journal whose first line is incomplete, or what a power failure
// leaves in its place.
var begun = regexp.MustCompile(`^(1( ([0-9a-f]{0,8}|[0-9a-f]{8} (\{(?s:.*))?))?|\x00*)$`)

// checkBegun returns an error where a file without a whole line is none that a run began.
func (j *journal) checkBegun() error {
	head := make([]byte, 64)
	n, err := j.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	if !begun.Match(head[:n]) {
		return fmt.Errorf("%s: expected no file, or a run's journal, got one that begins with %.20q: "+
			"remove it, or name another output", j.path, head[:n])
	}
	return nil
}

// attributeCrash finds out whether the last process crashed. If so, the Go runtime wrote to the
// crash file; a killed process writes nothing. The image that ran alone caused the crash; where
// none ran alone, it is one of the batches that were running.
func (j *journal) attributeCrash(running []int64, probing int64) error {
	if j.store != nil {
		return nil // the file would be on the machine that crashed
	}
	words, err := os.ReadFile(j.crashPath())
	if err != nil || len(words) == 0 {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	}
	switch {
	case probing >= 0:
		j.poison[probing] = errPoison
		j.warnings = append(j.warnings,
			fmt.Sprintf("image %d crashed the process for the second time and is passed over",
				probing))
		err = j.append(entry{Poison: &probing})
	case len(running) > 0:
		for _, b := range running {
			j.crashed[b] = true
		}
		j.warnings = append(j.warnings,
			"the process crashed; the images that it was at are run one by one, to find the one "+
				"that did it")
		err = j.append(entry{Crash: running})
	}
	if err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	return os.Truncate(j.crashPath(), 0)
}

func (j *journal) crashPath() string { return j.local + crashSuffix }

// watchCrash has the Go runtime write to a file when native code crashes the process: see
// attributeCrash.
func (j *journal) watchCrash() error {
	if j.store != nil {
		return nil
	}
	crash, err := os.OpenFile(j.crashPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	err = debug.SetCrashOutput(crash, debug.CrashOptions{})
	_ = crash.Close() // the runtime holds a duplicate
	return err
}

// sync has what was appended outlive the machine.
func (j *journal) sync() error {
	if j.store != nil {
		return j.store.send(j.file)
	}
	return j.file.Sync()
}

func (j *journal) append(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return j.appendLine(line)
}

func (j *journal) appendLine(line []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.chain = j.chain.next(line)
	whole := append(make([]byte, 0, len(line)+32), j.chain.prefix()...)
	whole = append(append(whole, line...), '\n')
	_, err := j.file.Write(whole)
	return err
}

// syncEvery bounds what a power failure costs, and where the journal is in a store what a killed
// process costs. On this machine a killed process costs nothing that was appended.
const syncEvery = time.Second

// commit appends an answered batch.
func (j *journal) commit(number int64, records []Record) error {
	packed := make([]recordEntry, len(records))
	for i, r := range records {
		var err error
		if packed[i], err = packRecord(r); err != nil {
			return err
		}
	}
	if err := j.append(entry{Batch: &batchEntry{number, packed}}); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if time.Since(j.synced) < syncEvery {
		return nil
	}
	j.synced = time.Now()
	return j.sync()
}

// records calls f with every record in the order of their indices, which is that of the batches'
// numbers. Batches are appended in that order.
func (j *journal) records(f func(Record) error) error {
	if _, err := j.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return readJournal(j.file, func(_ *Header, e entry, _ int64) error {
		if e.Batch == nil {
			return nil
		}
		for _, packed := range e.Batch.Records {
			r, err := packed.unpack()
			if err != nil {
				return err
			}
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// close flushes and closes; the file stays for the next run.
func (j *journal) close() error { return errors.Join(j.sync(), j.file.Close()) }

// remove is the end of a finished run.
func (j *journal) remove() error {
	if j.store != nil {
		return errors.Join(j.file.Close(), j.store.remove())
	}
	err := errors.Join(j.file.Close(), os.Remove(j.local))
	if e := os.Remove(j.crashPath()); !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// tornError is an incomplete last line, as a killed process or a full disk leaves it.
type tornError struct{ line int }

func (e *tornError) Error() string {
	return fmt.Sprintf("journal line %d is incomplete and was dropped; its batch is answered again",
		e.line)
}

// readJournal calls f for the header (e is empty then) and for each entry, with the offset at which
// its line ends. A damaged last line is a *tornError; a damaged line before it is an error that
// names it.
func readJournal(r io.Reader, f func(h *Header, e entry, end int64) error) error {
	return new(chain).read(r, f)
}

// read is readJournal, and leaves the chain at the last good line.
func (c *chain) read(r io.Reader, f func(h *Header, e entry, end int64) error) error {
	in := bufio.NewReaderSize(r, 1<<16)
	var end int64
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			if len(line) > 0 {
				return &tornError{number}
			}
			return nil
		}
		if err != nil {
			return err
		}
		payload, err := c.check(line)
		var old *oldFormatError
		if errors.As(err, &old) {
			return err
		}
		if err != nil {
			if _, peek := in.Peek(1); peek == io.EOF {
				return &tornError{number}
			}
			return fmt.Errorf("line %d is damaged: %w", number, err)
		}
		end += int64(len(line))
		var h *Header
		var e entry
		if number == 1 {
			h = new(Header)
			err = strictJSON(payload, h)
		} else {
			err = strictJSON(payload, &e)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err := f(h, e, end); err != nil {
			return err
		}
	}
}

// oldFormatError is of a journal that an earlier version wrote.
type oldFormatError struct{ format int }

func (e *oldFormatError) Error() string {
	return fmt.Sprintf("expected a journal of format %d, got format %d, which an earlier version "+
		"wrote; finish the run with that version, or remove the file to start afresh",
		journalFormat, e.format)
}

// check returns the json of the next line, and goes on to the place after it.
func (c *chain) check(line []byte) ([]byte, error) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	number, rest, ok := bytes.Cut(line, []byte(" "))
	if c.lines == 0 && len(number) == 8 {
		var h Header
		if json.Unmarshal(rest, &h) == nil && h.Format > 0 && h.Format < journalFormat {
			return nil, &oldFormatError{h.Format}
		}
	}
	sum, payload, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 {
		return nil, errors.New("expected a number, a checksum of 8 digits and json")
	}
	if got, want := string(number), strconv.FormatInt(c.lines+1, 10); got != want {
		return nil, fmt.Errorf("expected number %s, got %.20q: a line was lost, doubled or exchanged",
			want, got)
	}
	next := c.next(payload)
	if want := fmt.Sprintf("%08x", next.sum); string(sum) != want {
		return nil, fmt.Errorf("expected checksum %s, got %.20q", want, sum)
	}
	*c = next
	return payload, nil
}

func strictJSON(payload []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
