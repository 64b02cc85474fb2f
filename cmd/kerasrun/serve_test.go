package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kerasrun/internal/pythontest"
	"kerasrun/labels"
)

// startServe runs serve on free ports until stop is called, which returns the exit status and the log; rpc is the address for gRPC.
func startServe(t *testing.T, args ...string) (url, rpc string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	read, write := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- execute(ctx, append([]string{"serve", "--addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--drain-delay", "0s"}, args...), nil, io.Discard, write)
		write.Close()
	}()
	var log bytes.Buffer
	lines := bufio.NewScanner(read)
	address := regexp.MustCompile(`address=(\S+) grpc=(\S+)`)
	for url == "" && lines.Scan() {
		fmt.Fprintln(&log, lines.Text())
		if match := address.FindStringSubmatch(lines.Text()); match != nil {
			url, rpc = "http://"+match[1], match[2]
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
		}
	}()
	return url, rpc, func() (int, string) {
		cancel()
		<-done
		return <-status, log.String()
	}
}

func waitReady(t *testing.T, url string) {
	t.Helper()
	for {
		answer, err := http.Get(url + "/v2/health/ready")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("never ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// What is served is what classify prints, picture for picture.
func TestServe(t *testing.T) {
	inRepository(t)
	url, _, stop := startServe(t)
	waitReady(t, url)
	photos := []string{"testdata/photos/cat.jpg", "testdata/photos/flower.webp"}
	want := map[string][]labels.Prediction{}
	var rows []struct {
		Path string
		labels.Prediction
	}
	if err := json.Unmarshal([]byte(well(t, append([]string{"classify", "--format", "json"}, photos...)...)), &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		want[row.Path] = append(want[row.Path], row.Prediction)
	}
	for _, path := range photos {
		picture, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Post(url+"/classify", "application/octet-stream", bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Predictions []labels.Prediction `json:"predictions"`
		}
		err = json.NewDecoder(answer.Body).Decode(&got)
		answer.Body.Close()
		if diff := cmp.Diff(want[path], got.Predictions, cmpopts.EquateApprox(0, 1e-5)); err != nil || diff != "" {
			t.Errorf("%s: %v (-classify +serve):\n%s", path, err, diff)
		}
	}
	status, log := stop()
	if status != 0 {
		t.Errorf("exit status %d: %s", status, log)
	}
	for _, words := range []string{"listening", "version available", "draining", "version unloaded"} {
		if !strings.Contains(log, words) {
			t.Errorf("want %q in the log:\n%s", words, log)
		}
	}
}

// The README's Python runs as it stands there, but for the addresses and the files.
func TestReadmeClients(t *testing.T) {
	inRepository(t)
	_, after, _ := strings.Cut(readFile(t, "README.md"), "\n## Serving\n")
	_, after, found := strings.Cut(after, "```python\n")
	program, _, _ := strings.Cut(after, "```\n")
	if !found {
		t.Fatal("no Python under Serving in the README")
	}
	url, rpc, stop := startServe(t, "--verify=false")
	waitReady(t, url)
	tensors := filepath.Join(t.TempDir(), "x.npy")
	well(t, "preprocess", "-o", tensors, "testdata/photos/cat.jpg")
	for _, c := range [][2]string{
		{"127.0.0.1:8501", strings.TrimPrefix(url, "http://")}, {"127.0.0.1:8001", rpc}, {"x.npy", tensors}, {"cat.jpg", "testdata/photos/cat.jpg"},
	} {
		if !strings.Contains(program, c[0]) {
			t.Errorf("want %s in the program", c[0])
		}
		program = strings.ReplaceAll(program, c[0], c[1])
	}
	out, err := exec.Command(pythontest.Python(t), "-c", program).CombinedOutput()
	if lines := strings.Count(string(out), "\n"); err != nil || lines < 5 {
		t.Errorf("%v: %s", err, out)
	}
	if status, log := stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, log)
	}
}

func TestServeUsage(t *testing.T) {
	inRepository(t)
	missing := t.TempDir() + "/none"
	empty := t.TempDir()
	token := empty + "/token"
	if err := os.WriteFile(token, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"x", exitUsage, "want no argument"},
		{"--model a --model-config-file b", exitUsage, "none of the others can be"},
		{"--tls-cert a", exitUsage, "tls-key"},
		{"--max-batch-size 0", exitUsage, "max_batch_size: expected at least 1, got 0"},
		{"--max-body-bytes 0", exitUsage, "limit of body"},
		{"--log-format xml", exitUsage, "want one of text, json"},
		{"--model-config-file " + missing, exitFailed, "no such file"},
		{"--token-file " + token, exitFailed, "want a token"},
		{"--model " + missing, exitFailed, `no version that is ready`},
		{"--model " + empty, exitFailed, `no version that is ready`},
	} {
		args := append([]string{"serve", "--addr", "127.0.0.1:0", "--drain-delay", "0s"}, strings.Fields(test.args)...)
		if status, _, stderr := call(t, nil, args...); status != test.status || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: want exit status %d and %q, got %d: %s", test.args, test.status, test.want, status, stderr)
		}
	}
}
