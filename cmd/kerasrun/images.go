package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"kerasrun/score"
)

// maxImageBytes bounds the memory that one image file, or standard input, takes before it is
// decoded.
const maxImageBytes = 256 << 20

// walkImages yields the image files that args name: a file by its path, whatever its name; "-",
// which is standard input; and of a directory the images below it, as score takes them. A path that
// cannot be walked, or a directory without an image, is yielded with its error.
func walkImages(args []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, arg := range args {
			if info, err := os.Stat(arg); arg == "-" || err != nil || !info.IsDir() {
				if !yield(arg, nil) {
					return
				}
				continue
			}
			empty := true
			for path, err := range score.Images(arg) {
				empty = false // or, where it could not be read, not known to be
				if !yield(path, err) {
					return
				}
			}
			if !empty {
				continue
			}
			err := fmt.Errorf("%s: no images below it (%s)",
				arg, strings.Join(score.ImageExtensions, " "))
			if !yield(arg, err) {
				return
			}
		}
	}
}

// readImage reads an image file, or standard input where path is "-".
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
		return nil, fmt.Errorf("%s: expected at most %d MiB, got more", path, maxImageBytes>>20)
	}
	return image, nil
}
