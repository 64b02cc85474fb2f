//go:build prove

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The proofs of serve are too long for `make test`: `make prove-serve` runs them. Those of speed
// use the model of README.md, the others smallModel, so that there can be many images.

// server is kerasrun serve in a process of its own.
type server struct {
	cmd     *exec.Cmd
	url     string
	client  *http.Client
	logged  map[string]int // lines of the log about requests other than probes, by their status
	reading sync.WaitGroup // of the log
}

// startServer starts a server and waits until it is ready.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		cmd: exec.Command(exe, append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format",
			"json"}, args...)...),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20000}},
		logged: map[string]int{},
	}
	log, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() }) // fails when it has ended
	address := make(chan string, 1)
	s.reading.Go(func() { s.readLog(t, log, address) })
	s.url = "http://" + <-address
	waitReady(t, s.url)
	return s
}

func (s *server) readLog(t *testing.T, log io.Reader, address chan<- string) {
	defer close(address)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Level, Msg, Address, Method string
			Status                      int
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Logf("log: %s", lines.Bytes()) // TensorFlow's
			continue
		}
		switch {
		case line.Msg == "listening":
			address <- line.Address
		case line.Msg == "request" && line.Method == http.MethodPost:
			s.logged[strconv.Itoa(line.Status)]++
		case line.Level == "ERROR":
			t.Errorf("log: %s", lines.Bytes())
		}
	}
}

