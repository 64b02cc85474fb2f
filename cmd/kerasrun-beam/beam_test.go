package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain is the program itself where a test runs it: linking it once more would take most of the
// test's time.
func TestMain(m *testing.M) {
	if os.Getenv("KERASRUN_BEAM_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The pipeline is run as its users run it: as a program, on Beam's portable runner within it, and
// on the same runner as a job server in a process of its own, which it reaches over gRPC and which
// calls back into workers in the program (LOOPBACK), as a Flink job server does.
func TestEqualsScore(t *testing.T) {
	prism := build(t, "github.com/apache/beam/sdks/v2/go/cmd/prism")
	kerasrun := abs(t, "../../bin/kerasrun")
	model, input := abs(t, "../../models/resnext50"), images(t)

	want := filepath.Join(t.TempDir(), "score.jsonl")
	score := exec.Command(kerasrun, "score", "--quiet", "--model", model, "--batch", "4",
		"--output", want, input)
	// one image is bad
	if out, err := score.CombinedOutput(); score.ProcessState == nil ||
		score.ProcessState.ExitCode() != 3 {
		t.Fatalf("score: got %v, want exit status 3\n%s", err, out)
	}

	endpoint := jobServer(t, prism)
	for name, flags := range map[string][]string{
		"embedded": {"--runner=prism"},
		"job server": {"--runner=universal", "--endpoint=" + endpoint,
			"--environment_type=LOOPBACK", "--job_name=kerasrun"},
	} {
		t.Run(name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "out.jsonl")
			args := append([]string{"--model", model, "--output", output, "--batch", "4"},
				append(flags, input)...)
			pipeline := exec.Command(os.Args[0], args...)
			pipeline.Env = append(os.Environ(), "KERASRUN_BEAM_MAIN=1")
			if out, err := pipeline.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			base := strings.TrimSuffix(output, ".jsonl")
			if _, err := os.Stat(base + "_SUCCESS"); err != nil {
				t.Error(err)
			}
			files, err := filepath.Glob(base + "-*.jsonl")
			if err != nil || len(files) < 3 {
				t.Fatalf("got %q, %v, want several shards", files, err)
			}
			if got := sorted(t, files...); got != string(read(t, want)) {
				t.Errorf("the sorted rows differ from score's:\n%s\nwant\n%s", got, read(t, want))
			}
			if left, _ := filepath.Glob(base + "*.inputs*"); left != nil {
				t.Errorf("got %q, want the list of inputs to be removed", left)
			}
			if errors, _ := filepath.Glob(base + "-errors-*.jsonl"); len(errors) != 1 {
				t.Errorf("got %q, want one file of errors", errors)
			}
		})
	}
}

// images are the sample photographs, each a few times over, and one that is none.
func images(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	photos, err := filepath.Glob("../../testdata/photos/*.jpg")
	if err != nil || len(photos) == 0 {
		t.Fatalf("got %v, %v, want photographs", photos, err)
	}
	for i, photo := range slices.Repeat(photos, 4) {
		write(t, filepath.Join(dir, fmt.Sprintf("%03d.jpg", i)), read(t, photo))
	}
	write(t, filepath.Join(dir, "005-bad.jpg"), []byte("no image"))
	return dir
}

func jobServer(t *testing.T, prism string) (endpoint string) {
	t.Helper()
	port := freePort(t)
	server := exec.Command(prism, "--serve_http=false", "--job_port", port,
		"--idle_shutdown_timeout=-1s")
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	endpoint = "127.0.0.1:" + port
	for range 200 {
		conn, err := net.Dial("tcp", endpoint)
		if err == nil {
			_ = conn.Close()
			return endpoint
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the job server does not listen\n%s", log.String())
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func sorted(t *testing.T, files ...string) string {
	t.Helper()
	var lines []string
	for _, file := range files {
		for line := range strings.Lines(string(read(t, file))) {
			lines = append(lines, line)
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return cmp.Compare(index(t, a), index(t, b)) })
	return strings.Join(lines, "")
}

func index(t *testing.T, line string) int64 {
	t.Helper()
	var row struct{ Index int64 }
	if err := json.Unmarshal([]byte(line), &row); err != nil {
		t.Fatal(err)
	}
	return row.Index
}

func build(t *testing.T, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", path,
		pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func abs(t *testing.T, path string) string {
	t.Helper()
	a, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}
