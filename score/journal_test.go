package score

import (
	"fmt"
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
