package score

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"kerasrun/classify"
	"kerasrun/object"
)

// No entry of a directory or an archive is lost in silence: it is an image, an error, or counted
// here by the reason why it is neither.

// Skipped counts what the sources made with it passed over: files that are no images, by their
// endings, hidden files, and links that were not followed. The zero value is ready; a nil one
// counts nothing.
type Skipped struct {
	mu    sync.Mutex
	parts []*skippedPart
}

// skippedPart is what one source passed over. It begins anew with each pass through the source.
type skippedPart struct {
	whole   *Skipped
	reasons map[string]int64
}

func (s *Skipped) part() *skippedPart {
	p := &skippedPart{whole: s}
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.parts = append(s.parts, p)
	}
	return p
}

func (p *skippedPart) reset() {
	if p.whole != nil {
		p.whole.mu.Lock()
		defer p.whole.mu.Unlock()
	}
	p.reasons = map[string]int64{}
}

func (p *skippedPart) add(reason string) {
	if p.whole != nil {
		p.whole.mu.Lock()
		defer p.whole.mu.Unlock()
	}
	p.reasons[reason]++
}

func (p *skippedPart) String() string { return describeSkipped(p.reasons) }

// Reasons returns how many entries were passed over for each reason.
func (s *Skipped) Reasons() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := map[string]int64{}
	for _, p := range s.parts {
		for reason, n := range p.reasons {
			sum[reason] += n
		}
	}
	return sum
}

// String is "skipped 12 (8 .txt, 4 links)", the most frequent reason first; "" where nothing was.
func (s *Skipped) String() string { return describeSkipped(s.Reasons()) }

// maxReasons bounds the reasons that are named, as names may have any ending.
const maxReasons = 8

func describeSkipped(reasons map[string]int64) string {
	names := slices.Sorted(maps.Keys(reasons))
	slices.SortStableFunc(names, func(a, b string) int { return int(reasons[b] - reasons[a]) })
	var all, named int64
	var words []string
	for i, name := range names {
		all += reasons[name]
		if i < maxReasons {
			named += reasons[name]
			words = append(words, fmt.Sprintf("%d %s", reasons[name], name))
		}
	}
	if all == 0 {
		return ""
	}
	if all > named {
		words = append(words, fmt.Sprintf("%d others", all-named))
	}
	return fmt.Sprintf("skipped %d (%s)", all, strings.Join(words, ", "))
}

// ImageExtensions are those of the formats that are decoded, in lower case.
var ImageExtensions = []string{".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp",
	".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff"}

// foreignExtensions are those of formats that load_img reads and this program does not. Such files
// are taken for images, so that each is an error that says so.
var foreignExtensions = []string{".avif", ".jp2", ".j2k", ".jpx"}

// hasImageName tells by its ending whether an entry is taken for an image.
func hasImageName(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return slices.Contains(ImageExtensions, ext) || slices.Contains(foreignExtensions, ext)
}

func isHidden(name string) bool { return strings.HasPrefix(filepath.Base(name), ".") }

// skippedName is the reason to pass over an entry that is no image.
func skippedName(name string) string {
	ext := strings.ToLower(filepath.Ext(name))
	if ext == "" || ext == "." {
		return "without an ending"
	}
	return EscapePath(ext)
}

// headBytes is how much of an entry tells what it is.
const headBytes = 512

// MaxImageBytes is the largest encoded image that is read, wherever it stands. All images that a
// run has read and not yet decoded have no more bytes together.
const MaxImageBytes = 256 << 20

// checkSize is the one place where the size of an image is compared with the limit.
func checkSize(name string, size int64) error {
	if size < 0 || size > MaxImageBytes {
		return fmt.Errorf("%s: expected an image of at most %d bytes, got %d", name, MaxImageBytes,
			size)
	}
	return nil
}

// checkRegular refuses what is not a file: a device or a pipe may never end, or never begin.
func checkRegular(path string, mode os.FileMode) error {
	what := "of another kind"
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a directory"
	case mode&os.ModeDevice != 0:
		what = "a device"
	case mode&os.ModeNamedPipe != 0:
		what = "a pipe"
	case mode&os.ModeSocket != 0:
		what = "a socket"
	}
	return fmt.Errorf("%s: expected a regular file, got one that is %s", path, what)
}

// readExactly reads an entry of that size, and makes sure that it is as long as it says. Of what is
// no image it reads no more than the beginning.
func readExactly(r io.Reader, size int64) ([]byte, error) {
	head := make([]byte, min(size, headBytes))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, unexpectedEOF(err)
	}
	data := head
	if size > headBytes {
		if !classify.BeginsAsImage(head) {
			return head, nil
		}
		data = make([]byte, size)
		copy(data, head)
		if _, err := io.ReadFull(r, data[headBytes:]); err != nil {
			return nil, unexpectedEOF(err)
		}
	}
	var more [1]byte
	switch _, err := io.ReadFull(r, more[:]); err {
	case io.EOF:
		return data, nil
	case nil:
		return nil, fmt.Errorf("expected %d bytes, got more", size)
	default:
		return nil, err
	}
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// openRegular opens a regular file or an object. Nothing else is ever opened, as opening a pipe may
// wait for ever. What it opens is read again in a run: an object that has changed is an error.
func openRegular(path string) (object.File, os.FileInfo, error) {
	if !object.IsRemote(path) {
		return openLocal(path)
	}
	file, err := object.OpenInput(context.Background(), path)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	return file, info, err
}

func openLocal(path string) (object.File, os.FileInfo, error) {
	local, err := object.Local(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := os.Stat(local)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = &os.PathError{Op: "open", Path: path, Err: p.Err}
		}
		return nil, nil, err
	}
	if err := checkRegular(path, info.Mode()); err != nil {
		return nil, nil, err
	}
	file, err := os.Open(local)
	return file, info, err
}

// readFile reads an image that is a file on this machine.
func readFile(path string) ([]byte, error) {
	file, info, err := openLocal(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readImage(path, file, info.Size())
}

// readImage reads an image of that size; -1 is not known.
func readImage(path string, file io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		data, err := io.ReadAll(io.LimitReader(file, MaxImageBytes+1))
		if err == nil {
			err = checkSize(path, int64(len(data)))
		}
		return data, err
	}
	if err := checkSize(path, size); err != nil {
		return nil, err
	}
	data, err := readExactly(file, size)
	var known *object.Error // which names the path
	if err != nil && !errors.As(err, &known) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return data, err
}

func readHead(path string) ([]byte, error) {
	file, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, headBytes))
}
