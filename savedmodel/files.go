package savedmodel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

const (
	maxFiles     = 100_000
	maxFileDepth = 32
)

// textModels are other spellings of saved_model.pb that TensorFlow would read where it finds them.
var textModels = []string{"saved_model.pbtxt", "saved_model.cpb"}

// dataLink is the link by which Kubernetes changes all files of a volume at once. The files are
// links through it, into a directory beside it whose name begins with ".." too.
const dataLink = "..data"

// maxLinks is how many links lead from one name to its file: Linux' own limit.
const maxLinks = 40

// link is what is neither a file nor a directory of the model.
type link struct{ path, fault string }

// list fills Files with the regular files of the directory, and links with what is neither a file
// nor a directory of it.
//
// A link to a file counts as a file, by the link's name, where it stays inside of the directory. In
// a volume of Kubernetes', links at the top into its directories are followed, and those
// directories hold nothing by names of their own. Other links to directories are faults: their
// files would be there twice.
func (m *Model) list(w *work) error {
	// A directory that is no model may be large: it is not walked.
	entries, err := fs.ReadDir(m.fsys, ".")
	if err != nil {
		return err
	}
	model, volume := false, false
	for _, e := range entries {
		model = model || e.Name() == GraphPath || e.Name() == textModels[0] ||
			e.Name() == textModels[1]
		volume = volume || e.Name() == dataLink && isLink(e)
	}
	if !model {
		return &missingError{"no " + GraphPath}
	}
	l := lister{m: m, work: w, volume: volume}
	return l.directory(".", 0)
}

func isLink(e fs.DirEntry) bool { return e.Type()&fs.ModeSymlink != 0 }

// lister walks a model's directory.
type lister struct {
	m      *Model
	work   *work
	volume bool // of Kubernetes'
	seen   int
}

// inVolume returns whether a path is in one of the directories that a volume keeps its files in.
func (l *lister) inVolume(name string) bool { return l.volume && strings.HasPrefix(name, "..") }

func (l *lister) directory(directory string, depth int) error {
	if depth > maxFileDepth {
		return fmt.Errorf("%s: directories nested more than %d deep", directory, maxFileDepth)
	}
	entries, err := fs.ReadDir(l.m.fsys, directory)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !l.work.step() {
			return l.work.err
		}
		name := path.Join(directory, e.Name())
		if l.inVolume(name) && (e.IsDir() || isLink(e)) {
			continue
		}
		if l.seen++; l.seen > maxFiles {
			return fmt.Errorf("%s: more than %d files", directory, maxFiles)
		}
		if err := l.entry(name, e, depth); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) entry(name string, e fs.DirEntry, depth int) error {
	if e.IsDir() {
		return l.directory(name, depth+1)
	}
	fault := func(format string, args ...any) error {
		l.m.links = append(l.m.links, link{name, fmt.Sprintf(format, args...)})
		return nil
	}
	target := name
	if isLink(e) {
		var err error
		if target, err = resolve(l.m.fsys, name); err != nil {
			return fault("expected a file of the directory: %v", err)
		}
	}
	info, err := fs.Stat(l.m.fsys, name) // follows links, but not out of the directory
	switch {
	case err != nil:
		return fault("expected a file of the directory: %v", err)
	case info.IsDir() && depth == 0 && l.inVolume(target):
		return l.directory(name, depth+1)
	case info.IsDir():
		return fault("expected a file, got a link to a directory: %s -> %s", name, target)
	case !info.Mode().IsRegular():
		return fault("expected a file, got %v", info.Mode().Type())
	}
	if target != name {
		l.m.targets[name] = target
	}
	l.m.Files = append(l.m.Files, File{Path: name, Bytes: info.Size()})
	return nil
}

// resolve returns the path without links of what name leads to. It is an error where that is not
// inside of the file system.
func resolve(fsys fs.FS, name string) (string, error) {
	done, rest, via := ".", strings.Split(name, "/"), ""
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch {
		case part == "" || part == ".":
			continue
		case part == ".." && done == ".":
			return "", fmt.Errorf("a link out of the directory: %s", via)
		case part == "..":
			done = path.Dir(done)
			continue
		}
		at := path.Join(done, part)
		info, err := fs.Lstat(fsys, at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("a link to nothing: %s", via)
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0:
			done = at
			continue
		}
		target, err := fs.ReadLink(fsys, at)
		if err != nil {
			return "", err
		}
		via = at + " -> " + target
		if path.IsAbs(target) || filepath.IsAbs(target) {
			return "", fmt.Errorf("a link out of the directory: %s", via)
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("more than %d links: %s", maxLinks, via)
		}
		rest = append(strings.Split(filepath.ToSlash(target), "/"), rest...)
	}
	return done, nil
}

// readFile reads the whole of a file that ought to be small. What is no file, such as a pipe that
// nobody writes to, is not there.
func (m *Model) readFile(name string, limit int64) ([]byte, error) {
	file := m.file(name)
	if file == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	tooLarge := &UnsupportedError{name, fmt.Sprintf("expected at most %d bytes", limit)}
	if file.Bytes > limit { // a sparse one costs nothing to make
		return nil, tooLarge
	}
	f, err := m.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = tooLarge // it has grown
	}
	return data, err
}
