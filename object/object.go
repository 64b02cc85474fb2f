// Package object reads and writes files wherever they stand: on this machine, by their paths or as
// file://, in an object store, as s3://, gs:// or az://, and, to be read, as http:// or https://.
//
// Credentials and endpoints are those that each cloud's own library finds: AWS's default chain and
// AWS_ENDPOINT_URL, Google's application default credentials and STORAGE_EMULATOR_HOST, Azure's
// default credential and AZURE_STORAGE_ACCOUNT and the like. The addresses of stores are no URLs
// with escapes: what follows the bucket is the key as it is.
//
// What fails for a while is tried again, with longer and longer waits. An error of one object,
// which is missing or denied, is an [*Error]; one of a whole store is a [*StoreError].
package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	slashpath "path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"kerasrun/internal/atomicfile"
)

// File is a file or an object that is open for reading, by one goroutine at a time.
type File interface {
	fs.File
	io.ReaderAt
	io.Seeker
}

// Info is what is known of an object without reading it.
type Info struct {
	Size    int64  // bytes; -1 where a web server does not say
	Version string // what changes when the object does: an ETag or a generation; "" is not known
}

// urls are addresses, of any scheme that has a host.
var urls = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*)://`)

// IsURL says whether a path is an address, of whatever scheme.
func IsURL(path string) bool { return scheme(path) != "" }

// IsRemote says whether a path is an address other than of a file on this machine.
func IsRemote(path string) bool { return IsURL(path) && scheme(path) != "file" }

// IsStore says whether a path is in a store of objects, which can be listed.
func IsStore(path string) bool {
	switch scheme(path) {
	case "s3", "gs", "az":
		return true
	}
	return false
}

// scheme is that of an address in lower case; "" of a path.
func scheme(path string) string {
	if !strings.Contains(path, "://") { // most of millions of paths
		return ""
	}
	if parts := urls.FindStringSubmatch(path); parts != nil {
		return strings.ToLower(parts[1])
	}
	return ""
}

// Local is the path of a file on this machine: the path itself, or what a file:// names.
func Local(path string) (string, error) {
	if scheme(path) != "file" {
		return path, nil
	}
	u, err := url.Parse(path)
	if err != nil || u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) {
		return "", fmt.Errorf("%s: expected file:///PATH with the path from the root, got another "+
			"address (%w)", path, cmp.Or(err, errNotOnThisMachine))
	}
	return u.Path, nil
}

var errNotOnThisMachine = errors.New("not on this machine")

// store is what addresses of one bucket, or of the web, are asked of. Its errors are those that
// [retry] knows.
type store interface {
	// get reads length bytes of an object from an offset on, or all where length is negative.
	get(ctx context.Context, path string, offset, length int64) (io.ReadCloser, Info, error)
	// stat returns an error for a directory.
	stat(ctx context.Context, path string) (Info, error)
}

// storeOf returns what the address is asked of.
func storeOf(ctx context.Context, path string) (store, error) {
	switch scheme(path) {
	case "http", "https":
		return web{}, nil
	case "s3", "gs", "az":
		return bucketOf(ctx, path)
	}
	return nil, &Error{path, fmt.Sprintf("expected a path, or an address of http, https, s3, gs, az "+
		"or file, got one of %s: fetch it first, and name the file", scheme(path)), fs.ErrInvalid}
}

// Open opens a file or an object.
func Open(ctx context.Context, path string) (File, error) { return OpenVersion(ctx, path, "") }

// OpenVersion opens an object as it was when it had that version. Another is an error.
func OpenVersion(ctx context.Context, path, version string) (File, error) {
	if !IsRemote(path) {
		local, err := Local(path)
		if err != nil {
			return nil, err
		}
		return os.Open(local)
	}
	s, err := storeOf(ctx, path)
	if err != nil {
		return nil, err
	}
	f := &remote{ctx: ctx, store: s, path: path, info: Info{-1, version}}
	if err := f.reopen(); err != nil {
		return nil, err
	}
	return f, nil
}

// seen are the versions of the inputs that were opened, by their addresses.
var seen sync.Map

// OpenInput opens what is read more than once in a run. An object that has changed since it was
// first opened is an error.
func OpenInput(ctx context.Context, path string) (File, error) {
	if !IsRemote(path) {
		return Open(ctx, path)
	}
	version, _ := seen.Load(path)
	known, _ := version.(string)
	f, err := OpenVersion(ctx, path, known)
	if err == nil {
		seen.Store(path, f.(*remote).info.Version)
	}
	return f, err
}

