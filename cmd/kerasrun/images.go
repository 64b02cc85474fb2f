package main

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxImageBytes bounds the memory that one picture file, or standard input, can take before it is decoded.
const maxImageBytes = 256 << 20

// imageExtensions are those of the formats that preprocess decodes; in a directory, other files are passed over.
var imageExtensions = []string{".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}

// walkImages yields the picture files that args name: a file by its path, whatever its name; "-", which is standard input; and of a
// directory every file below it with a picture's extension, in lexical order. A path that cannot be walked, or a directory without
// a picture, is yielded with its error.
func walkImages(args []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, arg := range args {
			if info, err := os.Stat(arg); arg == "-" || err != nil || !info.IsDir() {
				if !yield(arg, nil) {
					return
				}
				continue
			}
			found, stopped := false, false
			// The function itself returns no error, so WalkDir has none either.
			_ = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
				picture := err == nil && !entry.IsDir() && slices.Contains(imageExtensions, strings.ToLower(filepath.Ext(path)))
				if err == nil && !picture {
					return nil
				}
				found = true // or, where it could not be read, not known to be empty
				if !yield(path, err) {
					stopped = true
					return fs.SkipAll
				}
				return nil
			})
			if stopped {
				return
			}
			if !found && !yield(arg, fmt.Errorf("%s: no pictures below it (%s)", arg, strings.Join(imageExtensions, " "))) {
				return
			}
		}
	}
}

// readImage reads a picture file, or standard input where path is "-".
func readImage(path string, stdin io.Reader) ([]byte, error) {
	r := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	image, err := io.ReadAll(io.LimitReader(r, maxImageBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(image) > maxImageBytes {
		return nil, fmt.Errorf("%s: want at most %d MiB, got more", path, maxImageBytes>>20)
	}
	return image, nil
}
