package score

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxImage is the largest encoded image that is taken out of an archive or a record.
const maxImage = 1 << 30

// tarArchive lists the images of a tar file, gzipped or not, in the archive's order.
func tarArchive(path string) Source {
	return func(yield func(Item) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(failedItem(path, err))
			return
		}
		defer file.Close()
		// A plain tar keeps the file itself, so that skipping a member is a seek.
		var in io.Reader = file
		if !strings.HasSuffix(strings.ToLower(path), ".tar") {
			unzipped, err := gzip.NewReader(bufio.NewReader(file))
			if err != nil {
				yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
				return
			}
			in = unzipped
		}
		archive := tar.NewReader(in)
		for {
			header, err := archive.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
				return
			}
			if header.Typeflag != tar.TypeReg || !isImage(header.Name) {
				continue
			}
			name := path + "/" + header.Name
			if !yield(memberItem(name, header.Size,
				func() ([]byte, error) { return io.ReadAll(archive) })) {
				return
			}
		}
	}
}

// zipArchive lists the images of a zip file in the order of its directory.
func zipArchive(path string) Source {
	return func(yield func(Item) bool) {
		archive, err := zip.OpenReader(path)
		if err != nil {
			yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
			return
		}
		defer archive.Close()
		for _, member := range archive.File {
			if member.FileInfo().IsDir() || !isImage(member.Name) {
				continue
			}
			read := func() ([]byte, error) {
				r, err := member.Open()
				if err != nil {
					return nil, err
				}
				defer r.Close()
				return io.ReadAll(io.LimitReader(r, maxImage))
			}
			if !yield(memberItem(path+"/"+member.Name, int64(member.UncompressedSize64), read)) {
				return
			}
		}
	}
}

func memberItem(name string, size int64, read func() ([]byte, error)) Item {
	if size < 0 || size > maxImage {
		return failedItem(name, fmt.Errorf("%s: %d bytes: over %d", name, size, maxImage))
	}
	return Item{name, size, func() ([]byte, error) {
		data, err := read()
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return data, err
	}, true}
}
