package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"kerasrun/internal/atomicfile"
)

const (
	copied    = 4      // objects that are copied at a time
	maxCopied = 10_000 // objects in a directory that is copied
)

// CopyDirectory copies a directory's address in a store to the user's cache, and returns where it
// is. What is in the cache is named by its content, which is checked each time: the SHA-256 of the
// names and bytes of all files. Where the store has the versions that were copied before, nothing
// is read but the list.
func CopyDirectory(ctx context.Context, directory string) (string, error) {
	if !IsStore(directory) {
		return "", &Error{directory, "expected a directory's path, or an address of s3, gs, az or " +
			"file, whose files can be listed: fetch it first, and name the directory", fs.ErrInvalid}
	}
	files, err := filesOf(ctx, directory)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "kerasrun", "models")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	note := filepath.Join(cache, listID(directory, files)+".copy")
	if content, err := os.ReadFile(note); err == nil {
		dir := filepath.Join(cache, string(content))
		if id, err := contentID(dir); err == nil && id == string(content) {
			return dir, nil
		}
	}
	content, err := copyTo(ctx, cache, directory, files)
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, content), atomicfile.Write(note, func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	})
}

// Fingerprint is a hash of what a store says of the files below a directory's address: it changes
// when they do.
func Fingerprint(ctx context.Context, directory string) (string, error) {
	files, err := filesOf(ctx, directory)
	return listID(directory, files), err
}

// filesOf lists a directory that is to be copied.
func filesOf(ctx context.Context, directory string) ([]Entry, error) {
	var files []Entry
	for entry, err := range List(ctx, directory) {
		if err != nil {
			return nil, err
		}
		if files = append(files, entry); len(files) > maxCopied {
			return nil, &Error{directory, fmt.Sprintf(
				"expected a model of at most %d files, got more", maxCopied), nil}
		}
	}
	if len(files) == 0 {
		return nil, &Error{directory, "there is no such directory", fs.ErrNotExist}
	}
	return files, nil
}

// listID is a hash of what a store says of a directory.
func listID(directory string, files []Entry) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", directory)
	for _, f := range files {
		fmt.Fprintf(h, "%q %d %q\n", f.Path, f.Size, f.Version)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// copyTo copies the files to a directory in the cache, and returns its name.
func copyTo(ctx context.Context, cache, directory string, files []Entry) (string, error) {
	dir, err := os.MkdirTemp(cache, "partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) // it was renamed, if all went well
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(copied)
	for _, f := range files {
		name := strings.TrimPrefix(strings.TrimPrefix(f.Path, strings.TrimSuffix(directory, "/")), "/")
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return "", &Error{f.Path, "expected a name that leads nowhere else", fs.ErrInvalid}
		}
		group.Go(func() error { return copyFile(ctx, filepath.Join(dir, name), f) })
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	content, err := contentID(dir)
	if err != nil {
		return "", err
	}
	kept := filepath.Join(cache, content)
	if id, err := contentID(kept); err == nil && id == content {
		return content, nil
	}
	return content, errors.Join(os.RemoveAll(kept), os.Rename(dir, kept))
}

func copyFile(ctx context.Context, to string, f Entry) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	in, err := OpenVersion(ctx, f.Path, f.Version)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	n, err := io.Copy(out, io.LimitReader(in, f.Size+1)) // a store may send more than it lists
	switch {
	case err == nil && n > f.Size:
		err = &Error{f.Path, fmt.Sprintf("expected %d bytes, got more", f.Size), nil}
	case err == nil && n != f.Size:
		err = &Error{f.Path, fmt.Sprintf("expected %d bytes, got %d", f.Size, n), nil}
	}
	return errors.Join(err, out.Close(), in.Close())
}

// contentID is the SHA-256 of the names and bytes of all files below a directory.
func contentID(dir string) (string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	all := sha256.New()
	for _, path := range names {
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return "", err
		}
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		h := sha256.New()
		_, err = io.Copy(h, file)
		if err = errors.Join(err, file.Close()); err != nil {
			return "", err
		}
		fmt.Fprintf(all, "%q %x\n", filepath.ToSlash(name), h.Sum(nil))
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}
