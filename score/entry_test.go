package score

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const notAnImage = "not an image: JPEG, PNG, GIF, BMP, WebP, PNM and TIFF begin otherwise"

// outcomes are the paths of a source, each with its error where it has one.
func outcomes(s Source) (out []string) {
	for item := range s {
		line := item.Path
		if _, err := item.Read(); err != nil {
			line += ": ! " + err.Error()
		}
		out = append(out, line)
	}
	return out
}

// check opens the argument, goes through it twice, and compares what came out.
func checkOutcomes(t *testing.T, arg string, want []string, wantSkipped string) {
	t.Helper()
	skipped := new(Skipped)
	s, _, err := Open(t.Context(), []string{arg}, InputOptions{Skipped: skipped})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := outcomes(s); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", arg, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := skipped.String(); got != wantSkipped {
			t.Errorf("%s: got %q, want %q", arg, got, wantSkipped)
		}
	}
}

// entries are files of every kind, in the order in which a directory is walked.
var entries = []struct{ name, content string }{
	{".hidden.jpg", imageOf("hidden")},
	{"a", imageOf("an image without an ending")},
	{"b.dat", imageOf("an image of an unknown ending")},
	{"b.txt", "BM is not all that a BMP has"},
	{"c.JFIF", imageOf("c")},
	{"d.jpe", imageOf("d")},
	{"e.tif", "II*\x00 and so on"},
	{"f.ppm", "P6\n1 1\n255\nabc"},
	{"g", "II*\x00 a TIFF without an ending"},
	{"h.txt", "text"},
	{"i", "text without an ending"},
	{"j.jpg", "no image, though it says so"},
}

// each image in entries.
var entryImages = []string{"a", "b.dat", "c.JFIF", "d.jpe", "e.tif", "f.ppm", "g", "j.jpg"}

const entriesSkipped = "skipped 4 (2 .txt, 1 hidden, 1 without an ending)"

func below(folder string, names []string) (paths []string) {
	for _, name := range names {
		paths = append(paths, folder+"/"+name)
	}
	return paths
}

// The same entries have the same outcome in a directory, a tar and a zip; together with the counts
// they are all of them.
func TestEveryEntryIsAccountedFor(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("d", 0o777); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		write(t, "d/"+e.name, e.content)
	}
	writeTar(t, "x.tar", func(w *tar.Writer) error {
		for _, e := range entries {
			if err := addTar(w, tar.Header{Name: e.name}, e.content); err != nil {
				return err
			}
		}
		return nil
	})
	writeZip(t, "x.zip", func(w *zip.Writer) error {
		for _, e := range entries {
			member, err := w.Create(e.name)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(member, e.content); err != nil {
				return err
			}
		}
		return nil
	})
	for _, arg := range []string{"d", "x.tar", "x.zip"} {
		checkOutcomes(t, arg, below(arg, entryImages), entriesSkipped)
		c := config("out.jsonl", source(t, arg))
		s := mustRun(t, c)
		if s.Answered != 5 || s.Failed != 3 {
			t.Errorf("%s: got %+v, want 5 images answered and 3 failed", arg, s)
		}
		reasons := map[string]string{}
		_, records, err := ReadOutput(c.Output)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range records {
			if err != nil {
				t.Fatal(err)
			}
			reasons[filepath.Base(r.Path)] = r.Error
		}
		for name, want := range map[string]string{
			"e.tif": "malformed TIFF", "g": "malformed TIFF", "j.jpg": notAnImage,
		} {
			if !strings.Contains(reasons[name], want) {
				t.Errorf("%s/%s: got %q, want %q", arg, name, reasons[name], want)
			}
		}
		removeRun(t, c.Output)
	}
}

func TestLinksInDirectories(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	for _, dir := range []string{"d/real", "elsewhere/deep"} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"d/real/1.bmp", "elsewhere/2.bmp", "elsewhere/deep/3.bmp"} {
		write(t, path, imageOf(path))
	}
	for link, target := range map[string]string{
		"d/again":            "../elsewhere",
		"d/broken":           "nowhere",
		"d/broken.jpg":       "nowhere",
		"d/class":            "../elsewhere",
		"d/real/up":          "..",
		"d/self":             ".",
		"d/zero.jpg":         "/dev/zero",
		"elsewhere/deep/out": "../../d",
		"elsewhere/deep/up":  "..",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	checkOutcomes(t, "d", []string{
		"d/again/2.bmp", "d/again/deep/3.bmp",
		"d/broken.jpg: ! open d/broken.jpg: no such file or directory",
		"d/real/1.bmp",
		"d/zero.jpg: ! d/zero.jpg: expected a regular file, got one that is a device",
	}, "skipped 6 (3 links that lead back, 2 links to a directory that was followed, "+
		"1 broken links)")
}

