// Package vouched remembers which models may be loaded, in the user's cache: those that the user
// has exported, and those that a process of its own has survived. It is kept by content, so that
// another byte in any file of a model is another model.
//
// Nobody but the user, and root, can add to it: a directory or a file that others own or can write
// to is not believed.
package vouched

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxBytes is more than any entry has.
const maxBytes = 1 << 16

// What vouches for a model.
const (
	ByExport = "export"
	ByProbe  = "probe"
)

// Entry says what vouches for the content of a model. Those of the exporter are written in Python:
// an export's JSON is {"sha256":"...","by":"export"} and a newline.
type Entry struct {
	SHA256 string `json:"sha256"` // of the content, as savedmodel.Model.SHA256 has it
	By     string `json:"by"`
	Probe  *Probe `json:"probe,omitempty"` // nil for an export
}

// Probe is what a probe ran: the code that the model went through, and how it was chosen. Another
// library, another device or another precision is other code, and another probe.
type Probe struct {
	TensorFlow   string   `json:"tensorflow"`
	Kerasrun     string   `json:"kerasrun"`
	Platform     string   `json:"platform"`
	CUDA         bool     `json:"cuda"`
	OneDNN       bool     `json:"one_dnn"`
	Convolutions bool     `json:"convolutions"` // kerasrun's own
	GPUs         []string `json:"gpus,omitempty"`
	Devices      []string `json:"devices"`
	Precision    string   `json:"precision"`
	Tags         []string `json:"tags,omitempty"`
	Signature    string   `json:"signature,omitempty"`
}

// directory is where entries are kept. It is an error where the user has no cache.
func directory() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "kerasrun", "vouched"), nil
}

// open opens the directory, which must be the user's own. It is fs.ErrNotExist where there is none.
func open() (*os.Root, error) {
	dir, err := directory()
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = own(info)
	}
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return root, nil
}

// own returns an error where somebody else could have written what info is of.
func own(info fs.FileInfo) error {
	owner, ok := ownerOf(info)
	if !ok {
		return errors.New("expected a system that tells a file's owner, got another")
	}
	if user := os.Geteuid(); owner != user {
		return fmt.Errorf("expected user %d as the owner, got user %d", user, owner)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("expected what only user %d can write to, got the mode %v", owner,
			info.Mode())
	}
	return nil
}

// encode returns an entry's file: its name and its bytes.
func (e Entry) encode() (name string, data []byte) {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // it has strings and bools only
	}
	data = append(data, '\n')
	key := ByExport
	if e.By != ByExport {
		sum := sha256.Sum256(data)
		key = hex.EncodeToString(sum[:8])
	}
	return e.SHA256 + "." + key, data
}

// Has returns whether an entry is remembered. The error says why nothing could be, or why what is
// there is not believed.
func Has(e Entry) (bool, error) {
	root, err := open()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer root.Close()
	name, want := e.encode()
	got, err := read(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !bytes.Equal(got, want) {
		return false, fmt.Errorf("%s: expected what kerasrun wrote there, got something else",
			filepath.Join(root.Name(), name))
	}
	return true, nil
}

// read reads a file of the user's own.
func read(root *os.Root, name string) (data []byte, err error) {
	defer func() {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: %w", filepath.Join(root.Name(), name), err)
		}
	}()
	// A pipe would wait for who writes to it.
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("expected a file, got %v", info.Mode())
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := own(info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxBytes))
}

// Add remembers an entry. Several processes may do so at a time: a file is there whole, or not.
func Add(e Entry) error {
	dir, err := directory()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := open()
	if err != nil {
		return err
	}
	defer root.Close()
	name, data := e.encode()
	partial := "." + name + "." + rand.Text()
	f, err := root.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(partial, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(partial))
	}
	return nil
}

// List returns what vouches for a content, in the order of the files' names. The error says why
// nothing could be remembered, or what is not believed; the entries beside it are good.
func List(content string) (entries []Entry, err error) {
	root, err := open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	files, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), content+".") {
			continue
		}
		var e Entry
		data, err := read(root, f.Name())
		if err == nil {
			err = json.Unmarshal(data, &e)
		}
		if err == nil {
			name, want := e.encode()
			if name != f.Name() || !bytes.Equal(data, want) ||
				e.By != ByExport && (e.By != ByProbe || e.Probe == nil) {
				err = fmt.Errorf("%s: expected what kerasrun wrote there, got something else",
					filepath.Join(root.Name(), f.Name()))
			}
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		entries = append(entries, e)
	}
	return entries, errors.Join(faults...)
}
