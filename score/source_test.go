package score

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/internal/tfrecord"
)

// items are the paths and contents of a source; an error stands in place of the content it is the
// reason for the lack of.
func items(s Source) (out []string) {
	for item := range s {
		content, err := item.Read()
		text := string(content)
		if err != nil {
			text = "! " + err.Error()
		}
		out = append(out, item.Path+": "+text)
	}
	return out
}

// tree writes files, each holding its own path below the folder, and returns the folder.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, name), name)
	}
	return root
}

func TestSources(t *testing.T) {
	root := tree(t, "d/b.jpg", "d/a/z.PNG", "d/a/y.webp", "d/c.txt", "d/.hidden.jpg", "d/A.gif",
		"e/1.bmp", "e/2.jpeg", "e/notes", "list", "paths.csv")
	if err := os.Symlink("d", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../e/1.bmp", filepath.Join(root, "d", "s.bmp")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "paths.csv"), "id,path\n1,d/b.jpg\n2,\"e/1.bmp\"\n")
	zipped, err := os.Create(filepath.Join(root, "images.zip"))
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(zipped)
	for _, name := range []string{"z/b.jpg", "z/", "z/readme.md", "a.png"} {
		w, err := archive.Create(name)
		if err == nil && !strings.HasSuffix(name, "/") {
			_, err = w.Write([]byte(name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	here, err := filepath.Abs("paths.csv")
	if err != nil {
		t.Fatal(err)
	}
	here = filepath.Dir(here)
	testdata := testdataFolder
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"a file, whatever its name", []string{"e/notes"}, []string{"e/notes: e/notes"}},
		{"a directory", []string{"d"}, []string{"d/A.gif: d/A.gif", "d/a/y.webp: d/a/y.webp",
			"d/a/z.PNG: d/a/z.PNG", "d/b.jpg: d/b.jpg", "d/s.bmp: e/1.bmp"}},
		{"a link to one", []string{"link"},
			[]string{"link/A.gif: d/A.gif", "link/a/y.webp: d/a/y.webp", "link/a/z.PNG: d/a/z.PNG",
				"link/b.jpg: d/b.jpg", "link/s.bmp: e/1.bmp"}},
		{"the order of the arguments", []string{"e", "d/b.jpg"},
			[]string{"e/1.bmp: e/1.bmp", "e/2.jpeg: e/2.jpeg", "d/b.jpg: d/b.jpg"}},
		{"a glob", []string{"?/*.[bj]*"}, []string{"d/b.jpg: d/b.jpg", "d/s.bmp: e/1.bmp",
			"e/1.bmp: e/1.bmp", "e/2.jpeg: e/2.jpeg"}},
		{"a column of CSV", []string{"paths.csv"},
			[]string{"d/b.jpg: d/b.jpg", "e/1.bmp: e/1.bmp"}},
		{"the same from elsewhere", []string{here + "/paths.csv"},
			[]string{here + "/d/b.jpg: d/b.jpg", here + "/e/1.bmp: e/1.bmp"}},
		{"a zip", []string{"images.zip"}, []string{"images.zip/z/b.jpg: z/b.jpg",
			"images.zip/a.png: a.png"}},
		{"a WebDataset shard", []string{testdata + "/shard-*.tar.gz"},
			[]string{testdata + "/shard-000000.tar.gz/0001.jpg: first",
				testdata + "/shard-000000.tar.gz/0002.PNG: second"}},
		{"a TFRecord file", []string{testdata + "/images.tfrecord"},
			[]string{testdata + "/images.tfrecord/n01440764_1.JPEG: first",
				testdata + "/images.tfrecord/b.jpg: second", testdata + "/images.tfrecord/2: third",
				testdata + "/images.tfrecord/3: ! " + testdata +
					"/images.tfrecord/3: expected an image's bytes in the feature image/encoded or image, got " +
					`the features ["image/class/label" "text"]: --feature names the image's`,
				testdata + "/images.tfrecord/4: ! " + testdata +
					"/images.tfrecord/4: not a tf.train.Example: unexpected EOF"}},
		{"a column of Parquet", []string{testdata + "/paths.parquet"}, []string{
			testdata + "/a.jpg: ! open " + testdata + "/a.jpg: no such file or directory",
			testdata + "/sub/b.png: ! open " + testdata + "/sub/b.png: no such file or directory",
			"/absolute/c.jpg: ! open /absolute/c.jpg: no such file or directory"}},
		{"a missing file", []string{"no.jpg", "e/notes"},
			[]string{"no.jpg: ! open no.jpg: no such file or directory", "e/notes: e/notes"}},
		{"no archive", []string{"no.tar", "no.zip"},
			[]string{"no.tar: ! open no.tar: no such file or directory",
				"no.zip: ! no.zip: open no.zip: no such file or directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _, err := Open(t.Context(), c.args, InputOptions{Column: "path"})
			if err != nil {
				t.Fatal(err)
			}
			for pass := range 2 {
				if got := items(s); !slices.Equal(got, c.want) {
					t.Errorf("pass %d: want\n%s\ngot\n%s", pass, strings.Join(c.want, "\n"),
						strings.Join(got, "\n"))
				}
			}
		})
	}
}

var testdataFolder, _ = filepath.Abs("testdata")

func TestOpenRefuses(t *testing.T) {
	t.Chdir(tree(t, "empty.csv"))
	write(t, "paths.csv", "id,path\n1,a.jpg\n2\n")
	for _, c := range []struct{ name, arg, column, want string }{
		{"no match", "*.jpg", "", "*.jpg: matches no file"},
		{"a bad glob", "[", "", "[: syntax error in pattern"},
		{"no column named", "paths.csv", "", "needs the name of its column"},
		{"no such column", "paths.csv", "file",
			`paths.csv: expected a column "file", got ["id" "path"]`},
		{"a torn row", "paths.csv", "path", "paths.csv: record on line 3: wrong number of fields"},
		{"no such Parquet column", testdataFolder + "/paths.parquet", "file",
			`expected a column "file"`},
		{"a column of numbers", testdataFolder + "/paths.parquet", "id",
			`expected a column "id" of paths, of images' bytes or of {bytes, path}, got int64`},
		{"a missing table", "no.csv", "path", fs.ErrNotExist.Error()[:4]},
	} {
		if _, _, err := Open(t.Context(), []string{c.arg}, InputOptions{Column: c.column}); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestList(t *testing.T) {
	root := tree(t, "a b.jpg", "c.jpg")
	s, err := List(strings.NewReader(fmt.Sprintf("%s/a b.jpg\r\n\n%s/c.jpg", root, root)))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{root + "/a b.jpg: a b.jpg", root + "/c.jpg: c.jpg"}
	for range 2 {
		if got := items(s); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := List(strings.NewReader("a\n" + strings.Repeat("x", 2<<20))); err == nil ||
		!strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want an error that names line 2", err)
	}
}

// An image that is deleted when the run has begun is an error record; the others keep their places.
func TestInputDeletedMeanwhile(t *testing.T) {
	input := images(t, 40)
	c := config(filepath.Join(t.TempDir(), "out.csv"), source(t, input))
	if err := os.Remove(filepath.Join(input, "00030.jpg")); err != nil {
		t.Fatal(err)
	}
	mustRun(t, c)
	_, records, err := ReadOutput(c.Output)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%05d.jpg", r.Index); filepath.Base(r.Path) != want {
			t.Errorf("row %d: got %s, want %s", r.Index, r.Path, want)
		}
		if missing := strings.Contains(r.Error, "no such file"); missing != (r.Index == 30) {
			t.Errorf("row %d: got the error %q", r.Index, r.Error)
		}
	}
}

// An archive that is replaced when the run has begun stops it before an image is answered under
// another's index.
func TestInputReplacedMeanwhile(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "out.csv"), nil)
	for _, n := range []int{30, 50, 40} {
		pass := 0
		c.Source = func(yield func(Item) bool) {
			length := 40
			if pass++; pass > 1 {
				length = n
			}
			for i := range length {
				item := Item{Path: fmt.Sprint(i),
					Read: func() ([]byte, error) { return []byte("fine"), nil }}
				if n == 40 && pass > 1 && i > 20 {
					item.Path += " moved"
				}
				if !yield(item) {
					return
				}
			}
		}
		if _, err := Run(t.Context(), c); err == nil ||
			!strings.Contains(err.Error(), "the inputs") {
			t.Errorf("%d: got %v, want an error that says the inputs changed", n, err)
		}
		removeRun(t, c.Output)
	}
}

// Whatever stands in a record, it is an item.
func FuzzExample(f *testing.F) {
	in := strings.NewReader(read(f, "testdata/images.tfrecord"))
	for record, err := tfrecord.Read(in, MaxImageBytes); err == nil; record, err = tfrecord.Read(in,
		MaxImageBytes) {
		f.Add(record)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		item := exampleItem("x.tfrecord", 0, "", record)
		if data, err := item.Read(); err == nil && int64(len(data)) != item.Size {
			t.Errorf("got %d, want %d bytes", len(data), item.Size)
		}
	})
}