func TestTarMembers(t *testing.T) {
	t.Chdir(t.TempDir())
	image := imageOf("an image")
	writeTar(t, "x.tar", func(w *tar.Writer) error {
		return errors.Join(
			addTar(w, tar.Header{Name: "d", Typeflag: tar.TypeDir}, ""),
			addTar(w, tar.Header{Name: "d/a.jpg"}, image),
			addTar(w, tar.Header{Name: "d/b.jpg", Typeflag: tar.TypeLink, Linkname: "d/a.jpg"}, ""),
			addTar(w, tar.Header{Name: "d/b.txt", Typeflag: tar.TypeLink, Linkname: "d/a.txt"}, ""),
			addTar(w, tar.Header{Name: "d/c.jpg", Typeflag: tar.TypeSymlink, Linkname: "a.jpg"}, ""),
			addTar(w, tar.Header{Name: "d/p", Typeflag: tar.TypeFifo}, ""),
		)
	})
	checkOutcomes(t, "x.tar", []string{
		"x.tar/d/a.jpg",
		"x.tar/d/b.jpg: ! x.tar/d/b.jpg: a hard link to d/a.jpg, which stands for it: " +
			"expected the image itself",
		"x.tar/d/p: ! x.tar/d/p: expected a regular file, got a member of type '6'",
	}, "skipped 2 (1 hard links, 1 links)")
	writeTar(t, "none.tar", func(w *tar.Writer) error {
		return addTar(w, tar.Header{Name: "a.txt"}, "text")
	})
	checkOutcomes(t, "none.tar",
		[]string{"none.tar: ! none.tar: no images in it: skipped 1 (1 .txt)"}, "skipped 1 (1 .txt)")
}

// Members that GNU tar wrote with -S are members: testdata/sparse.tar is made by
// testdata/sparse.sh.
func TestSparseMembers(t *testing.T) {
	got := items(source(t, "testdata/sparse.tar"))
	if len(got) != 4 {
		t.Fatalf("got %d items, want 4", len(got))
	}
	for i, name := range []string{"gnu.bmp", "pax.bmp", "huge.bmp", "small.bmp"} {
		path := "testdata/sparse.tar/" + name
		content, ok := strings.CutPrefix(got[i], path+": ")
		switch {
		case !ok:
			t.Errorf("got %.60q, want %s", got[i], path)
		case name == "huge.bmp":
			if !strings.Contains(content, "expected an image of at most 268435456 bytes, "+
				"got 1099511627776") {
				t.Errorf("%s: got %q", name, content)
			}
		case !strings.HasPrefix(content, "BM"):
			t.Errorf("%s: got %.60q", name, content)
		}
	}
}

