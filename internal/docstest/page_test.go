package docstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"kerasrun/internal/pythontest"
)

const root = "../.."

// A page is a Markdown file. Its path is relative to the repository.
type page struct {
	path    string
	blocks  []block
	links   []link
	anchors map[string]bool
}

// A block is a code block: what its fence says, its text, and the line that its text begins on.
type block struct {
	info []string
	text string
	line int
}

type link struct {
	target string
	line   int
}

// kind returns the first word after the fence.
func (b block) kind() string {
	if len(b.info) == 0 {
		return ""
	}
	return b.info[0]
}

// has reports whether the fence has an option, and returns what follows its =.
func (b block) has(option string) (value string, found bool) {
	for _, word := range b.info[min(1, len(b.info)):] {
		if key, value, _ := strings.Cut(word, "="); key == option {
			return value, true
		}
	}
	return "", false
}

// pages returns every page that git tracks.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	for _, path := range tracked(t) {
		if strings.HasSuffix(path, ".md") {
			all = append(all, parse(path, readFile(t, path)))
		}
	}
	if len(all) == 0 {
		t.Fatal("got no pages, want README.md at least")
	}
	return all
}

// tracked returns the paths of the files that git tracks and that are there.
func tracked(t *testing.T) []string {
	t.Helper()
	command := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		pythontest.Skip(t, "the pages are those that git tracks: git: %v", err)
	}
	var paths []string
	for path := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(root, path))
		if err == nil && info.Mode().IsRegular() { // not deleted, and no link to a folder
			paths = append(paths, path)
		}
	}
	return paths
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(path string, source []byte) page {
	p := page{path: path, anchors: map[string]bool{}}
	line := func(offset int) int { return 1 + strings.Count(string(source[:offset]), "\n") }
	at := 1 // the line of the last block that has lines: inline nodes have none of their own
	parser := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()
	document := parser.Parse(text.NewReader(source))
	err := ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		if n.Type() == ast.TypeBlock && n.Lines().Len() > 0 {
			at = line(n.Lines().At(0).Start)
		}
		switch n := n.(type) {
		case *ast.FencedCodeBlock:
			b := block{text: string(n.Lines().Value(source)), line: at}
			if n.Info != nil {
				b.info = strings.Fields(string(n.Info.Value(source)))
			}
			p.blocks = append(p.blocks, b)
		case *ast.CodeBlock: // indented, so that nothing says what it is
			p.blocks = append(p.blocks, block{text: string(n.Lines().Value(source)), line: at})
		case *ast.Heading:
			p.anchors[anchor(string(n.Lines().Value(source)), p.anchors)] = true
		case *ast.Link:
			p.links = append(p.links, link{string(n.Destination), at})
		case *ast.Image:
			p.links = append(p.links, link{string(n.Destination), at})
		case *ast.HTMLBlock:
			for _, m := range htmlLink.FindAllStringSubmatch(string(n.Lines().Value(source)), -1) {
				p.links = append(p.links, link{m[1], at})
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		panic(err) // the walker above returns none
	}
	return p
}

var (
	htmlLink  = regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchor returns a heading's fragment, by GitHub's rule.
func anchor(heading string, taken map[string]bool) string {
	slug := notAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
	slug = strings.ReplaceAll(slug, " ", "-")
	unique := slug
	for i := 1; taken[unique]; i++ {
		unique = slug + "-" + strconv.Itoa(i)
	}
	return unique
}
