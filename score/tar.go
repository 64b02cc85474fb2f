package score

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"kerasrun/classify"
	"kerasrun/object"
)

// tarEndings are the endings of tar files, with what they are compressed by.
var tarEndings = map[string]string{".tar": "", ".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2",
	".tbz2": "bz2", ".tbz": "bz2", ".tar.xz": "xz", ".txz": "xz", ".tar.zst": "zst", ".tzst": "zst"}

// tarCompression returns what a tar file is compressed by, "" where it is not, or false.
func tarCompression(path string) (string, bool) {
	for ending, compression := range tarEndings {
		if strings.HasSuffix(strings.ToLower(path), ending) {
			return compression, true
		}
	}
	return "", false
}

// maxWindow bounds the memory that decompressing takes: what zstd takes unless it is told
// otherwise, and twice what xz -9 writes.
const maxWindow = 128 << 20

// decompress reads what a tar file holds. A plain one keeps the file itself, so that skipping a
// member is a seek.
func decompress(file object.File, compression string) (io.Reader, error) {
	in := bufio.NewReader(file)
	switch compression {
	case "gz":
		return gzip.NewReader(in)
	case "bz2":
		return bzip2.NewReader(in), nil
	case "xz":
		if err := checkXZ(in); err != nil {
			return nil, err
		}
		return xz.NewReader(in)
	case "zst":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		return zstdReader{z}, err
	}
	return file, nil
}

// zstdReader has no goroutine, and so nothing to close.
type zstdReader struct{ *zstd.Decoder }

func (z zstdReader) Read(p []byte) (int, error) {
	n, err := z.Decoder.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("expected a window of at most %d bytes, got a larger one: compress with "+
			"zstd --long=27 or less: %w", maxWindow, err)
	}
	return n, err
}

// checkXZ refuses a dictionary that is too large, as the first block of the file says it is: see
// xz's file format, 2.1.1 and 3.1.
func checkXZ(in *bufio.Reader) error {
	head, err := in.Peek(12 + 1024) // the stream's header, and the largest of a block
	if len(head) < 24 || string(head[:6]) != "\xfd7zXZ\x00" {
		return fmt.Errorf("expected xz's format, got other bytes (%w)", err)
	}
	block := head[12:]
	if block[0] == 0 { // no block
		return nil
	}
	size, at := (int(block[0])+1)*4, 2
	for _, flag := range []byte{0x40, 0x80} { // the sizes, each of up to 9 bytes
		for more := block[1]&flag != 0; more; at++ {
			if at+1 >= min(size, len(block)) {
				return errors.New("expected the header of a block of xz, got other bytes")
			}
			more = block[at]&0x80 != 0
		}
	}
	if at+3 > min(size, len(block)) || block[1]&3 != 0 || block[at] != 0x21 || block[at+1] != 1 {
		return errors.New("expected xz with the filter LZMA2 alone, got others: compress it anew by xz " +
			"without --x86 and the like")
	}
	if dictionary, err := lzma.DecodeDictCap(block[at+2]); err != nil || dictionary > maxWindow {
		return fmt.Errorf("expected a dictionary of at most %d bytes, got %d: compress with xz -9 or "+
			"less (%w)", maxWindow, dictionary, err)
	}
	return nil
}

// tarArchive lists the images of a tar file, in the archive's order. Where keep names endings, each
// image keeps the texts of the members of its key that have them, as WebDataset groups members.
func tarArchive(
	path, compression string, keep []Keep, skipped *skippedPart, allowEmpty bool,
) Source {
	return func(yield func(Item) bool) {
		skipped.reset()
		file, _, err := openRegular(path)
		if err != nil {
			yield(failedItem(path, err))
			return
		}
		defer file.Close()
		in, err := decompress(file, compression)
		if err != nil {
			yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
			return
		}
		archive := tar.NewReader(in)
		empty := true
		s := sample{keep: keep, skipped: skipped, yield: func(item Item) bool {
			empty = false
			return yield(item)
		}}
		for {
			header, err := archive.Next()
			if err == io.EOF {
				if s.end() && empty && !allowEmpty {
					yield(failedItem(path, noImages(path, skipped)))
				}
				return
			}
			if err != nil {
				if s.end() {
					yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
				}
				return
			}
			name := path + "/" + header.Name
			if len(keep) > 0 {
				more, taken := s.member(name, header, archive)
				if !more {
					return
				}
				if taken {
					continue
				}
			}
			item, ok := tarItem(name, header, archive, skipped)
			if ok && !s.add(item) {
				return
			}
		}
	}
}

