package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/runner"
)

// With KERASRUN_TEST_MAIN set the test program is kerasrun itself, for what only a process of its
// own can show, and where kerasrun starts itself.
func TestMain(m *testing.M) {
	if os.Getenv("KERASRUN_TEST_MAIN") != "" {
		main()
	}
	os.Setenv("KERASRUN_TEST_MAIN", "1")
	cache, err := os.MkdirTemp("", "cache")
	if err != nil {
		panic(err)
	}
	removeAtEnd = append(removeAtEnd, cache)
	os.Setenv("XDG_CACHE_HOME", cache) // the user's stays as it is
	status := m.Run()
	for _, dir := range removeAtEnd {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// probed has runner.Open probe by this program.
var probed = runner.WithProbe(os.Args[0], probeCommand)

// removeAtEnd are directories that several tests share.
var removeAtEnd []string

// shared is a directory that a script of testdata makes, once for all tests.
type shared struct {
	once sync.Once
	dir  string
}

// of returns the directory, for which the first test that asks runs the script.
func (s *shared) of(t *testing.T, script string) string {
	t.Helper()
	s.once.Do(func() {
		made, err := os.MkdirTemp("", "kerasrun-shared-")
		if err != nil {
			t.Fatal(err)
		}
		removeAtEnd = append(removeAtEnd, made)
		python(t, script, made)
		s.dir = made
	})
	if s.dir == "" {
		t.Skipf("left out, for %s failed in the first test that needs it", script)
	}
	return s.dir
}

const root = "../.."

// inRepository goes to the repository for the time of a test, as who follows the README stands
// there: models/resnext50 is the model and testdata/photos has images.
func inRepository(t *testing.T) {
	t.Helper()
	t.Chdir(root)
}

// call runs one command line and returns its exit status and what it printed.
func call(t *testing.T, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = execute(t.Context(), args, stdin, &out, &errs)
	return status, out.String(), errs.String()
}

// well runs a command line that must go well and returns what it printed to standard output.
func well(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := call(t, nil, args...)
	if status != 0 {
		t.Fatalf("kerasrun %s: exit status %d: %s%s", strings.Join(args, " "), status, stdout,
			stderr)
	}
	return stdout
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// python runs a Python program of testdata, in the repository, and fails the test where it fails.
func python(t *testing.T, program string, args ...string) string {
	t.Helper()
	args = append([]string{filepath.Join("cmd/kerasrun/testdata", program)}, args...)
	cmd := exec.Command(pythontest.Python(t), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.Bytes())
	}
	return string(out)
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args string
		want string // of the one line on standard error, after the program's name
	}{
		{"clasify x.jpg", `unknown command "clasify", did you mean classify?; see 'kerasrun --help'`},
		{"--model x", "unknown flag: --model; see 'kerasrun --help'"},
		{"classify", "missing IMAGE; see 'kerasrun classify --help'"},
		{"classify --best 3 x.jpg", "unknown flag: --best; see 'kerasrun classify --help'"},
		{"classify --top 5 x.jpg",
			"unknown flag: --top, did you mean --topk?; see 'kerasrun classify --help'"},
		{"classify --topk 0 x.jpg",
			"--topk: expected 1 or more, got 0; see 'kerasrun classify --help'"},
		{"classify --topk five x.jpg", `invalid argument "five" for "--topk" flag`},
		{"classify --format xml x.jpg",
			`invalid argument "xml" for "--format" flag: expected one of text, json, jsonl, csv`},
		{"classify - -", "expected standard input (-) once, got it 2 times"},
		{"classify --device tpu x.jpg", `device: expected auto, cpu, gpu or gpu:N, got "tpu"`},
		{"classify --device cpu,gpu x.jpg",
			"device: expected GPUs alone where there are several, got cpu, gpu"},
		{"classify --tensorflow-intra-op-parallelism -1 x.jpg",
			"threads: expected 0 or more, got -1 and 0"},
		{"classify --per_process_gpu_memory_fraction 2 x.jpg",
			"GPU memory fraction: expected over 0 and up to 1, got 2"},
		{"classify --precision int4 x.jpg", "expected one of fp32, bf16, fp16, tf32, int8"},
		{"inspect a b", `expected one model, got ["a" "b"]`},
		{"inspect --model a b", "expected the model as an argument or with --model, got both"},
		{"inspect --format csv", "expected one of text, json"},
		{"preprocess x.jpg", `required flag(s) "output" not set`},
		{"preprocess -o x.npy", "missing IMAGE"},
		{"preprocess -o x.txt x.jpg",
			`--output: expected a file name that ends in .npy or .npz, got "x.txt"`},
		{"preprocess -o x.npy --image-size 224 x.jpg",
			`--image-size: expected HxW, such as 224x224, got "224"`},
		{"preprocess -o x.npy --image_size 0x9 x.jpg", "1 to 32767"},
		{"preprocess -o x.npy --mode keras x.jpg", "expected one of caffe, tf, torch, none"},
		{"preprocess -o x.npy --stage logits x.jpg", "expected one of tensor, resize, decode"},
		{"preprocess -o x.npy --keep-aspect-ratio --center-crop x.jpg",
			"keep-aspect-ratio center-crop"},
		{"predict -o x.npz", `required flag(s) "inputs" not set`},
		{"predict -o x.npz --inputs x.npy",
			`--inputs: expected NAME=FILE.npy or NAME=FILE.npz[KEY], got "x.npy"`},
		{"predict -o x.npz --inputs images=x.npz",
			"--inputs: expected the array's key, images=x.npz[KEY]"},
		{"predict -o x.npz --inputs a=x.npy --inputs a=y.npy",
			`--inputs: expected "a" once, got it twice`},
		{"predict -o x.npz --inputs a=x.npy more", `expected no arguments, got ["more"]`},
		{"verify a b", "expected one model"},
		{"verify --format csv", "expected one of text, json, junit"},
		{"scan a b", "expected one model"},
		{"scan --skip-check ops,graph",
			`invalid argument "ops,graph" for "--skip-check" flag: expected one of text, links`},
		{"bench --batch 0", "--batch: expected 1 or more, got 0"},
		{"bench --seconds 0", "--seconds: expected over 0 and up to 3600, got 0"},
		{"devices x", "expected no arguments"},
		{"version x", "expected no arguments"},
		{"help clasify", `no help for "clasify"; see 'kerasrun help --help'`},
	} {
		status, stdout, stderr := call(t, nil, strings.Fields(test.args)...)
		if status != exitUsage || stdout != "" {
			t.Errorf("kerasrun %s: exit status %d, want %d; stdout %q", test.args, status,
				exitUsage, stdout)
		}
		line, ended := strings.CutSuffix(stderr, " --help'\n")
		if !ended || strings.Contains(line, "\n") || !strings.HasPrefix(line, "kerasrun: ") ||
			!strings.Contains(stderr, test.want) {
			t.Errorf("kerasrun %s: got %q, want one line with %q", test.args, stderr, test.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, cmd := range newRootCommand().Commands() {
		help := well(t, cmd.Name(), "--help")
		if !strings.Contains(help, "Usage:\n  kerasrun "+cmd.Name()) {
			t.Errorf("help of %s: got\n%s", cmd.Name(), help)
		}
		for line := range strings.Lines(help) {
			if len(strings.TrimRight(line, "\n")) > helpWidth {
				t.Errorf("help of %s: a line of %d characters: %s", cmd.Name(), len(line), line)
			}
		}
		if help := well(t, "help", cmd.Name()); !strings.Contains(help, "kerasrun "+cmd.Name()) {
			t.Errorf("help %s: got\n%s", cmd.Name(), help)
		}
	}
	if script := well(t, "completion", "bash"); !strings.Contains(script, "kerasrun") {
		t.Errorf("completion: got %q", script)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"classify", "--format", ""}, "text\njson\njsonl\ncsv\n:4\n"},
		{[]string{"bench", "--device", ""}, "auto\ncpu\ngpu\n:4\n"},
		{[]string{"score", "--outputs", ""}, "top\nprobs\nfeatures\n:4\n"},
		{[]string{"inspect", ""}, ":16\n"}, // directories only
		{[]string{"inspect", "models", ""}, ":4\n"},
		{[]string{"serve", "--model", ""}, ":16\n"},
		{[]string{"preprocess", "--output", ""}, "npy\nnpz\n:8\n"}, // files of these extensions
	} {
		if got := well(t, append([]string{"__complete"}, test.args...)...); got != test.want {
			t.Errorf("completion of %q: got %q, want %q", test.args, got, test.want)
		}
	}
}

// TestNoModel takes directories that hold no model, with every command that needs one.
func TestNoModel(t *testing.T) {
	inRepository(t)
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "none"), "go.mod"} {
		for _, args := range [][]string{
			{"classify", "--model", dir, "testdata/photos/cat.jpg"}, {"inspect", dir}, {"verify",
				dir},
			{"scan", dir},
			{"preprocess", "--model", dir, "-o", filepath.Join(empty, "x.npy"),
				"testdata/photos/cat.jpg"},
			{"bench", "--model", dir},
		} {
			status, stdout, stderr := call(t, nil, args...)
			if status != exitFailed || stdout != "" || strings.Count(stderr, "\n") != 1 ||
				!strings.Contains(stderr, dir) {
				t.Errorf("kerasrun %s: exit status %d, stdout %q, stderr %q",
					strings.Join(args, " "), status, stdout, stderr)
			}
		}
	}
	t.Chdir(empty)
	_, _, stderr := call(t, nil, "inspect")
	if !strings.Contains(stderr, "`make run` exports this one") {
		t.Errorf("inspect without the default model: got %q", stderr)
	}
}

