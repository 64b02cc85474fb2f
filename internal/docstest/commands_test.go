package docstest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"kerasrun/internal/pythontest"
)

// built builds kerasrun once, into a directory that TestMain removes.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "kerasrun")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/kerasrun")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

var buildDir string

func TestMain(m *testing.M) {
	status := 1
	if dir, err := os.MkdirTemp("", "docstest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		buildDir = dir
		status = m.Run()
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// kerasrun returns the path of the program. Without TensorFlow's library or the model the test is
// skipped.
func kerasrun(t *testing.T) string {
	t.Helper()
	for _, needed := range []string{".tensorflow/lib", "models/resnext50/saved_model.pb",
		"models/efficientnet-lite0/saved_model.pb"} {
		if _, err := os.Stat(absolute(t, needed)); errors.Is(err, fs.ErrNotExist) {
			pythontest.Skip(t, "needs %s: run `make run`", needed)
		}
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	longFlag    = regexp.MustCompile(`--[a-z0-9][a-z0-9-]*`)
	shortFlag   = regexp.MustCompile(`(?m)(?:^|[\s,])(-[A-Za-z])\b`)
	separators  = regexp.MustCompile(`\|\||&&|[|;()]|\$\(`)
	comment     = regexp.MustCompile(`(?m)(^|\s)#.*$`)
	makeTarget  = regexp.MustCompile(`(?m)^([a-z-]+):`)
	pythonFlags = regexp.MustCompile(`"(--?[A-Za-z][a-z0-9-]*)"`)
)

// checkCommands checks that the project's commands in a shell program exist and have the flags that
// they are given.
func checkCommands(t *testing.T, program string) {
	t.Helper()
	program = comment.ReplaceAllString(strings.ReplaceAll(program, "\\\n", " "), "")
	for line := range strings.SplitSeq(program, "\n") {
		for _, command := range separators.Split(line, -1) {
			words := strings.Fields(command)
			for len(words) > 0 && strings.Contains(words[0], "=") {
				words = words[1:] // NAME=value before the command
			}
			if len(words) > 0 {
				checkCommand(t, words)
			}
		}
	}
}

func checkCommand(t *testing.T, words []string) {
	t.Helper()
	switch name := filepath.Base(words[0]); name {
	case "kerasrun":
		subcommand := ""
		if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
			subcommand = words[1]
		}
		known := kerasrunFlags(t, subcommand)
		if known == nil {
			t.Errorf("kerasrun %s: no such command", subcommand)
			return
		}
		checkFlags(t, name+" "+subcommand, known, words)
	case "kerasrun-export", "kerasrun-golden", "kerasrun-contract":
		checkFlags(t, name, exporterFlags(t), words)
	case "make":
		targets := makeTarget.FindAllStringSubmatch(string(readFile(t, "Makefile")), -1)
		for _, word := range words[1:] {
			is := func(target []string) bool { return target[1] == word }
			if !strings.Contains(word, "=") && !slices.ContainsFunc(targets, is) {
				t.Errorf("make %s: no such target", word)
			}
		}
	}
}

func checkFlags(t *testing.T, command string, known []string, words []string) {
	t.Helper()
	for _, word := range words[1:] {
		flag, _, _ := strings.Cut(word, "=")
		if len(flag) > 1 && flag[0] == '-' && !slices.Contains(known, flag) {
			t.Errorf("%s: got the flag %s, which it does not have", command, flag)
		}
	}
}

// kerasrunFlags returns the flags on a subcommand's generated page, nil where it has no page.
func kerasrunFlags(t *testing.T, subcommand string) []string {
	t.Helper()
	name := strings.TrimSuffix("kerasrun_"+subcommand, "_") + ".md"
	text, err := os.ReadFile(filepath.Join(root, "docs/cli", name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	known := longFlag.FindAllString(string(text), -1)
	for _, m := range shortFlag.FindAllStringSubmatch(string(text), -1) {
		known = append(known, m[1])
	}
	return known
}

// exporterFlags returns every flag that a source file of the exporter adds.
func exporterFlags(t *testing.T) []string {
	t.Helper()
	var known []string
	for _, path := range tracked(t) {
		if strings.HasPrefix(path, "tools/") && strings.HasSuffix(path, ".py") {
			for _, m := range pythonFlags.FindAllStringSubmatch(string(readFile(t, path)), -1) {
				known = append(known, m[1])
			}
		}
	}
	return known
}
