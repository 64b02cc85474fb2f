package docstest

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

// A relative link leads to a file or folder of the repository, and a fragment to a heading.
// Addresses are parsed, not fetched.
func TestLinks(t *testing.T) {
	files := map[string]bool{".": true}
	for _, file := range tracked(t) {
		for ; file != "."; file = path.Dir(file) {
			files[file] = true
		}
	}
	all := pages(t)
	anchors := map[string]map[string]bool{}
	for _, p := range all {
		anchors[p.path] = p.anchors
	}
	for _, p := range all {
		for _, l := range p.links {
			u, err := url.Parse(l.target)
			switch {
			case err != nil:
				t.Errorf("%s:%d: %v", p.path, l.line, err)
			case u.Scheme == "http" || u.Scheme == "https":
				if u.Host == "" {
					t.Errorf("%s:%d: %s: got no host", p.path, l.line, l.target)
				}
			case u.Scheme != "" || path.IsAbs(u.Path):
				t.Errorf("%s:%d: got %s, want a relative path or https", p.path, l.line, l.target)
			default:
				target := p.path
				if u.Path != "" {
					target = path.Join(path.Dir(p.path), u.Path)
				}
				if !files[target] {
					t.Errorf("%s:%d: %s: no such file", p.path, l.line, l.target)
				} else if u.Fragment != "" && strings.HasSuffix(target, ".md") &&
					!anchors[target][u.Fragment] {
					t.Errorf("%s:%d: %s: no such heading", p.path, l.line, l.target)
				}
			}
		}
	}
}

// Each page of docs is reached from its index.
func TestIndex(t *testing.T) {
	linked := map[string]bool{"docs/README.md": true}
	all := pages(t)
	for _, p := range all {
		if path.Dir(p.path) == "docs" || strings.HasPrefix(p.path, "docs/cli/") {
			for _, l := range p.links {
				linked[path.Join(path.Dir(p.path), strings.SplitN(l.target, "#", 2)[0])] = true
			}
		}
	}
	for _, p := range all {
		if strings.HasPrefix(p.path, "docs/") && !linked[p.path] {
			t.Errorf("%s: no page of docs links to it", p.path)
		}
	}
}
