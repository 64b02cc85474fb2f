package score

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"kerasrun/classify"
)

// noImages says that there is no image in a directory or an archive, which was named for its
// images.
func noImages(path string, skipped *skippedPart) error {
	reason := "it is empty"
	if s := skipped.String(); s != "" {
		reason = s
	}
	return fmt.Errorf("%s: no images in it: %s", path, reason)
}

// zipArchive lists the images of a zip file in the order of its directory. keep is as in
// [tarArchive].
func zipArchive(path string, keep []Keep, skipped *skippedPart, allowEmpty bool) Source {
	return func(yield func(Item) bool) {
		skipped.reset()
		file, info, err := openRegular(path)
		if err != nil {
			yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
			return
		}
		defer file.Close()
		archive, err := zip.NewReader(file, info.Size())
		if err != nil {
			yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
			return
		}
		var all uint64
		for _, member := range archive.File {
			if member.UncompressedSize64 <= MaxImageBytes {
				all += member.UncompressedSize64
			}
		}
		if all > uint64(unpackedLimit(info.Size())) {
			yield(failedItem(path, fmt.Errorf("%s: %s", path, unpackedTooLarge)))
			return
		}
		empty := true
		s := sample{keep: keep, skipped: skipped, yield: func(item Item) bool {
			empty = false
			return yield(item)
		}}
		for _, member := range archive.File {
			name := path + "/" + member.Name
			if len(keep) > 0 {
				more, taken := s.member(name, member.Name, member.Mode().IsRegular(),
					func() (io.ReadCloser, error) { return openMember(member) })
				if !more {
					return
				}
				if taken {
					continue
				}
			}
			if item, ok := zipItem(name, member, skipped); ok && !s.add(item) {
				return
			}
		}
		if s.end() && empty && !allowEmpty {
			yield(failedItem(path, noImages(path, skipped)))
		}
	}
}

// unpackedLimit is how many bytes an archive of some size may unpack to, so that what is small
// takes no hours: as many as deflate can pack at most, and a gigabyte.
func unpackedLimit(size int64) int64 { return min(size, 1<<50)*1032 + 1<<30 }

const unpackedTooLarge = "expected an archive that unpacks to at most 1 GiB and 1,032 times its " +
	"own size, got one of more: if it is to be trusted, unpack it and give the directory"

const zipEncrypted = 1 // of a member's flags

// zipItem returns false for a member that is no image.
func zipItem(name string, member *zip.File, skipped *skippedPart) (Item, bool) {
	switch mode := member.Mode(); {
	case mode.IsDir():
		return Item{}, false
	case mode&fs.ModeSymlink != 0:
		skipped.add("links")
		return Item{}, false
	case isHidden(member.Name):
		skipped.add("hidden")
		return Item{}, false
	case !mode.IsRegular():
		return failedItem(name, checkRegular(name, mode)), true
	}
	image := hasImageName(member.Name)
	if member.Flags&zipEncrypted != 0 {
		if !image {
			skipped.add("encrypted")
			return Item{}, false
		}
		return failedItem(name, fmt.Errorf("%s: %w", name, errEncrypted)), true
	}
	if member.Method != zip.Store && member.Method != zip.Deflate {
		return failedItem(name, fmt.Errorf("%s: expected a member that is stored or deflated, got "+
			"zip's method %d: pack it anew", name, member.Method)), true
	}
	if !image {
		head, err := zipHead(member)
		if err != nil {
			return failedItem(name, fmt.Errorf("%s: %w", name, err)), true
		}
		if !classify.IsImage(head) {
			skipped.add(skippedName(member.Name))
			return Item{}, false
		}
	}
	size := int64(min(member.UncompressedSize64, 1<<62))
	return memberItem(name, size, func() ([]byte, error) {
		r, err := member.Open()
		if err != nil {
			return nil, err
		}
		data, err := readExactly(r, size)
		return data, errors.Join(err, r.Close())
	}), true
}

// openMember refuses an encrypted member, which the library would give as it is.
func openMember(member *zip.File) (io.ReadCloser, error) {
	if member.Flags&zipEncrypted != 0 {
		return nil, errEncrypted
	}
	return member.Open()
}

var errEncrypted = errors.New("expected a member that anyone can read, got one that is encrypted: " +
	"unpack it first")

func zipHead(member *zip.File) ([]byte, error) {
	r, err := member.Open()
	if err != nil {
		return nil, err
	}
	head, err := io.ReadAll(io.LimitReader(r, headBytes))
	return head, errors.Join(err, r.Close())
}

func memberItem(name string, size int64, read func() ([]byte, error)) Item {
	if err := checkSize(name, size); err != nil {
		return failedItem(name, err)
	}
	return Item{Path: name, Size: size, Streamed: true, Read: func() ([]byte, error) {
		data, err := read()
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return data, err
	}}
}
