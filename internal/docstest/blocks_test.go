package docstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kerasrun/internal/pythontest"
)

// reasons are those for which a block may be left unrun.
var reasons = []string{
	"cluster",  // a job server, a container engine or Kubernetes
	"gpu",      // an NVIDIA GPU
	"images",   // more or other images than the repository has
	"install",  // changes the machine or an environment
	"long",     // minutes, and a target of make or a test of its own does the same
	"network",  // something to download
	"template", // paths and names that the reader puts in
	"tool",     // a tool that the tests do not install
}

// generated reports whether a page's code blocks are none of this test: those of docs/cli are made
// from the commands, which a test of cmd/kerasrun holds, and testdata has pages of others.
func generated(path string) bool {
	return strings.HasPrefix(path, "docs/cli/") || strings.HasPrefix(path, "testdata/")
}

// A block is what the package comment says, and does not fail.
func TestBlocks(t *testing.T) {
	if testing.Short() {
		t.Skip("needs minutes: it runs the programs of the pages")
	}
	for _, p := range pages(t) {
		if len(p.blocks) == 0 || generated(p.path) {
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			s := &scratch{page: p}
			for _, b := range p.blocks {
				t.Run(fmt.Sprintf("line%d", b.line), func(t *testing.T) { s.test(t, b) })
			}
			s.close(t)
		})
	}
}

// A scratch is the directory that the blocks of a page run in, and the server that they ask.
type scratch struct {
	page
	dir       string
	venv      string // where Python's programs are
	server    *exec.Cmd
	log       bytes.Buffer
	addresses *strings.Replacer
}

func (s *scratch) test(t *testing.T, b block) {
	reason, unrun := b.has("norun")
	if unrun && !slices.Contains(reasons, reason) {
		t.Errorf("got norun=%s, want one of %s", reason, strings.Join(reasons, ", "))
	}
	_, serve := b.has("serve")
	switch kind := b.kind(); kind {
	case "go":
		testGo(t, b)
	case "sh":
		checkCommands(t, b.text)
		if unrun {
			parses(t, b.text, "bash", "-n")
		} else {
			s.run(t, serve, b.text, "bash", "-eu", "-o", "pipefail")
		}
	case "console":
		s.testConsole(t, b)
	case "python":
		if unrun {
			parses(t, b.text, pythontest.Python(t), "-c",
				"import sys; compile(sys.stdin.read(), 'block', 'exec')")
		} else {
			s.run(t, serve, b.text, pythontest.Python(t), "-")
		}
	case "json":
		if !json.Valid([]byte(b.text)) {
			t.Error("got no JSON")
		}
	case "text", "csv":
	default:
		t.Errorf("got a block of kind %q, want one that the package comment lists", kind)
	}
}

