package score

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A journal whose lines are whole but not in their order is refused by the number of the line.
func TestJournalOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl.journal")
	j, err := openJournal(path, Header{Format: journalFormat})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(6) {
		if err := j.commit(i, []Record{{Index: i, Path: fmt.Sprint(i), Error: "none"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	whole := read(t, path)
	lines := strings.SplitAfter(whole, "\n")
	swap := func(i, k int) []string {
		l := slices.Clone(lines)
		l[i], l[k] = l[k], l[i]
		return l
	}
	for name, test := range map[string]struct {
		lines []string
		want  string
	}{
		"as it was":         {lines, ""},
		"exchanged":         {swap(2, 4), "line 3 is damaged"},
		"neighbours":        {swap(2, 3), "line 3 is damaged"},
		"lost":              {slices.Delete(slices.Clone(lines), 3, 4), "line 4 is damaged"},
		"doubled":           {slices.Insert(slices.Clone(lines), 3, lines[2]), "line 4 is damaged"},
		"without a header":  {lines[1:], "line 1 is damaged"},
		"an earlier format": {[]string{"0badc0de {\"format\":1}\n"}, "got format 1"},
		"renumbered": {slices.Replace(slices.Clone(lines), 2, 3,
			"3"+strings.TrimPrefix(lines[3], "4")), "line 3 is damaged"},
	} {
		write(t, path, strings.Join(test.lines, ""))
		j, err := openJournal(path, Header{Format: journalFormat})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err == nil {
			if len(j.done) != 6 {
				t.Errorf("%s: got %d batches, want 6", name, len(j.done))
			}
			_ = j.close()
		}
		if got := read(t, path); got != strings.Join(test.lines, "") {
			t.Errorf("%s: a refused journal was changed", name)
		}
	}
}

// TestNotAJournal holds that a file that no run began is neither continued nor replaced.
func TestNotAJournal(t *testing.T) {
	for name, test := range map[string]struct {
		put  func(path, other string) error
		good bool
	}{
		"nothing":      {func(string, string) error { return nil }, true},
		"empty":        {holding(""), true},
		"begun":        {holding("1 0a"), true},
		"header begun": {holding(`1 0a1b2c3d {"format":2,`), true},
		"zeros":        {holding("\x00\x00\x00"), true},
		"a line":       {holding("precious"), false},
		"a whole line": {holding("precious\n"), false},
		"a number":     {holding("17\n"), false},
		"a link":       {func(path, other string) error { return os.Symlink(other, path) }, false},
		"a crash's link": {func(path, other string) error { return os.Symlink(other, path+crashSuffix) },
			false},
		"a directory": {func(path, _ string) error { return os.Mkdir(path, 0o700) }, false},
	} {
		path := filepath.Join(t.TempDir(), "out.jsonl.journal")
		other := filepath.Join(t.TempDir(), "other")
		err := errors.Join(os.WriteFile(other, []byte("kept"), 0o600), test.put(path, other))
		if err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path) // a directory is none
		j, err := openJournal(path, Header{Format: journalFormat})
		if (err == nil) != test.good {
			t.Errorf("%s: got %v, want that it is opened: %v", name, err, test.good)
		}
		if err == nil {
			j.close()
		} else if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s: got %q, want it kept: %q", name, after, before)
		}
		if kept := read(t, other); kept != "kept" {
			t.Errorf("%s: got %q behind the link, want it kept", name, kept)
		}
	}
}

func holding(text string) func(path, other string) error {
	return func(path, _ string) error { return os.WriteFile(path, []byte(text), 0o600) }
}

// TestFailuresReplaceNothing holds that the file of the failures is none that something else wrote.
func TestFailuresReplaceNothing(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"table.csv": "path,label\na.jpg,1\n", "empty.csv": "", "before.csv": "index,path,error\n0,a,b\n",
		"short.csv": "index",
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, good := range map[string]bool{
		"": true, in("new.csv"): true, in("empty.csv"): true, in("before.csv"): true,
		os.DevNull: true, in("table.csv"): false, in("short.csv"): false, in("out.csv"): false,
		in("out.csv.journal"): false, in("out.csv.manifest.json"): false,
	} {
		err := Config{Failures: name}.checkFailuresFile(t.Context(), in("out.csv"))
		if (err == nil) != good {
			t.Errorf("%q: got %v, want that it may be written: %v", name, err, good)
		}
	}
}
