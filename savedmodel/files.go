package savedmodel

import (
	"fmt"
	"io"
	"io/fs"
	"path"
)

const (
	maxFiles     = 100_000
	maxFileDepth = 32
)

// textModels are other spellings of saved_model.pb that TensorFlow would read where it finds them.
var textModels = []string{"saved_model.pbtxt", "saved_model.cpb"}

// link is what is neither a file nor a directory of the model.
type link struct{ path, fault string }

// list fills Files with the regular files of the directory, and links with what is neither a file
// nor a directory of it.
func (m *Model) list(w *work) error {
	// A directory that is no model may be large: it is not walked.
	entries, err := fs.ReadDir(m.fsys, ".")
	if err != nil {
		return err
	}
	model := false
	for _, e := range entries {
		model = model || e.Name() == GraphPath || e.Name() == textModels[0] ||
			e.Name() == textModels[1]
	}
	if !model {
		return &missingError{"no " + GraphPath}
	}
	return m.listDirectory(w, ".", 0)
}

func (m *Model) listDirectory(w *work, directory string, depth int) error {
	if depth > maxFileDepth {
		return fmt.Errorf("%s: directories nested more than %d deep", directory, maxFileDepth)
	}
	entries, err := fs.ReadDir(m.fsys, directory)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !w.step() {
			return w.err
		}
		name := path.Join(directory, e.Name())
		if e.IsDir() {
			if err := m.listDirectory(w, name, depth+1); err != nil {
				return err
			}
			continue
		}
		info, err := fs.Stat(m.fsys, name) // follows links, but not out of the directory
		switch {
		case err != nil:
			m.links = append(m.links,
				link{name, fmt.Sprintf("expected a file of the directory: %v", err)})
		case !info.Mode().IsRegular():
			m.links = append(m.links,
				link{name, "expected a file, got " + info.Mode().Type().String()})
		case len(m.Files) == maxFiles:
			return fmt.Errorf("%s: more than %d files", directory, maxFiles)
		default:
			m.Files = append(m.Files, File{Path: name, Bytes: info.Size()})
		}
	}
	return nil
}

// readFile reads the whole of a file that ought to be small. What is no file, such as a pipe that
// nobody writes to, is not there.
func (m *Model) readFile(name string, limit int64) ([]byte, error) {
	if m.file(name) == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := m.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &UnsupportedError{name, fmt.Sprintf("expected at most %d bytes", limit)}
	}
	return data, err
}
