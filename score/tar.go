package score

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

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
		x, err := xz.NewReader(in, maxWindow)
		return xzReader{x}, xzError(err)
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

// xzReader holds each block of each stream to the bound, not only the first.
type xzReader struct{ *xz.Reader }

func (x xzReader) Read(p []byte) (int, error) {
	n, err := x.Reader.Read(p)
	return n, xzError(err)
}

func xzError(err error) error {
	if errors.Is(err, xz.ErrMemlimit) {
		err = fmt.Errorf("expected a dictionary of at most %d bytes, got a larger one: compress "+
			"with xz -9 or less: %w", maxWindow, err)
	}
	return err
}

// tarArchive lists the images of a tar file, in the archive's order. Where keep names endings, each
// image keeps the texts of the members of its key that have them, as WebDataset groups members.
func tarArchive(
	ctx context.Context, path, compression string, keep []Keep, skipped *skippedPart,
	allowEmpty bool,
) Source {
	return func(yield func(Item) bool) {
		skipped.reset()
		file, info, err := openRegular(path)
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
		whole := &tarStream{Reader: in}
		if compression != "" {
			whole.Reader = &unpacked{ctx, in, unpackedLimit(info.Size())}
		}
		archive := tar.NewReader(whole.reader())
		declared, empty := int64(0), true
		s := sample{keep: keep, skipped: skipped, yield: func(item Item) bool {
			empty = false
			return yield(item)
		}}
		for {
			header, err := archive.Next()
			if err == io.EOF {
				if err = whole.checkEnd(); err == nil {
					if s.end() && empty && !allowEmpty {
						yield(failedItem(path, noImages(path, skipped)))
					}
					return
				}
			}
			if err != nil {
				if s.end() {
					yield(failedItem(path, fmt.Errorf("%s: %w", path, err)))
				}
				return
			}
			if header.Size <= MaxImageBytes {
				declared += header.Size // of sparse ones more than is there
			}
			if declared > unpackedLimit(info.Size()) {
				yield(failedItem(path, fmt.Errorf("%s: %s", path, unpackedTooLarge)))
				return
			}
			name := path + "/" + header.Name
			if len(keep) > 0 {
				more, taken := s.member(name, header.Name, header.Typeflag == tar.TypeReg,
					func() (io.ReadCloser, error) { return io.NopCloser(archive), nil })
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

// unpacked is what a compressed file unpacks to. It ends where ctx does, or with the limit: of
// bzip2 100 kB may stand for hours of zeros.
type unpacked struct {
	ctx   context.Context
	r     io.Reader
	limit int64 // of what is left
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	if u.limit <= 0 {
		return 0, errors.New(unpackedTooLarge)
	}
	n, err := u.r.Read(p[:min(int64(len(p)), u.limit)])
	u.limit -= int64(n)
	return n, err
}

// tarStream is the bytes of a tar file.
type tarStream struct {
	io.Reader
	ended bool // more was asked for than there is
}

func (s *tarStream) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.ended = s.ended || n == 0 && err == io.EOF
	return n, err
}

// seekableTar is a plain tar file, where a member is passed over by a seek.
type seekableTar struct {
	*tarStream
	io.Seeker
}

func (s *tarStream) reader() io.Reader {
	if seeker, ok := s.Reader.(io.Seeker); ok {
		return seekableTar{s, seeker}
	}
	return s
}

// checkEnd takes a tar file whose last member was read. It was cut where the zeros are missing that
// end each; what follows them would be lost in silence, as the second of two files put together;
// and what it is compressed by has its checksum at the very end.
func (s *tarStream) checkEnd() error {
	if s.ended {
		return errors.New("expected two blocks of zeros at the end of the tar file, got its end " +
			"without them: it may be cut")
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := s.Reader.Read(buffer)
		if len(bytes.Trim(buffer[:n], "\x00")) > 0 {
			return errors.New("expected nothing behind the end of the tar file, got more: tar files put " +
				"together by cat are read by GNU tar's --ignore-zeros alone; give each apart, or " +
				"join them by tar --concatenate")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
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
