package score

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"kerasrun/internal/pythontest"
)

// inputs is a folder of what testdata/write_inputs.py writes, once for all tests.
var inputs struct {
	once sync.Once
	dir  string
	err  error
}

func inputsFolder(t *testing.T) string {
	t.Helper()
	python := pythontest.Python(t)
	inputs.once.Do(func() {
		if inputs.dir, inputs.err = os.MkdirTemp("", "kerasrun-inputs-"); inputs.err == nil {
			cmd := exec.Command(python, "testdata/write_inputs.py", inputs.dir)
			cmd.Stderr = os.Stderr
			inputs.err = cmd.Run()
		}
	})
	if inputs.err != nil {
		t.Fatal(inputs.err)
	}
	return inputs.dir
}

// removeInputs is called after the tests.
func removeInputs() {
	if inputs.dir != "" {
		os.RemoveAll(inputs.dir)
	}
}

// A table that pandas wrote is read in every encoding, with every separator. The rows are the same:
// two files, a null, an address.
func TestTableTexts(t *testing.T) {
	dir := inputsFolder(t)
	var names []string
	for _, separator := range []string{"comma", "tab", "semicolon", "bar"} {
		for _, encoding := range []string{"utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"} {
			names = append(names, separator+"-"+encoding+".csv")
		}
	}
	for _, name := range append(names, "tab.tsv", "table.parquet") {
		o := InputOptions{Column: "file"}
		if strings.HasPrefix(name, "bar") { // not looked for
			if _, _, err := Open(t.Context(), []string{filepath.Join(dir, name)}, o); err == nil ||
				!strings.Contains(err.Error(), `expected a column "file", got ["id|file|note"]`) {
				t.Errorf("%s: got %v, want an error that shows the header", name, err)
			}
			o.Separator = '|'
		}
		path := filepath.Join(dir, name)
		s, _, err := Open(t.Context(), []string{path}, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		url := "ftp://example.com//c;d.jpg"
		want := []string{
			dir + "/a, b.jpg: first", dir + "/sub/é€😀.jpg: second",
			path + "/2: ! " + path + ": row 2, counted from 0: expected a path in the column " +
				`"file", got none`,
			url + ": ! " + url + ": expected a path, or an address of http, https, s3, gs, az or " +
				"file, got one of ftp: fetch it first, and name the file",
		}
		for range 2 {
			if got := items(s); !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

func TestListTexts(t *testing.T) {
	dir := inputsFolder(t)
	want := []string{dir + "/a, b.jpg: first", dir + "/sub/é€😀.jpg: second"}
	for _, encoding := range []string{"utf-8", "utf-8-sig", "utf-16", "utf-16-be"} {
		s, err := List(strings.NewReader(read(t, dir+"/list-"+encoding+".txt")))
		if err != nil {
			t.Fatal(err)
		}
		if got := items(s); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", encoding, got, want)
		}
	}
	for _, list := range []string{"\xff\xfea", "\xff\xfe\x00\xd8a\x00", "\xfe\xff\xdc\x00"} {
		if _, err := List(strings.NewReader(list)); err == nil ||
			!strings.Contains(err.Error(), "expected UTF-16") {
			t.Errorf("%q: got %v, want an error that says that it is no UTF-16", list, err)
		}
	}
}

// Images whose bytes are in a column, as pyarrow and datasets write them: one with a path, one
// without, an empty one, one of which there is only the path's name or nothing.
func TestEmbeddedImages(t *testing.T) {
	dir := inputsFolder(t)
	png := read(t, dir+"/0.png")
	none := func(file string, row int, column string) string {
		name := fmt.Sprintf("%s/%d", file, row)
		return fmt.Sprintf("%s: ! %s: row %d, counted from 0: expected an image in the column %q, "+
			"got none", name, file, row, column)
	}
	rows := func(file, column string) []string {
		if column != "image" {
			return []string{file + "/0: " + png, file + "/1: raw", file + "/2: ", none(file, 3, column),
				none(file, 4, column)}
		}
		return []string{file + "/0.png: " + png, file + "/1: raw", file + "/dir/1.png: ",
			none(file, 3, column), dir + "/4.png: " + read(t, dir+"/4.png")}
	}
	files := map[string][]string{}
	for _, kind := range []string{"none", "gzip", "zstd", "snappy", "brotli", "lz4"} {
		files["images-"+kind+".parquet"] = []string{"image", "raw", "large"}
	}
	for _, kind := range []string{"None", "lz4", "zstd"} {
		files["images-"+kind+".feather"] = []string{"image", "raw", "large", "view"}
		files["images-"+kind+".arrow"] = []string{"image", "raw", "large", "view"}
	}
	keep := []Keep{{"id", "id"}, {"kind", "kind"}, {"at", "at"}}
	wantKept := []Kept{{"id", "int64"}, {"kind", "string"}, {"at", "timestamp[ms]"}}
	wantValues := [][]any{{int64(0), "x", int64(0)}, {int64(1), "y", int64(-1000)},
		{int64(2), "x", int64(2000)}, {int64(3), "y", nil}, {int64(4), "x", int64(4000)}}
	for name, columns := range files {
		for _, column := range columns {
			file := filepath.Join(dir, name)
			s, kept, err := Open(t.Context(), []string{file},
				InputOptions{Column: column, Keep: keep})
			if err != nil {
				t.Errorf("%s %s: %v", name, column, err)
				continue
			}
			if !slices.Equal(kept, wantKept) {
				t.Errorf("%s: got %v, want %v", name, kept, wantKept)
			}
			for range 2 {
				if got := items(s); !slices.Equal(got, rows(file, column)) {
					t.Errorf("%s %s: got %.300q, want %.300q", name, column, got, rows(file, column))
				}
			}
			number := 0
			for item := range s {
				if !slices.Equal(item.Kept, wantValues[number]) {
					t.Errorf("%s: row %d: got %v, want %v", name, number, item.Kept, wantValues[number])
				}
				number++
			}
		}
	}
	s, _, err := Open(t.Context(), []string{dir + "/train-*-of-00003.parquet"},
		InputOptions{Column: "image"})
	if err != nil {
		t.Fatal(err)
	}
	c := config(filepath.Join(t.TempDir(), "out.csv"), s)
	if got := mustRun(t, c); got.Answered != 2 || got.Failed != 3 {
		t.Errorf("shards: got %+v, want 2 answered and 3 failed", got)
	}
}

func TestEmbeddedRefused(t *testing.T) {
	dir := inputsFolder(t)
	old := maxPart
	defer func() { maxPart = old }()
	for _, c := range []struct {
		file, column string
		part         int
		want         string
	}{
		{"kept.parquet", "i64", old, `expected a column "i64" of paths, of images' bytes or of {bytes, ` +
			"path}, got int64"},
		{"cut.arrow", "raw", old, "Arrow's stream format to its end mark, got a file without it"},
		{"sub.arrow", "raw", old, "no such file"},
		{"images-none.parquet", "raw", 50, `column "raw": expected pages of at most 50 bytes, got`},
		{"deep.feather", "raw", 1000, "exceeds limit 1000"},
		{"images-None.arrow", "raw", 100, "expected a record batch of at most 100 bytes"},
		{"images-zstd.feather", "raw", 400, "expected a record batch of at most 400 bytes"},
	} {
		maxPart = c.part
		_, _, err := Open(t.Context(), []string{filepath.Join(dir, c.file)},
			InputOptions{Column: c.column})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.file, err, c.want)
		}
	}
}

// TestSeveralImagesInAnExample holds that none of them is lost in silence.
func TestSeveralImagesInAnExample(t *testing.T) {
	field := func(number protowire.Number, data ...[]byte) (message []byte) {
		for _, d := range data {
			message = protowire.AppendBytes(protowire.AppendTag(message, number, protowire.BytesType), d)
		}
		return message
	}
	example := func(images ...[]byte) []byte {
		list := field(1, field(1, images...))
		return field(1, field(1, slices.Concat(field(1, []byte("image/encoded")), field(2, list))))
	}
	for _, c := range []struct {
		images [][]byte
		want   string // in the error
	}{
		{[][]byte{[]byte("a")}, ""},
		{[][]byte{[]byte("a"), []byte("b")}, "expected one image in the feature"},
		{[][]byte{{}, []byte("b")}, "expected one image in the feature"},
		{nil, "expected an image's bytes"},
	} {
		data, err := exampleItem("x.tfrecord", 0, "", example(c.images...)).Read()
		if c.want == "" && (err != nil || string(data) != "a") ||
			c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: got %q, %v, want %q", c.images, data, err, c.want)
		}
	}
}

