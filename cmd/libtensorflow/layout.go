package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What is unpacked is bounded, whatever a wheel declares: three times what these wheels hold.
const (
	maxFiles = 50_000
	maxBytes = 4 << 30
)

// unpack takes the headers and the libraries out of a wheel, into dir/include and dir/lib.
func unpack(ctx context.Context, path, dir string, names libraryNames) error {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("%s: expected a wheel: %w", path, err)
	}
	defer archive.Close()
	missing := map[string]bool{
		"include/tensorflow/c/c_api.h": true,
		"lib/" + names.library:         true,
		"lib/" + names.framework:       true,
	}
	var files int
	var bytes uint64
	for _, entry := range archive.File {
		name, ok := strings.CutPrefix(entry.Name, "tensorflow/")
		switch {
		case !ok || strings.HasSuffix(name, "/"):
			continue
		case name == names.library || name == names.framework:
			name = "lib/" + name
		case !strings.HasPrefix(name, "include/") && name != "THIRD_PARTY_NOTICES.txt":
			continue
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) || !entry.Mode().IsRegular() {
			return fmt.Errorf("%s: expected regular files below tensorflow/, found %q",
				path, entry.Name)
		}
		files++
		bytes += entry.UncompressedSize64
		if files > maxFiles || entry.UncompressedSize64 > maxBytes || bytes > maxBytes {
			return fmt.Errorf("%s: expected at most %d files and %d MB, found more",
				path, maxFiles, maxBytes/1_000_000)
		}
		if err := unpackFile(ctx, entry, filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return err
		}
		delete(missing, name)
	}
	for name := range missing {
		return fmt.Errorf("%s: expected %s there, found none", path, name)
	}
	return nil
}

func unpackFile(ctx context.Context, entry *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	content, err := entry.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", entry.Name, err)
	}
	defer content.Close()
	mode := fs.FileMode(0o644)
	if strings.Contains(filepath.Base(path), "libtensorflow") {
		mode = 0o755
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer file.Close()
	limited := io.LimitReader(content, int64(entry.UncompressedSize64)+1)
	if _, err := io.Copy(file, readerOf(ctx, limited)); err != nil {
		var disk *fs.PathError
		if errors.As(err, &disk) {
			return err
		}
		return fmt.Errorf("%s: %w", entry.Name, err)
	}
	return file.Close()
}

// readerOf gives a reader that ends with the context's error when that is done.
func readerOf(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, errors.New("interrupted")
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// linkInstalled links the headers and libraries of an installed one into dir: of a Python
// environment's package `tensorflow`, of a directory that this command made, or of TensorFlow's own
// C distribution.
func linkInstalled(from, dir string, names libraryNames) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	var library, framework string
	for _, candidate := range [][2]string{
		{names.library, names.framework},
		{"lib/" + names.library, "lib/" + names.framework}, // made by this command
		{"lib/libtensorflow" + names.suffix, "lib/libtensorflow_framework" + names.suffix},
	} {
		library, framework = filepath.Join(from, candidate[0]), filepath.Join(from, candidate[1])
		if _, err := os.Stat(library); err == nil {
			break
		}
	}
	include := filepath.Join(from, "include")
	header := filepath.Join(include, "tensorflow", "c", "c_api.h")
	for _, path := range []string{header, library, framework} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf(
				"%s: expected Python's package tensorflow or an installed libtensorflow, "+
					"found no %s",
				from,
				path,
			)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "lib"), 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.Symlink(include, filepath.Join(dir, "include")),
		os.Symlink(library, filepath.Join(dir, "lib", names.library)),
		os.Symlink(framework, filepath.Join(dir, "lib", names.framework)))
}

// finish gives dir, which has the headers and libraries, the names to link with and tensorflow.pc.
func finish(dir, origin string, names libraryNames) error {
	lib := filepath.Join(dir, "lib")
	for name, target := range names.links {
		if err := os.Symlink(target, filepath.Join(lib, name)); err != nil {
			return err
		}
	}
	if names.suffix == ".so" {
		library, stub := filepath.Join(lib, names.library), filepath.Join(lib, "libtensorflow.so")
		if err := writeStub(library, stub); err != nil {
			return err
		}
	}
	pkgconfig := filepath.Join(lib, "pkgconfig")
	if err := os.Mkdir(pkgconfig, 0o755); err != nil {
		return err
	}
	return errors.Join(
		writePC(filepath.Join(dir, "tensorflow.pc"), origin, "${pcfiledir}"),
		writePC(filepath.Join(pkgconfig, "tensorflow.pc"), origin, "${pcfiledir}/../.."))
}

// writePC writes pkg-config's description. It says where it lies by pkg-config's own variable, so
// that the directory may be moved.
func writePC(path, origin, prefix string) error {
	return os.WriteFile(path, []byte(originLine(origin)+`prefix=`+prefix+`
includedir=${prefix}/include
libdir=${prefix}/lib

Name: TensorFlow
Description: TensorFlow's C library
Version: `+version+`
Cflags: -I${includedir}
Libs: -L${libdir} -ltensorflow -ltensorflow_framework -Wl,-rpath,${libdir}
`), 0o644)
}

// originLine opens tensorflow.pc, which is written last: it says that a directory is complete, and
// of what it was made.
func originLine(origin string) string { return "# made by libtensorflow of " + origin + "\n" }