// stop tells the server to stop, and returns its exit status.
func (s *server) stop(t *testing.T) int {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.reading.Wait()
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// rss returns how much memory the server holds, in bytes.
func (s *server) rss(t *testing.T) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if match == nil {
		return 0 // it has ended, and its parent has not yet asked how
	}
	kib, err := strconv.ParseFloat(string(match[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib * 1024
}

// runs returns what /metrics says of the runs so far: how many there were, their rows, and their
// time.
func (s *server) runs(t *testing.T) runs {
	t.Helper()
	answer, err := s.client.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(name string) (sum float64) {
		for _, match := range regexp.MustCompile(`(?m)^`+name+`\{.*\} (.*)$`).FindAllSubmatch(text, -1) {
			n, err := strconv.ParseFloat(string(match[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		return sum
	}
	return runs{sum("kerasrun_batch_size_count"), sum("kerasrun_batch_size_sum"),
		sum("kerasrun_inference_duration_seconds_sum")}
}

type runs struct{ count, rows, seconds float64 }

func (r runs) since(before runs) runs {
	return runs{r.count - before.count, r.rows - before.rows, r.seconds - before.seconds}
}

// reply is what a client saw of one request.
type reply struct {
	status     int // 0 where there was no answer
	body       []byte
	retryAfter string
	began      time.Time
	took       time.Duration
	err        error
}

// send sends one request, and returns when the whole answer is there.
func (s *server) send(path, contentType string, body []byte, header ...string) (r reply) {
	r.began = time.Now()
	defer func() { r.took = time.Since(r.began) }()
	request, err := http.NewRequest(http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		r.err = err
		return r
	}
	request.GetBody = nil // what was sent once is not sent again behind the proof's back
	request.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := s.client.Do(request)
	if err != nil {
		r.err = err
		return r
	}
	defer answer.Body.Close()
	r.body, r.err = io.ReadAll(answer.Body)
	r.status, r.retryAfter = answer.StatusCode, answer.Header.Get("Retry-After")
	return r
}

func (s *server) classify(image []byte) reply {
	return s.send("/classify", "application/octet-stream", image)
}

// closedLoop has clients that send one request after the other, until stop is closed, and returns
// every reply.
func closedLoop(clients int, stop <-chan struct{}, send func(i int) reply) []reply {
	replies := make([][]reply, clients)
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := c; ; i += clients {
				select {
				case <-stop:
					return
				default:
				}
				r := send(i)
				replies[c] = append(replies[c], r)
				switch r.status {
				case 0:
					return
				case http.StatusServiceUnavailable:
					time.Sleep(time.Second) // as Retry-After says
				}
			}
		})
	}
	all.Wait()
	return slices.Concat(replies...)
}

// after returns a channel that is closed when the time is over.
func after(d time.Duration) <-chan struct{} {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	context.AfterFunc(ctx, cancel)
	return ctx.Done()
}

// photos returns the bytes of the sample photographs.
func photos(t *testing.T) (all [][]byte) {
	t.Helper()
	paths, err := filepath.Glob("testdata/photos/*.jpg")
	if err != nil || len(paths) == 0 {
		t.Fatal("no photographs: ", err)
	}
	for _, path := range paths {
		all = append(all, []byte(readFile(t, path)))
	}
	return all
}

// Fifty servers are told to stop while eight clients send to them: whatever a server has taken it
// answers, and its exit status is 0.
func TestProveShutdown(t *testing.T) {
	inRepository(t)
	images := photos(t)
	var answered, slowest = 0, time.Duration(0)
	for round := range 50 {
		s := startServer(t, "--model", smallModel, "--verify=false", "--drain-delay", "100ms")
		time.AfterFunc(300*time.Millisecond, func() { s.cmd.Process.Signal(syscall.SIGTERM) })
		replies := closedLoop(8, nil, func(i int) reply { return s.classify(images[i%len(images)]) })
		began := time.Now()
		s.reading.Wait()
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		slowest = max(slowest, time.Since(began))
		seen := map[string]int{}
		for _, r := range replies {
			if r.status != 0 {
				seen[strconv.Itoa(r.status)]++
			}
		}
		if !maps.Equal(seen, s.logged) {
			t.Errorf("round %d: the server answered %v, the clients have %v", round, s.logged, seen)
		}
		if len(seen) != 1 || seen["200"] == 0 {
			t.Errorf("round %d: answers: %v", round, seen)
		}
		answered += seen["200"]
	}
	t.Logf("50 SIGTERMs, 8 clients: %d requests admitted and answered, 0 lost; "+
		"at most %v from the last answer to exit 0", answered, slowest)
}

// Two hundred versions are swapped in, one after the other, while four clients send: every request
// is answered, and memory stays flat.
func TestProveSwaps(t *testing.T) {
	inRepository(t)
	images := photos(t)
	dir := t.TempDir()
	put := func(version int) {
		t.Helper()
		ready, making := filepath.Join(dir, strconv.Itoa(version)), filepath.Join(dir, "making")
		if out, err := exec.Command("cp", "-al", smallModel, making).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.Rename(making, ready); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	s := startServer(t, "--model", dir, "--model-name", "small", "--file-system-poll-wait-seconds",
		"0.01")
	stop := make(chan struct{})
	done := make(chan []reply)
	go func() {
		done <- closedLoop(4, stop, func(i int) reply { return s.classify(images[i%len(images)]) })
	}()
	const swaps, settled = 200, 20
	memory := s.watch(t)
	var early []float64
	for version := 2; version <= swaps+1; version++ {
		put(version)
		for {
			r := s.send("/classify", "application/octet-stream", images[0])
			var answer struct{ Version string }
			if err := json.Unmarshal(r.body, &answer); err != nil || r.status != http.StatusOK {
				t.Fatalf("version %d: %d %s %v", version, r.status, r.body, r.err)
			}
			if answer.Version == strconv.Itoa(version) {
				break
			}
		}
		if err := os.RemoveAll(filepath.Join(dir, strconv.Itoa(version-1))); err != nil {
			t.Fatal(err)
		}
		switch version {
		case settled, swaps - 40:
			memory()
		case settled + 40:
			early = memory()
		}
	}
	before, after := slices.Max(early), slices.Max(memory())
	grown := after/before - 1
	close(stop)
	replies := <-done
	for _, r := range replies {
		if r.status != http.StatusOK {
			t.Errorf("lost: %d %s %v", r.status, r.body, r.err)
		}
	}
	if grown > 0.05 {
		t.Errorf("memory has grown by %.1f %%", 100*grown)
	}
	if status := s.stop(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	t.Logf("%d version swaps, 4 clients: %d requests, 0 lost; "+
		"memory at most %.0f MiB from the %dth to the %dth swap, %.0f MiB in the last 40: %+.1f %%",
		swaps, len(replies), before, settled, settled+40, after, 100*grown)
}

// Ten thousand clients send a different image each, all at once: every answer is that of a run of
// its own.
func TestProveNoCrossTalk(t *testing.T) {
	inRepository(t)
	const clients, tolerance = 10000, 1e-5
	s := startServer(t, "--model", smallModel, "--max-connections", "16000", "--max-enqueued-batches",
		"400", "--queue-timeout", "0",
		"--deadline", "10m")
	inputs, want := distinct(t, clients)
	replies := make([]reply, clients)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			<-start
			replies[i] = s.inferRaw(filepath.Base(smallModel), inputs[i])()
		})
	}
	before := s.runs(t)
	close(start)
	all.Wait()
	r := s.runs(t).since(before)
	worst := 0.0
	for i, reply := range replies {
		got, err := probabilitiesOf(reply)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		worst = max(worst, difference(got, want[i]))
	}
	if !(worst <= tolerance) {
		t.Errorf("an answer differs by %.1e from that of a single run", worst)
	}
	if r.rows != clients {
		t.Errorf("want %d rows run, got %v", clients, r.rows)
	}
	t.Logf("%d inputs at once, in %.0f runs of up to 32: "+
		"largest difference from a single run %.1e, tolerance %.0e", clients, r.count, worst, tolerance)
	s.stop(t)
}
