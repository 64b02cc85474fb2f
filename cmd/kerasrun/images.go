package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"kerasrun/object"
	"kerasrun/score"
)

// maxImageBytes bounds the memory that one image file, or standard input, takes before it is
// decoded.
const maxImageBytes = score.MaxImageBytes

// walkImages yields the image files that args name: a file by its path, whatever its name; "-",
// which is standard input; and of a directory the images below it, as score takes them. A path that
// cannot be walked, or a directory without an image, is yielded with its error; what is passed over
// is counted in skipped.
func walkImages(
	ctx context.Context, args []string, skipped *score.Skipped,
) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, arg := range args {
			isDirectory, err := object.IsDirectory(ctx, arg)
			if arg == "-" || !isDirectory || err != nil {
				if !yield(arg, err) {
					return
				}
				continue
			}
			empty := true
			for path, err := range score.Images(ctx, arg, skipped) {
				empty = false // or, where it could not be read, not known to be
				if !yield(path, err) {
					return
				}
			}
			if !empty {
				continue
			}
			err = fmt.Errorf("%s: no images below it (%s)",
				arg, strings.Join(score.ImageExtensions, " "))
			if !yield(arg, err) {
				return
			}
		}
	}
}

// noteSkipped says what was passed over below directories, where anything was.
func noteSkipped(stderr io.Writer, skipped *score.Skipped) {
	if s := skipped.String(); s != "" {
		fmt.Fprintf(stderr, "kerasrun: %s\n", s)
	}
}

// readImage reads an image file, or standard input where path is "-". It ends with ctx, also where
// it waits for a pipe.
func readImage(ctx context.Context, path string, stdin io.Reader) ([]byte, error) {
	r := stdin
	if path != "-" {
		f, err := openFile(ctx, path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
		if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
			r = newReader(ctx, f)
		}
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
