package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kerasrun/labels"
	"kerasrun/serve"
)

// startServe runs serve on free ports until stop is called, which returns the exit status and the
// log; rpc is the address for gRPC.
func startServe(t *testing.T, args ...string) (url, rpc string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	read, write := io.Pipe()
	status := make(chan int, 1)
	go func() {
		args := append([]string{"serve", "--addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0",
			"--drain-delay", "0s"}, args...)
		status <- execute(ctx, args, nil, io.Discard, write)
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

func TestServeOwnNames(t *testing.T) {
	for _, c := range []struct {
		addr, listens string
		hosts, want   []string
	}{
		{"127.0.0.1:8501", "127.0.0.1:8501", nil, []string{"127.0.0.1"}},
		{"[::1]:8501", "[::1]:8501", nil, []string{"::1"}},
		{"here:8501", "127.0.0.1:8501", nil, []string{"here"}},
		{":8501", "[::]:8501", nil, nil},
		{"0.0.0.0:8501", "0.0.0.0:8501", nil, nil},
		{"0.0.0.0:8501", "0.0.0.0:8501", []string{"a", "b"}, []string{"a", "b", "0.0.0.0"}},
		{"127.0.0.1:8501", "127.0.0.1:8501", []string{"a"}, []string{"a", "127.0.0.1"}},
	} {
		address := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.listens))
		f := serveFlags{addr: c.addr, hosts: c.hosts}
		if diff := cmp.Diff(c.want, f.ownNames(address)); diff != "" {
			t.Errorf("--addr %s --host %v (-want +got):\n%s", c.addr, c.hosts, diff)
		}
	}
}

func TestServeDefaultMemory(t *testing.T) {
	small := serve.DefaultLimits().WithPixelsFor(64 << 20)
	for _, c := range []struct {
		group float64
		want  int64
	}{
		{math.Inf(1), 2 << 30},
		{64 << 30, 2 << 30},
		{3 << 30, 768 << 20},
		{2 << 30, 512 << 20},
		{256 << 20, small.LeastMemory()},
	} {
		l := serve.DefaultLimits().WithPixelsFor(int64(min(2<<30, c.group/4)))
		got := defaultMemory(l, c.group)
		if got != c.want {
			t.Errorf("a group of %v bytes: got %d, want %d", c.group, got, c.want)
		}
		if _, err := l.WithMemory(got); err != nil {
			t.Errorf("a group of %v bytes: %v", c.group, err)
		}
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

// What is served is what classify prints, image for image.
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
	args := append([]string{"classify", "--format", "json"}, photos...)
	unmarshal(t, []byte(well(t, args...)), &rows)
	for _, row := range rows {
		want[row.Path] = append(want[row.Path], row.Prediction)
	}
	for _, path := range photos {
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Post(url+"/classify", "application/octet-stream", bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Predictions []labels.Prediction `json:"predictions"`
		}
		err = json.NewDecoder(answer.Body).Decode(&got)
		answer.Body.Close()
		if diff := cmp.Diff(want[path], got.Predictions, cmpopts.EquateApprox(0, 1e-5)); err != nil ||
			diff != "" {
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
		{"x", exitUsage, "expected no argument"},
		{"--model a --model-config-file b", exitUsage, "none of the others can be"},
		{"--tls-cert a", exitUsage, "tls-key"},
		{"--max-batch-size 0", exitUsage, "max_batch_size: expected at least 1, got 0"},
		{"--max-body-bytes 0", exitUsage, "limit of body"},
		{"--log-format xml", exitUsage, "expected one of text, json"},
		{"--model-config-file " + missing, exitFailed, "no such file"},
		{"--token-file " + token, exitFailed, "expected a token"},
		{"--model " + missing, exitFailed, missing + ": expected a SavedModel, found no directory"},
		{"--model " + empty, exitFailed, `no version that is ready`},
	} {
		args := append([]string{"serve", "--addr", "127.0.0.1:0", "--drain-delay", "0s"},
			strings.Fields(test.args)...)
		if status, _, stderr := call(t, nil, args...); status != test.status ||
			!strings.Contains(stderr, test.want) {
			t.Errorf("%s: want exit status %d and %q, got %d: %s", test.args, test.status, test.want, status,
				stderr)
		}
	}
}