// What an entry says of its size costs nothing until it is there, and then no more than the limit.
func TestMemberSizes(t *testing.T) {
	t.Chdir(t.TempDir())
	lie := func(size uint64) func(w *zip.Writer) error {
		return func(w *zip.Writer) error {
			image := []byte(imageOf("an image"))
			for range 2 {
				raw, err := w.CreateRaw(&zip.FileHeader{Name: "a.bmp", UncompressedSize64: size,
					CompressedSize64: uint64(len(image))})
				if err != nil {
					return err
				}
				if _, err := raw.Write(image); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for size, want := range map[uint64]string{
		3:           "expected 3 bytes",
		1 << 20:     "unexpected EOF",
		1 << 40:     "expected an image of at most",
		1<<64 - 100: "expected an image of at most",
	} {
		name := fmt.Sprintf("%d.zip", size)
		writeZip(t, name, lie(size))
		before := allocated()
		for _, got := range outcomes(source(t, name)) {
			if !strings.Contains(got, want) && !(size == 3 && strings.Contains(got, "zip:")) {
				t.Errorf("%d: got %q, want %q", size, got, want)
			}
		}
		if grown := allocated() - before; grown > 8<<20 {
			t.Errorf("%d: %d bytes were allocated", size, grown)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Of what is no image only the beginning is read: 2 x 200 MiB of zeros that take 400 KB.
func TestZerosAreNotRead(t *testing.T) {
	t.Chdir(t.TempDir())
	zeros := make([]byte, 1<<20)
	writeZip(t, "zeros.zip", func(w *zip.Writer) error {
		for i := range 2 {
			member, err := w.Create(fmt.Sprintf("%d.jpg", i))
			if err != nil {
				return err
			}
			for range 200 {
				if _, err := member.Write(zeros); err != nil {
					return err
				}
			}
		}
		return nil
	})
	before := allocated()
	c := config("out.jsonl", source(t, "zeros.zip"))
	if s := mustRun(t, c); s.Failed != 2 {
		t.Errorf("got %+v, want two failures", s)
	}
	if grown := allocated() - before; grown > 8<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

// What is small takes no hours, whatever it unpacks to, and a signal ends it within a read.
func TestUnpackedLimit(t *testing.T) {
	t.Chdir(t.TempDir())
	var members bytes.Buffer
	w := tar.NewWriter(&members)
	if err := addTar(w, tar.Header{Name: "1.jpg"}, "first"); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: "x.txt", Size: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	// a frame of zstd (RFC 8878) with a window of 128 KiB: a raw block, and blocks of one byte
	// repeated
	zst := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38}
	block := func(kind, size, last int) {
		zst = binary.LittleEndian.AppendUint32(zst, uint32(last|kind<<1|size<<3))[:len(zst)+3]
	}
	block(0, members.Len(), 0)
	zst = append(zst, members.Bytes()...)
	for range 10_000 {
		block(1, 128<<10, 0)
		zst = append(zst, 0)
	}
	write(t, "bomb.tar.zst", string(zst))
	got := items(source(t, "bomb.tar.zst"))
	if len(got) != 2 || !strings.Contains(got[1], unpackedTooLarge) {
		t.Errorf("got %q, want an image and an error with %q", got, unpackedTooLarge)
	}
	overlapping := func(w *zip.Writer) error {
		for range 5 {
			if _, err := w.CreateRaw(&zip.FileHeader{Name: "a.bmp", Method: zip.Deflate,
				UncompressedSize64: MaxImageBytes}); err != nil {
				return err
			}
		}
		return nil
	}
	writeZip(t, "bomb.zip", overlapping)
	if got := items(source(t, "bomb.zip")); len(got) != 1 ||
		!strings.Contains(got[0], unpackedTooLarge) {
		t.Errorf("got %q, want an error with %q", got, unpackedTooLarge)
	}

	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	stopped := errors.New("stopped")
	s, _, err := Open(ctx, []string{"bomb.tar.zst"}, InputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for item := range s {
		if stop(stopped); item.failure != nil {
			got = append(got, item.failure.Error())
		}
	}
	if want := "bomb.tar.zst: stopped"; !slices.Equal(got, []string{want}) {
		t.Errorf("got %q, want %q", got, want)
	}
	c := config("out.jsonl", source(t, "bomb.tar.zst"))
	if _, err := Run(ctx, c); !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
}

// Members that are encrypted are errors where they are images, and counted where they are not; a
// zip of more members than its first format can count is read whole.
func TestEncryptedAndZip64(t *testing.T) {
	t.Chdir(t.TempDir())
	member := func(w *zip.Writer, name string, flags uint16) error {
		m, err := w.CreateRaw(&zip.FileHeader{Name: name, Flags: flags, CRC32: 0x352441c2,
			CompressedSize64: 3, UncompressedSize64: 3})
		if err == nil {
			_, err = io.WriteString(m, "abc")
		}
		return err
	}
	writeZip(t, "closed.zip", func(w *zip.Writer) error {
		return errors.Join(member(w, "a.jpg", zipEncrypted), member(w, "b.txt", zipEncrypted),
			member(w, "c.jpg", 0))
	})
	checkOutcomes(t, "closed.zip", []string{
		"closed.zip/a.jpg: ! closed.zip/a.jpg: " + errEncrypted.Error(), "closed.zip/c.jpg",
	}, "skipped 1 (1 encrypted)")
	writeZip(t, "64.zip", func(w *zip.Writer) error {
		for i := range 1 << 16 {
			if _, err := w.Create(fmt.Sprintf("%d/", i)); err != nil {
				return err
			}
		}
		return member(w, "z.jpg", 0)
	})
	checkOutcomes(t, "64.zip", []string{"64.zip/z.jpg"}, "")
}

// The encoded images that a run holds have no more bytes together than one may have: 6 of the 40
// images, of 40 MiB each, at a time.
func TestBytesInFlight(t *testing.T) {
	const size, together = 40 << 20, MaxImageBytes / (40 << 20)
	var held, most atomic.Int64
	var once sync.Once
	full := make(chan struct{})
	c := config("-", func(yield func(Item) bool) {
		for i := range 40 {
			item := Item{Path: fmt.Sprint(i), Size: size, Read: func() ([]byte, error) {
				now := held.Add(1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); {
					seen = most.Load()
				}
				if now == together {
					once.Do(func() { close(full) })
				}
				<-full
				for range 10000 {
					runtime.Gosched() // one too many would come now
				}
				held.Add(-1)
				return []byte(imageOf("large")), nil
			}}
			if !yield(item) {
				return
			}
		}
	})
	c.Stdout = io.Discard
	c.Workers = 64
	if s := mustRun(t, c); s.Answered != 40 {
		t.Errorf("got %+v, want 40 answered", s)
	}
	if most.Load() != together {
		t.Errorf("got %d images at a time, want %d", most.Load(), together)
	}
}

func TestListsHoldAnyPath(t *testing.T) {
	t.Chdir(t.TempDir())
	names := []string{"line\nend", "plain", "\xff\xfe", `\xff\xfe`, "cr\r", `\x`, `\x5cxff`,
		"\ufffd"}
	for _, name := range names {
		write(t, name, imageOf(name))
	}
	s, err := ListNull(strings.NewReader(strings.Join(names, "\x00") + "\x00"))
	if err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{"out.jsonl", "out.csv", "out.parquet"} {
		c := config(output, s)
		if sum := mustRun(t, c); sum.Answered != int64(len(names)) {
			t.Errorf("%s: got %+v, want all answered", output, sum)
		}
		_, records, err := ReadOutput(output)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for r, err := range records {
			if err != nil {
				t.Fatal(err)
			}
			if got := UnescapePath(r.Path); got != names[r.Index] || seen[r.Path] {
				t.Errorf("%s: row %d: got %q for %q", output, r.Index, r.Path, names[r.Index])
			}
			seen[r.Path] = true
		}
	}
}

// A zero byte in a list ends neither its path nor another's error.
func TestZeroInList(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a", "b", "c"} {
		write(t, name, imageOf(name))
	}
	write(t, "table.csv", "\ufefffile\na\nb\x00c\nb\n")
	fromTable, _, err := Open(t.Context(), []string{"table.csv"}, InputOptions{Column: "file"})
	if err != nil {
		t.Fatal(err)
	}
	fromList, err := List(strings.NewReader("\ufeffa\r\nb\x00c\nb\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Source{fromTable, fromList} {
		got := outcomes(s)
		want := []string{"a", "b\x00c: ! open b\x00c: invalid argument", "b"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzEscapePath(f *testing.F) {
	for _, path := range []string{
		"a/b.jpg", "\xff", `\xff`, `\x5cxff`, "a\x00\r", `\x\xff`, "\\\xff0",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		text := EscapePath(path)
		if strings.ToValidUTF8(text, "") != text || strings.ContainsAny(text, "\x00\r") {
			t.Errorf("%q: got %q", path, text)
		}
		if got := UnescapePath(text); got != path {
			t.Errorf("%q: got %q back from %q", path, got, text)
		}
	})
}

func writeTar(t *testing.T, path string, fill func(*tar.Writer) error) {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := errors.Join(fill(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, path, out.String())
}

func addTar(w *tar.Writer, h tar.Header, content string) error {
	h.Mode, h.Size = 0o644, int64(len(content))
	if err := w.WriteHeader(&h); err != nil {
		return err
	}
	_, err := io.WriteString(w, content)
	return err
}

func writeZip(t *testing.T, path string, fill func(*zip.Writer) error) {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	if err := errors.Join(fill(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, path, out.String())
}
