package version

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestOneVersion holds every file that names the release against VERSION.
func TestOneVersion(t *testing.T) {
	for _, test := range []struct{ files, pattern string }{
		{"CHANGELOG.md", `(?m)^## \[([0-9][^\]]*)\]`}, // its first, the newest
		{"README.md docs/*.md", `kerasrun-([0-9.]+)-linux`},
		{"deploy/*", `kerasrun:([0-9.]+)`},
		{"tools/pyproject.toml tools/*.py tools/src/*/*.py",
			`(?m)^(?:VERSION|__version__|version) = "(.*)"$`},
	} {
		pattern := regexp.MustCompile(test.pattern)
		found := 0
		for _, glob := range regexp.MustCompile(`\S+`).FindAllString(test.files, -1) {
			paths, err := filepath.Glob("../../" + glob)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				if info, err := os.Stat(path); err != nil || info.IsDir() {
					continue
				}
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				matches := pattern.FindAllSubmatch(content, -1)
				if glob == "CHANGELOG.md" && len(matches) > 1 {
					matches = matches[:1]
				}
				for _, match := range matches {
					found++
					if got := string(match[1]); got != String() {
						t.Errorf("%s: got version %s, want that of internal/version/VERSION, %s",
							path, got, String())
					}
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: got no version, want %s named", test.files, String())
		}
	}
}