// brokenWriter fails as a pipe does that nobody reads.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestBrokenOutput(t *testing.T) {
	inRepository(t)
	for _, args := range [][]string{
		{"classify", "testdata/photos/cat.jpg"},
		{"inspect"}, {"inspect", "--format", "json"},
		{"scan"}, {"scan", "--format", "json"},
		{"verify"},
		{"devices"}, {"version"},
	} {
		var stderr bytes.Buffer
		status := execute(t.Context(), args, nil, brokenWriter{}, &stderr)
		if status != exitFailed || !strings.HasSuffix(stderr.String(), "kerasrun: broken pipe\n") {
			t.Errorf("kerasrun %s: exit status %d, stderr %q",
				strings.Join(args, " "), status, stderr.String())
		}
	}
}

// TestBrokenPipe reads only the beginning of a process's output, which must then end without a
// word.
func TestBrokenPipe(t *testing.T) {
	inRepository(t)
	cmd := exec.Command(os.Args[0], "inspect", "--format", "json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE ||
		stderr.Len() > 0 {
		t.Errorf("got %v with %q, want the end by SIGPIPE", err, stderr.String())
	}
}

func TestInterrupted(t *testing.T) {
	inRepository(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	status := execute(ctx, []string{"classify", "testdata/photos/cat.jpg"}, nil, &stdout, &stderr)
	if status != exitFailed || stdout.Len() > 0 ||
		!strings.HasSuffix(stderr.String(), "kerasrun: models/resnext50: context canceled\n") {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, stdout.String(), stderr.String())
	}
}