// tarItem returns false for a member that is no image.
func tarItem(name string, header *tar.Header, member io.Reader, skipped *skippedPart) (Item, bool) {
	image := hasImageName(header.Name) && !isHidden(header.Name)
	switch header.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return Item{}, false
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
	case tar.TypeLink:
		if image {
			return failedItem(name, fmt.Errorf("%s: a hard link to %s, which stands for it: "+
				"expected the image itself", name, header.Linkname)), true
		}
		skipped.add("hard links")
		return Item{}, false
	case tar.TypeSymlink:
		skipped.add("links")
		return Item{}, false
	default:
		return failedItem(name, fmt.Errorf("%s: expected a regular file, got a member of type %q",
			name, header.Typeflag)), true
	}
	if isHidden(header.Name) {
		skipped.add("hidden")
		return Item{}, false
	}
	if !image {
		head, err := io.ReadAll(io.LimitReader(member, headBytes))
		if err != nil {
			return failedItem(name, fmt.Errorf("%s: %w", name, err)), true
		}
		if !classify.IsImage(head) {
			skipped.add(skippedName(header.Name))
			return Item{}, false
		}
		member = io.MultiReader(bytes.NewReader(head), member)
	}
	return memberItem(name, header.Size,
		func() ([]byte, error) { return readExactly(member, header.Size) }), true
}

// sample is the members of a WebDataset with one key: the name up to the first dot of its last
// part. What is not kept has no samples: each image is one.
type sample struct {
	keep    []Keep
	skipped *skippedPart
	yield   func(Item) bool

	key    string
	images []Item // read, for their texts may come after them
	bytes  int64
	texts  map[string]string // by the ending
	fault  error             // of a text
}

var memberName = regexp.MustCompile(`^((?:.*/)?[^./]+)\.([^/]*)$`)

// maxText bounds the text of a member that is kept.
const maxText = 1 << 20

// member begins a sample where the key is another, and takes a member that is kept.
func (s *sample) member(name string, header *tar.Header, r io.Reader) (more, taken bool) {
	key, ending := header.Name, ""
	if parts := memberName.FindStringSubmatch(header.Name); parts != nil {
		key, ending = parts[1], strings.ToLower(parts[2])
	}
	if key != s.key && !s.end() {
		return false, false
	}
	s.key = key
	if header.Typeflag != tar.TypeReg || !s.keeps(ending) {
		return true, false
	}
	_, double := s.texts[ending]
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	switch {
	case err != nil:
		s.fault = errors.Join(s.fault, fmt.Errorf("%s: %w", name, err))
	case double:
		s.fault = errors.Join(s.fault, fmt.Errorf("%s: expected one member of this name in the sample, "+
			"got two", name))
	case len(text) > maxText || !utf8.Valid(text):
		s.fault = errors.Join(s.fault, fmt.Errorf("%s: expected a text in UTF-8 of at most %d bytes, "+
			"which can be kept, got %d bytes", name, maxText, header.Size))
	}
	if s.texts == nil {
		s.texts = map[string]string{}
	}
	s.texts[ending] = string(text)
	return true, true
}

func (s *sample) keeps(ending string) bool {
	for _, k := range s.keep {
		if strings.ToLower(k.Column) == ending {
			return true
		}
	}
	return false
}

// add takes an image. It returns false where the caller wants no more.
func (s *sample) add(item Item) bool {
	if len(s.keep) == 0 {
		return s.yield(item)
	}
	if item.failure == nil {
		if s.bytes += item.Size; s.bytes > MaxImageBytes {
			item = failedItem(item.Path, fmt.Errorf("%s: expected the images of one key of at most %d "+
				"bytes together, got %d", item.Path, MaxImageBytes, s.bytes))
		} else {
			data, err := item.Read()
			item.Read = func() ([]byte, error) { return data, err }
		}
	}
	s.images = append(s.images, item)
	return true
}

// end yields the sample's images with its texts, and counts one that has texts and no image. It
// returns false where the caller wants no more.
func (s *sample) end() bool {
	if len(s.images) == 0 && len(s.texts) > 0 {
		s.skipped.add("keys without an image")
	}
	kept := make([]any, len(s.keep))
	for i, k := range s.keep {
		if text, ok := s.texts[strings.ToLower(k.Column)]; ok && s.fault == nil {
			kept[i] = text
		}
	}
	more := true
	for _, item := range s.images {
		if s.fault != nil && item.failure == nil {
			item = failedItem(item.Path, s.fault)
		}
		if item.Kept = kept; more {
			more = s.yield(item)
		}
	}
	*s = sample{keep: s.keep, skipped: s.skipped, yield: s.yield}
	return more
}
