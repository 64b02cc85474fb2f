package docstest

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A word that was replaced by another does not come back. testdata/retired-words.txt has a line for
// each: a regular expression, the word to use, and the files that are searched. The columns are
// separated by tabs; a file pattern without a slash is matched with the last part of a path, and !
// before a pattern leaves files out.
func TestRetiredWords(t *testing.T) {
	const list = "internal/docstest/testdata/retired-words.txt"
	files := map[string][]byte{}
	for _, file := range tracked(t) {
		if data := readFile(t, file); file != list && !bytes.ContainsRune(data, 0) {
			files[file] = data
		}
	}
	for line := range strings.Lines(string(readFile(t, list))) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		columns := strings.Split(strings.TrimSpace(line), "\t")
		if len(columns) != 3 {
			t.Errorf("%s: got %d columns, want 3: %q", list, len(columns), line)
			continue
		}
		retired, err := regexp.Compile(columns[0])
		if err != nil {
			t.Errorf("%s: %v", list, err)
			continue
		}
		patterns := strings.Fields(columns[2])
		for file, data := range files {
			if !searched(file, patterns) {
				continue
			}
			for _, at := range retired.FindAllIndex(data, -1) {
				n := 1 + bytes.Count(data[:at[0]], []byte("\n"))
				t.Errorf("%s:%d: got %q, want %s", file, n, data[at[0]:at[1]], columns[1])
			}
		}
	}
}

// searched reports whether a file matches a pattern, and none of those that leave files out.
func searched(file string, patterns []string) bool {
	matches := func(pattern string) bool {
		name := file
		if !strings.Contains(pattern, "/") {
			name = path.Base(file)
		}
		if folder, found := strings.CutSuffix(pattern, "/**"); found {
			return strings.HasPrefix(file, folder+"/")
		}
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	}
	out := func(pattern string) bool {
		pattern, found := strings.CutPrefix(pattern, "!")
		return found && matches(pattern)
	}
	return slices.ContainsFunc(patterns, matches) && !slices.ContainsFunc(patterns, out)
}