// TFRecords as TensorFlow's writer has them: compressed, with another feature, in shards.
func TestTFRecords(t *testing.T) {
	dir := inputsFolder(t)
	t.Chdir(dir)
	for _, kind := range []string{"none", "gzip", "zlib"} {
		name := "raw-" + kind + ".tfrecord"
		s, _, err := Open(t.Context(), []string{name}, InputOptions{Feature: "image_raw"})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{name + "/0: first", name + "/1: " + strings.Repeat("second", 100)}
		if got := items(s); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", kind, got, want)
		}
		want = []string{name + "/0: ! " + name + "/0: expected an image's bytes in the feature " +
			"image/encoded or image, got the features " +
			`["image/class/label" "image_raw" "other"]: --feature names the image's`}
		if got := items(source(t, name))[:1]; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", kind, got, want)
		}
	}
	want := []string{"shards/x-00000-of-00003/0: 0", "shards/x-00001-of-00003/0: 1",
		"shards/x-00002-of-00003/0: 2"}
	for _, arg := range []string{"shards/x@3", "shards", "shards/x-*-of-00003"} {
		skipped := new(Skipped)
		s, _, err := Open(t.Context(), []string{arg}, InputOptions{Skipped: skipped})
		if err != nil {
			t.Fatal(err)
		}
		if got := items(s); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", arg, got, want)
		}
		wantSkipped := ""
		if arg == "shards" {
			wantSkipped = "skipped 1 (1 .json)"
		}
		if skipped.String() != wantSkipped {
			t.Errorf("%s: got %q, want %q", arg, skipped, wantSkipped)
		}
	}
	s, _, err := Open(t.Context(), []string{"train@3.parquet"}, InputOptions{Column: "image"})
	if err != nil || len(items(s)) != 5 {
		t.Errorf("got %v, want 5 images of three tables", err)
	}
	for arg, want := range map[string]string{
		"shards/x@4":   "shards/x@4: expected 4 shards, got no shards/x-00000-of-00004",
		"shards/x@0":   "expected 1 to 100000 shards, got 0",
		"shards/x@1e9": "", // a file, which is not there
		"torn":         "torn: expected all shards x-*-of-00003, got 2 of them",
		"both":         "both: expected shards or images, got both: both/x-00000-of-00003 and both/im",
		".":            "expected shards or images, got both",
	} {
		_, _, err := Open(t.Context(), []string{arg}, InputOptions{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", arg, err, want)
		}
	}
	got := items(source(t, "raw-more.tfrecord"))
	if last := got[len(got)-1]; !strings.Contains(last, "behind its zlib stream, got more") {
		t.Errorf("got %q, want an error for what is behind the stream", last)
	}
}

