// Renamemodule is scripts/rename-module: it writes another module path into every tracked file of
// the checkout that it runs in.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: scripts/rename-module PATH")
		os.Exit(2)
	}
	changed, err := rename(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "rename-module:", err)
		os.Exit(1)
	}
	fmt.Printf("rename-module: %s in %d files\n", os.Args[1], changed)
}

var modulePath = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)+$`)

// rename gives the number of files changed. What it takes for the module's name is followed by a
// package's directory: the program kerasrun, its files and its container image keep theirs.
func rename(to string) (int, error) {
	if !modulePath.MatchString(to) {
		return 0, fmt.Errorf("expected a module path like example.org/me/kerasrun, got %q", to)
	}
	module, err := exec.Command("go", "list", "-m").Output()
	if err != nil {
		return 0, fmt.Errorf("go list -m: %w", err)
	}
	tracked, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		return 0, fmt.Errorf("git ls-files: %w", err)
	}
	files := strings.Split(strings.TrimSuffix(string(tracked), "\x00"), "\x00")
	replace := newReplacer(strings.TrimSpace(string(module)), to, files)
	changed := 0
	for _, path := range files {
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		before, err := os.ReadFile(path)
		if err != nil {
			return changed, err
		}
		if bytes.IndexByte(before, 0) >= 0 { // not text
			continue
		}
		after := replace(before)
		if bytes.Equal(before, after) {
			continue
		}
		if filepath.Ext(path) == ".go" { // names are aligned, and imports sorted
			if after, err = format.Source(after); err != nil {
				return changed, fmt.Errorf("%s: %w", path, err)
			}
		}
		if err := os.WriteFile(path, after, info.Mode().Perm()); err != nil {
			return changed, err
		}
		changed++
	}
	return changed, nil
}

// newReplacer gives a function that replaces the module's path in a file's content.
func newReplacer(from, to string, files []string) func([]byte) []byte {
	var directories []string // the first ones of packages
	for _, path := range files {
		first, _, below := strings.Cut(path, "/")
		if first = regexp.QuoteMeta(first); below && filepath.Ext(path) == ".go" &&
			!slices.Contains(directories, first) {
			directories = append(directories, first)
		}
	}
	old := regexp.QuoteMeta(from)
	names := regexp.MustCompile(`(?m)(^|[^\w./!-])` + old + // of
		`(/(?:` + strings.Join(directories, "|") + `)\b` + // a package
		`|/\.\.\.|/"` + // all packages
		`| v\d| => ` + // what go.mod requires and replaces
		`)`)
	module := regexp.MustCompile(`(?m)^module ` + old + `$`)
	// A file descriptor ends with its options: their length, and the length of go_package.
	const length = `(?:\\x[0-9a-f]{2}|\\.|[^\\]){1,2}`
	descriptor := regexp.MustCompile(`B` + length + `Z` + length + old + `(/[\w/]+)b\\x06proto3`)
	return func(content []byte) []byte {
		content = descriptor.ReplaceAllFunc(content, func(match []byte) []byte {
			name := to + string(descriptor.FindSubmatch(match)[1])
			option := protowire.AppendTag(nil, 11, protowire.BytesType)
			option = protowire.AppendString(option, name)
			options := protowire.AppendTag(nil, 8, protowire.BytesType)
			options = protowire.AppendBytes(options, option)
			return append(escaped(options), `b\x06proto3`...)
		})
		content = names.ReplaceAll(content, []byte("${1}"+to+"${2}"))
		return module.ReplaceAll(content, []byte("module "+to))
	}
}

// escaped writes bytes as they stand in a Go string.
func escaped(raw []byte) []byte {
	var out []byte
	for _, c := range raw {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			out = fmt.Appendf(out, `\x%02x`, c)
		} else {
			out = append(out, c)
		}
	}
	return out
}