// Stat describes a file or an object. A prefix of keys that ends before a slash is a directory; no
// such thing is an fs.ErrNotExist.
func Stat(ctx context.Context, path string) (fs.FileInfo, error) {
	if !IsRemote(path) {
		local, err := Local(path)
		if err != nil {
			return nil, err
		}
		return os.Stat(local)
	}
	s, err := storeOf(ctx, path)
	if err != nil {
		return nil, err
	}
	b, isBucket := s.(*bucket)
	if isBucket && (key(path) == "" || strings.HasSuffix(path, "/")) {
		return b.statDirectory(ctx, path)
	}
	var info Info
	err = retry(ctx, func() (err error) {
		info, err = s.stat(ctx, path)
		return err
	})
	if isBucket && errors.Is(err, fs.ErrNotExist) {
		if directory, err := b.statDirectory(ctx, path); err == nil {
			return directory, nil
		}
	}
	return fileInfo{path: path, info: info}, err
}

// IsDirectory says whether there is a directory of that name, or below that address of a store. An
// error is a [*StoreError]; whatever else keeps it from being seen is no directory.
func IsDirectory(ctx context.Context, path string) (bool, error) {
	if IsRemote(path) && !IsStore(path) {
		return false, nil
	}
	info, err := Stat(ctx, path)
	if store := (*StoreError)(nil); errors.As(err, &store) {
		return false, store
	}
	return err == nil && info.IsDir(), nil
}

// maxSmall is more than any small file has.
const maxSmall = 256 << 20

// ReadFile reads a small file or object whole: one of over 256 MiB is an error.
func ReadFile(ctx context.Context, path string) ([]byte, error) {
	f, err := Open(ctx, path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(data) > maxSmall {
		err = &Error{path, fmt.Sprintf("expected at most %d bytes, got more", maxSmall), nil}
	}
	return data, errors.Join(err, f.Close())
}

// Write makes a file or an object appear only when it is complete. A failure half way loses nothing
// that stood there.
func Write(ctx context.Context, path string, write func(io.Writer) error) error {
	if !IsRemote(path) {
		local, err := Local(path)
		if err != nil {
			return err
		}
		return atomicfile.Write(local, write)
	}
	seen.Delete(path)
	b, err := writable(ctx, path)
	if err != nil {
		return err
	}
	return b.write(ctx, path, write)
}

// Create writes a new object. One that is there already is an fs.ErrExist, unless it has the same
// bytes.
func Create(ctx context.Context, path string, data []byte) error {
	b, err := writable(ctx, path)
	if err != nil {
		return err
	}
	return b.create(ctx, path, data)
}

// Remove removes a file or an object.
func Remove(ctx context.Context, path string) error {
	if !IsRemote(path) {
		local, err := Local(path)
		if err != nil {
			return err
		}
		return os.Remove(local)
	}
	b, err := writable(ctx, path)
	if err != nil {
		return err
	}
	return retry(ctx, func() error { return b.fault(path, b.bucket.Delete(ctx, key(path))) })
}

func writable(ctx context.Context, path string) (*bucket, error) {
	s, err := storeOf(ctx, path)
	if err != nil {
		return nil, err
	}
	b, ok := s.(*bucket)
	if !ok || key(path) == "" {
		return nil, &Error{path, "expected a path, or an address of s3, gs, az or file with a " +
			"key, which can be written", fs.ErrInvalid}
	}
	return b, nil
}

// ReadHead reads the first bytes of an object, of a file on this machine too: so many, or all where
// there are fewer.
func ReadHead(ctx context.Context, path string, length int64) ([]byte, error) {
	if !IsRemote(path) {
		f, err := Open(ctx, path)
		if err != nil {
			return nil, err
		}
		head, err := io.ReadAll(io.LimitReader(f, length))
		return head, errors.Join(err, f.Close())
	}
	s, err := storeOf(ctx, path)
	if err != nil {
		return nil, err
	}
	var head []byte
	err = retry(ctx, func() error {
		body, _, err := s.get(ctx, path, 0, length)
		if err != nil {
			return err
		}
		head, err = io.ReadAll(body)
		_ = body.Close() // it was read
		if err != nil {
			err = brokenOff(ctx, s, path, err)
		}
		return err
	})
	return head, err
}

// Base is the last part of a path or an address, of a web server's without its query.
func Base(path string) string {
	if s := scheme(path); s == "http" || s == "https" || s == "file" {
		if u, err := url.Parse(path); err == nil {
			return filepath.Base(u.Path)
		}
	}
	return filepath.Base(path)
}

// Beside is what a relative path names in the folder of a file or an object.
func Beside(file, relative string) string {
	switch scheme(file) {
	case "":
		return filepath.Join(filepath.Dir(file), relative)
	case "http", "https", "file":
		if u, err := url.Parse(file); err == nil {
			return u.ResolveReference(&url.URL{Path: filepath.ToSlash(relative)}).String()
		}
	}
	return bucketName(file) + "/" + slashpath.Join(slashpath.Dir(key(file)), relative)
}