// Archives that Python's tarfile, zstd and zipfile wrote, with WebDataset's texts beside the
// images.
func TestWebDataset(t *testing.T) {
	dir := inputsFolder(t)
	t.Chdir(dir)
	keep := []Keep{{"json", "json"}, {"cls", "class_id"}}
	for _, ending := range []string{"tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip"} {
		name := "web." + ending
		skipped := new(Skipped)
		s, kept, err := Open(t.Context(), []string{name},
			InputOptions{Keep: keep, Skipped: skipped})
		if err != nil {
			t.Fatal(err)
		}
		if want := []Kept{{"json", "string"}, {"class_id", "string"}}; !slices.Equal(kept, want) {
			t.Errorf("%s: got %v, want %v", name, kept, want)
		}
		want := []string{
			name + "/a/0001.jpg: first", name + "/a/0002.PNG: second", name + "/a/0002.seg.png: third",
			name + "/0001.jpg: fourth",
			name + "/0004.jpg: ! " + name + "/0004.json: expected a text in UTF-8 of at most 1048576 " +
				"bytes, which can be kept, got another",
		}
		if got := items(s); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if want := "skipped 3 (2 .txt, 1 keys without an image)"; skipped.String() != want {
			t.Errorf("%s: got %q, want %q", name, skipped, want)
		}
		wantKept := [][]any{{`{"a": 1}`, "7"}, {`{"é": 2}`, nil}, {`{"é": 2}`, nil}, {nil, "9\n"},
			{nil, nil}}
		number := 0
		for item := range s {
			if !slices.Equal(item.Kept, wantKept[number]) {
				t.Errorf("%s: got %q, want %q", item.Path, item.Kept, wantKept[number])
			}
			number++
		}
		if got := items(source(t, name)); len(got) != 5 || got[4] != name+"/0004.jpg: fifth" {
			t.Errorf("%s without texts: got %q", name, got)
		}
	}
}

