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

// zipArchive lists the images of a zip file in the order of its directory.
func zipArchive(path string, skipped *skippedPart, allowEmpty bool) Source {
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
		empty := true
		for _, member := range archive.File {
			item, ok := zipItem(path+"/"+member.Name, member, skipped)
			if !ok {
				continue
			}
			empty = false
			if !yield(item) {
				return
			}
		}
		if empty && !allowEmpty {
			yield(failedItem(path, noImages(path, skipped)))
		}
	}
}

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
			skipped.add(skippedName(member.Name))
			return Item{}, false
		}
		return failedItem(name, fmt.Errorf("%s: it is encrypted", name)), true
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