// parses gives a program to a command that only parses it.
func parses(t *testing.T, program string, command ...string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(program)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// run gives a program to a command in the scratch directory. It returns the command's output.
func (s *scratch) run(t *testing.T, serve bool, program string, command ...string) string {
	t.Helper()
	s.open(t)
	if serve {
		s.startServer(t)
		program = s.addresses.Replace(program)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = s.dir
	cmd.Env = s.environment()
	cmd.Stdin = strings.NewReader(program)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s%s", err, out, stderr.Bytes())
	}
	return string(out)
}

func (s *scratch) environment() []string {
	path := []string{filepath.Join(s.dir, "bin"), s.venv, os.Getenv("PATH")}
	return append(os.Environ(), "PATH="+strings.Join(path, ":"), "TF_CPP_MIN_LOG_LEVEL=3")
}

// open makes the directory when the first block needs it.
func (s *scratch) open(t *testing.T) {
	t.Helper()
	program := kerasrun(t)
	if s.dir != "" {
		return
	}
	dir, err := os.MkdirTemp("", "docstest")
	if err != nil {
		t.Fatal(err)
	}
	s.dir, s.venv = dir, absolute(t, ".venv/bin")
	for _, folder := range []string{"bin", "models"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"bin/kerasrun":              program,
		"models/resnext50":          absolute(t, "models/resnext50"),
		"models/efficientnet-lite0": absolute(t, "models/efficientnet-lite0"),
		"testdata":                  absolute(t, "testdata"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, source := range map[string]string{
		"photos":  "testdata/photos",
		"cat.jpg": "testdata/photos/cat.jpg",
	} {
		cp := exec.Command("cp", "-r", absolute(t, source), filepath.Join(dir, name))
		if out, err := cp.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// startServer starts kerasrun serve with free ports and waits until it is ready.
func (s *scratch) startServer(t *testing.T) {
	t.Helper()
	if s.server != nil {
		return
	}
	cmd := exec.Command(kerasrun(t), "serve", "--addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0",
		"--log-format", "json", "--verify=false")
	cmd.Dir = s.dir
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var listening struct{ Msg, Address, GRPC string }
	for decoder := json.NewDecoder(log); listening.Msg != "listening"; {
		if err := decoder.Decode(&listening); err != nil {
			cmd.Process.Kill()
			t.Fatalf("the server's log: %v; it ended with %v", err, cmd.Wait())
		}
	}
	s.server = cmd
	go s.log.ReadFrom(log)
	s.addresses = strings.NewReplacer(
		"127.0.0.1:8501", listening.Address, "127.0.0.1:8001", listening.GRPC)
	deadline := time.Now().Add(time.Minute)
	for {
		answer, err := http.Get("http://" + listening.Address + "/v2/health/ready")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready after a minute: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *scratch) close(t *testing.T) {
	t.Helper()
	if s.server != nil {
		if err := s.server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := s.server.Wait(); err != nil {
			t.Errorf("kerasrun serve: %v\n%s", err, s.log.Bytes())
		}
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// testConsole runs each line that begins with "$ " and compares its output with the lines after it.
func (s *scratch) testConsole(t *testing.T, b block) {
	for example := range strings.SplitSeq("\n"+b.text, "\n$ ") {
		command, want, _ := strings.Cut(example, "\n")
		if command == "" {
			continue
		}
		checkCommands(t, command)
		got := s.run(t, false, command, "bash", "-eu", "-o", "pipefail")
		if !matches(want, got) {
			t.Errorf("%s\ngot\n%s\nwant\n%s", command, got, want)
		}
	}
}

// matches reports whether a text is as an example shows it: "..." alone on a line is any lines.
func matches(example, text string) bool {
	parts := strings.Split("\n"+strings.TrimSuffix(example, "\n")+"\n", "\n...\n")
	rest := "\n" + strings.TrimSuffix(text, "\n") + "\n"
	for i, part := range parts {
		at := strings.Index(rest, part)
		last := i == len(parts)-1 && !strings.HasSuffix(rest, part)
		if at < 0 || i == 0 && at > 0 || last {
			return false
		}
		rest = rest[at+len(part):]
		if i < len(parts)-1 {
			rest = "\n" + rest
		}
	}
	return true
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		example, text string
		want          bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a\nb\n", "a\nc\n", false},
		{"a\nb\n", "a\nb\nc\n", false},
		{"b\n", "a\nb\n", false},
		{"a\n...\nc\n", "a\nb\nb\nc\n", true},
		{"a\n...\nc\n", "a\nc\n", true},
		{"a\n...\nc\n", "a\nb\n", false},
		{"a\n...\n", "a\nb\nc\n", true},
		{"a\n...\nc\n", "a\nc\nd\n", false},
	} {
		if got := matches(c.example, c.text); got != c.want {
			t.Errorf("matches(%q, %q): got %v, want %v", c.example, c.text, got, c.want)
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// docs/images/pipeline.svg is what its script draws.
func TestPipelineImage(t *testing.T) {
	script := absolute(t, "docs/images/pipeline.py")
	drawn, err := exec.Command(pythontest.Python(t), script).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(drawn, readFile(t, "docs/images/pipeline.svg")) {
		t.Error("got another image: run python docs/images/pipeline.py > docs/images/pipeline.svg")
	}
}

// The README can be read in five minutes.
func TestReadmeLength(t *testing.T) {
	if lines := bytes.Count(readFile(t, "README.md"), []byte("\n")); lines > 150 {
		t.Errorf("README.md: got %d lines, want at most 150", lines)
	}
}
