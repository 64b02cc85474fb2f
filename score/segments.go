package score

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"kerasrun/object"
)

// segments are a journal in a store, where nothing can be appended to: OUT.journal/0000001 and so
// on, each with whole lines that follow those of the one before. A temporary file holds all of
// them, and behind them what has not been sent. Each is created and never replaced, so that of two
// processes at one run the later to send is told.
type segments struct {
	path  string // OUT.journal
	count int    // that are in the store
	sent  int64  // their bytes
}

func (s *segments) name(number int) string { return fmt.Sprintf("%s/%07d", s.path, number) }

// openStore has the file hold what the store has.
func (j *journal) openStore() error {
	file, err := unnamedFile("kerasrun-journal-")
	if err != nil {
		return err
	}
	j.file, j.store = file, &segments{path: j.path}
	if err := j.store.load(file); err != nil {
		return errors.Join(err, file.Close())
	}
	return nil
}

func (s *segments) load(file *os.File) error {
	for entry, err := range object.List(context.Background(), s.path) {
		if err != nil {
			return err
		}
		s.count++
		if want := s.name(s.count); entry.Path != want {
			return fmt.Errorf("%s: expected the journal's part %s, got %s: a part was lost; "+
				"remove all of them to start afresh", s.path, want, entry.Path)
		}
		part, err := object.Open(context.Background(), entry.Path)
		if err != nil {
			return err
		}
		n, err := io.Copy(file, part)
		if err := errors.Join(err, part.Close()); err != nil {
			return err
		}
		s.sent += n
	}
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// send writes what the store does not have yet as one more part.
func (s *segments) send(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == s.sent {
		return nil
	}
	lines := make([]byte, info.Size()-s.sent)
	if _, err := file.ReadAt(lines, s.sent); err != nil {
		return err
	}
	err = object.Create(context.Background(), s.name(s.count+1), lines)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: another process is at this run: %w", s.path, err)
	}
	if err != nil {
		return err
	}
	s.count++
	s.sent = info.Size()
	return nil
}

// remove removes the last part first, so that what is left is a journal at any moment.
func (s *segments) remove() error {
	for ; s.count > 0; s.count-- {
		if err := object.Remove(context.Background(), s.name(s.count)); err != nil {
			return err
		}
	}
	return nil
}
