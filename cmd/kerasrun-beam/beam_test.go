package main

import (
	"bytes"
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
// asks it for workers (LOOPBACK), as a Flink job server does, or starts them (PROCESS). Its shards
// merge into score's bytes.
func TestEqualsScore(t *testing.T) {
	prism := build(t, "github.com/apache/beam/sdks/v2/go/cmd/prism")
	model, input := abs(t, "../../models/resnext50"), images(t)
	want := map[string]string{}
	for _, ending := range []string{"jsonl", "parquet"} {
		want[ending] = filepath.Join(t.TempDir(), "score."+ending)
		// one image is bad
		kerasrun(t, 3, "score", "--quiet", "--model", model, "--batch", "4", "--output", want[ending],
			input)
	}
	endpoint := jobServer(t, prism)
	for _, c := range []struct {
		name, ending string
		flags        []string
	}{
		{"embedded", "jsonl", []string{"--runner=prism"}},
		{"job server", "parquet", []string{"--runner=universal", "--endpoint=" + endpoint,
			"--environment_type=LOOPBACK"}},
		{"process", "jsonl", []string{"--runner=universal", "--endpoint=" + endpoint,
			"--environment_type=PROCESS", fmt.Sprintf("--environment_config={%q: %q, %q: {%q: %q}}",
				"command", os.Args[0], "env", "KERASRUN_BEAM_MAIN", "1")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "out."+c.ending)
			args := append([]string{"--model", model, "--output", output, "--batch", "4"},
				append(c.flags, input)...)
			out := pipeline(t, 3, args...)
			if want := "29 images, 28 scored, 1 failed"; !strings.Contains(out, want) {
				t.Errorf("got %s, want %q", out, want)
			}
			base := strings.TrimSuffix(output, "."+c.ending)
			if _, err := os.Stat(base + "_SUCCESS"); err != nil {
				t.Error(err)
			}
			files, err := filepath.Glob(base + "-*." + c.ending)
			if err != nil || len(files) < 3 {
				t.Fatalf("got %q, %v, want several shards", files, err)
			}
			merged := filepath.Join(t.TempDir(), "merged."+c.ending)
			kerasrun(t, 0, append([]string{"merge", "--output", merged}, files...)...)
			if !bytes.Equal(read(t, merged), read(t, want[c.ending])) {
				t.Errorf("the merged shards have other bytes than score's output: got\n%s, want\n%s",
					read(t, merged), read(t, want[c.ending]))
			}
			if left, _ := filepath.Glob(base + "*.inputs*"); left != nil {
				t.Errorf("got %q, want the list of inputs to be removed", left)
			}
		})
	}
}

// A job server that is not there is named, soon, and nothing is left behind.
func TestNoJobServer(t *testing.T) {
	dir, endpoint := t.TempDir(), "127.0.0.1:"+freePort(t)
	began := time.Now()
	out := pipeline(t, 1, "--output", filepath.Join(dir, "out.jsonl"), "--runner=flink",
		"--endpoint="+endpoint, "../../testdata/photos")
	if want := "expected a job server, found none"; !strings.Contains(out, want) ||
		!strings.Contains(out, endpoint) || time.Since(began) > time.Minute {
		t.Errorf("got %s, want %q of %s", out, want, endpoint)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); left != nil {
		t.Errorf("got %q, want nothing left", left)
	}
}

// With workers on this machine a model that is not there is named before a job begins.
func TestNoModel(t *testing.T) {
	out := pipeline(t, 1, "--output", filepath.Join(t.TempDir(), "out.jsonl"), "--runner=flink",
		"--endpoint=127.0.0.1:1", "--environment_type=LOOPBACK", "--model=/no/such/model",
		"../../testdata/photos")
	if want := "/no/such/model: expected a SavedModel"; !strings.Contains(out, want) {
		t.Errorf("got %s, want %q", out, want)
	}
}

// pipeline runs this program, and kerasrun the other. Each returns what was written, or fails where
// the program ends with another status.
func pipeline(t *testing.T, status int, args ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "KERASRUN_BEAM_MAIN=1")
	return ends(t, cmd, status)
}

func kerasrun(t *testing.T, status int, args ...string) {
	t.Helper()
	ends(t, exec.Command(abs(t, "../../bin/kerasrun"), args...), status)
}

func ends(t *testing.T, cmd *exec.Cmd, status int) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		t.Fatalf("%q: got %v, want exit status %d\n%s", cmd.Args, err, status, out)
	}
	return string(out)
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
