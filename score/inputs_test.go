package score

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

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
			if _, err := Open([]string{filepath.Join(dir, name)}, o); err == nil ||
				!strings.Contains(err.Error(), `expected a column "file", got ["id|file|note"]`) {
				t.Errorf("%s: got %v, want an error that shows the header", name, err)
			}
			o.Separator = '|'
		}
		path := filepath.Join(dir, name)
		s, err := Open([]string{path}, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		url := "https://example.com//c;d.jpg"
		want := []string{
			dir + "/a, b.jpg: first", dir + "/sub/é€😀.jpg: second",
			path + "/2: ! " + path + ": row 2, counted from 0: expected a path in the column " +
				`"file", got none`,
			url + ": ! " + url + ": not fetched: expected the path of a file, got an address: fetch it " +
				"first, and name the file",
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
		s, err := Open([]string{name}, InputOptions{Column: "path", Separator: c.separator})
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
		_, err := Open([]string{filepath.Join(dir, name)}, InputOptions{Column: "file"})
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