// Features that TensorFlow wrote are kept, each in its type; what is not one value of that is the
// image's error.
func TestKeepFeatures(t *testing.T) {
	t.Chdir(inputsFolder(t))
	const name = "kept.tfrecord"
	keep := []Keep{{"text", "text"}, {"label", "truth"}, {"score", "score"}}
	s, kept, err := Open(t.Context(), []string{name}, InputOptions{Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	columns := []Kept{{"text", "string"}, {"truth", "int64"}, {"score", "float32"}}
	if !slices.Equal(kept, columns) {
		t.Errorf("got %v, want %v", kept, columns)
	}
	want := []string{name + "/0: 0", name + "/1: 1",
		name + "/2: ! " + name + `/2: feature "text": expected a text in UTF-8, which can be kept, got ` +
			"other bytes",
		name + "/3: ! " + name + `/3: feature "label": expected one value of int64, as others ` +
			"have, got 2 of int64",
		name + "/4: ! " + name + `/4: feature "label": expected one value of int64, as others ` +
			"have, got 1 of string",
	}
	if got := items(s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	wantKept := [][]any{{"é", int64(1 << 40), float64(float32(0.1))}, {nil, int64(-7), math.Inf(1)},
		{nil, int64(3), 2.0}, {"b", nil, 2.0}, {"b", nil, 2.0}}
	number := 0
	for item := range s {
		if !slices.Equal(item.Kept, wantKept[number]) {
			t.Errorf("%s: got %v, want %v", item.Path, item.Kept, wantKept[number])
		}
		number++
	}
	_, _, err = Open(t.Context(), []string{name}, InputOptions{Keep: []Keep{{"none", "none"}}})
	if want := `expected a feature "none"`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// Decompressing takes no more memory than a window, however large the file says that it is, in
// whichever of its parts.
func TestWindows(t *testing.T) {
	dir := inputsFolder(t)
	t.Chdir(dir)
	const window = "expected a window of at most 134217728 bytes"
	const dictionary = "expected a dictionary of at most 134217728 bytes"
	for name, want := range map[string]string{
		"wide.tar.zst":        window,
		"wide-second.tar.zst": window,
		"wide.tar.xz":         dictionary,
		"wide-stream.tar.xz":  dictionary,
		"wide-block.tar.xz":   dictionary,
		"bad.tar.xz":          "format not recognized",
		"bad.tar.bz2":         "bzip2 data invalid",
		"bad.tar.zst":         "magic number mismatch",
	} {
		before := allocated()
		got := items(source(t, name))
		if len(got) == 0 || !strings.Contains(got[len(got)-1], want) {
			t.Errorf("%s: got %q, want an error with %q", name, got, want)
		}
		if wantImages := strings.Count(name, "-"); len(got)-1 != wantImages {
			t.Errorf("%s: got %q, want %d images before the error", name, got, wantImages)
		}
		if grown := allocated() - before; grown > 16<<20 {
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
}

// An archive is read to its end: nothing behind its images is passed over in silence.
func TestEndsOfTars(t *testing.T) {
	dir := inputsFolder(t)
	t.Chdir(dir)
	for name, want := range map[string]string{
		"sum.tar.gz":   "gzip: invalid checksum",
		"sum.tar.bz2":  "bzip2 data invalid",
		"sum.tar.xz":   "data is corrupt",
		"cut.tar":      "two blocks of zeros at the end of the tar file",
		"twice.tar":    "expected nothing behind the end of the tar file, got more",
		"twice.tar.gz": "expected nothing behind the end of the tar file, got more",
	} {
		got := items(source(t, name))
		if len(got) != 2 || got[0] != name+"/1.jpg: first" || !strings.Contains(got[1], want) {
			t.Errorf("%s: got %q, want an image and an error with %q", name, got, want)
		}
	}
}

// The separator of a table is never guessed where two would do.
func TestSeparators(t *testing.T) {
	dir := inputsFolder(t)
	for _, c := range []struct {
		table     string
		separator rune
		want      string // the path, or the error
	}{
		{"path;id,path\na;7,b\n", 0, `whether , or ; separates them: say it with --separator`},
		{"path;id,path\na;7,b\n", ';', "a"},
		{"path;id,path\na;7,b\n", ',', "b"},
		{"path\na;b\n", 0, "a;b"},
		{"path\na,b\n", 0, "wrong number of fields"},
		{"id,path\n1;2,a\n", 0, "a"},
		{"id,path\n1\t2,a,\n", 0, "wrong number of fields"},
		{"\"a,b\";path\nx;a\n", 0, "a"},
		{"id\tfile\n1\ta\n", 0, `expected a column "path", got ["id\tfile"]`},
		{"", 0, "EOF"},
		{strings.Repeat("x", maxHeader+1), 0, "expected a header of at most"},
	} {
		name := filepath.Join(t.TempDir(), "x.csv")
		write(t, name, c.table)
		s, _, err := Open(t.Context(), []string{name},
			InputOptions{Column: "path", Separator: c.separator})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			for item := range s {
				got = filepath.Base(item.Path)
			}
		}
		if err != nil && !strings.Contains(got, c.want) || err == nil && got != c.want {
			t.Errorf("%.40q, %q: got %q, want %q", c.table, c.separator, got, c.want)
		}
	}
	for name, want := range map[string]string{
		"one.csv":      "",
		"unmarked.csv": "the first line holds a zero byte: expected UTF-8, or UTF-16 with its",
	} {
		_, _, err := Open(t.Context(), []string{filepath.Join(dir, name)},
			InputOptions{Column: "file"})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	for text, want := range map[string]rune{"": 0, "tab": '\t', "\t": '\t', ";": ';', "§": '§',
		"ab": -1, "\"": -1, "\n": -1, "\xff": -1} {
		got, err := ParseSeparator(text)
		if want == -1 && err == nil || want != -1 && (err != nil || got != want) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}
