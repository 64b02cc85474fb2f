package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Operations of testdata/killing.py's model.
const killingOps = "TensorListReserve,TensorListStack"

var killingDir shared

// killing runs testdata/killing.py, once for all tests, and returns its model, whose process an
// image that is white all over ends, its images, and the one of them that is white.
func killing(t *testing.T) (model, images, white string) {
	t.Helper()
	inRepository(t)
	dir := killingDir.of(t, "killing.py")
	return filepath.Join(dir, "model"), filepath.Join(dir, "images"),
		filepath.Join(dir, "images", "37.png")
}

// TestScoreIsolated has one of 50 images kill the worker.
func TestScoreIsolated(t *testing.T) {
	model, images, white := killing(t)
	score := func(args ...string) (status int, rows map[string]string, stderr string) {
		t.Helper()
		output := filepath.Join(t.TempDir(), "scores.jsonl")
		args = append([]string{"score", "--model", model, "--allow-op", killingOps, "--output", output},
			args...)
		status, _, stderr = call(t, nil, args...)
		rows = map[string]string{}
		for line := range strings.Lines(readFile(t, output)) {
			var row struct{ Path string }
			unmarshal(t, []byte(line), &row)
			_, rest, _ := strings.Cut(line, ",") // without the index
			rows[row.Path] = rest
		}
		return status, rows, stderr
	}
	status, rows, stderr := score("--isolate", images)
	if status != exitFailedImages || len(rows) != 50 {
		t.Fatalf("got exit status %d and %d rows, want %d and 50: %s", status, len(rows),
			exitFailedImages, stderr)
	}
	wantStderr := white + ": image 37 killed the model's process: SIGABRT: F0000 "
	if !strings.Contains(stderr, wantStderr) ||
		!strings.Contains(stderr, "50 images, 49 scored, 1 failed") {
		t.Errorf("got %s, want %q and the sums", stderr, wantStderr)
	}
	want := `"error":"killed the model's process (SIGABRT) when it ran alone"`
	if !strings.Contains(rows[white], want) {
		t.Errorf("got %s, want %s", rows[white], want)
	}
	// The others are answered as without a worker, and without the culprit beside them.
	var others []string
	for path := range rows {
		if path != white {
			others = append(others, path)
		}
	}
	slices.Sort(others)
	status, plain, stderr := score(others...)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	for _, path := range others {
		if err := sameScores(rows[path], plain[path]); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// sameScores compares two rows whose batches were not the same: their classes, and their
// probabilities but for the last bits.
func sameScores(got, want string) error {
	var rows [2]struct {
		Class       []int
		Probability []float64
	}
	for i, text := range []string{got, want} {
		if err := json.Unmarshal([]byte("{"+text), &rows[i]); err != nil {
			return err
		}
	}
	if len(rows[1].Class) == 0 || !slices.Equal(rows[0].Class, rows[1].Class) {
		return fmt.Errorf("got the classes %v, want %v", rows[0].Class, rows[1].Class)
	}
	for i, p := range rows[1].Probability {
		if d := rows[0].Probability[i] - p; d > 1e-6 || d < -1e-6 {
			return fmt.Errorf("got %s, want %s", got, want)
		}
	}
	return nil
}

// TestServeIsolated has a client kill the worker by its image, and somebody else kill it from
// outside, and ends the server while a worker runs.
func TestServeIsolated(t *testing.T) {
	model, images, white := killing(t)
	url, _, stop := startServe(t, "--isolate", "--model", model, "--allow-op", killingOps,
		"--verify=false")
	waitReady(t, url)
	classify := func(path string) (status int, id string) {
		t.Helper()
		answer, err := http.Post(url+"/classify", "image/png", bytes.NewReader([]byte(readFile(t,
			path))))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode, answer.Header.Get("X-Request-Id")
	}
	// restarted waits until another worker is up. The server is ready, too, while it has not seen
	// yet that the last one died.
	restarted := func(times int) {
		t.Helper()
		want := `kerasrun_worker_restarts_total{model="model",version="1"} ` +
			strconv.Itoa(times) + "\n"
		for end := time.Now().Add(time.Minute); !strings.Contains(get(t, url+"/metrics"), want); {
			if time.Now().After(end) {
				t.Fatalf("got no %s within a minute", want)
			}
			time.Sleep(time.Millisecond)
		}
		waitReady(t, url)
	}
	good := filepath.Join(images, "00.png")
	if status, _ := classify(good); status != 200 {
		t.Errorf("before: got %d, want 200", status)
	}
	status, culprit := classify(white)
	if status != 503 {
		t.Errorf("the culprit: got %d, want 503", status)
	}
	restarted(1)
	if status, _ := classify(good); status != 200 {
		t.Errorf("after the culprit: got %d, want 200", status)
	}
	pids := workersOf(t, os.Getpid())
	if len(pids) != 1 {
		t.Fatalf("got the workers %v, want one", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	restarted(2)
	if status, _ := classify(good); status != 200 {
		t.Errorf("after SIGKILL: got %d, want 200", status)
	}
	exit, log := stop()
	if exit != 0 {
		t.Errorf("exit status %d", exit)
	}
	for _, pattern := range []string{
		`msg="worker died" directory=\S+ signal=SIGABRT reason="F0000 .*Check failed.*runs=.*images`,
		`msg="a request was in flight when the worker died" request_id=` + culprit +
			` model=model version=1 signature=serving_default signal=SIGABRT death=1 alone=true`,
		`msg="worker died" directory=\S+ signal=SIGKILL`,
	} {
		if !regexp.MustCompile(pattern).MatchString(log) {
			t.Errorf("got the log\n%s\nwant %s", log, pattern)
		}
	}
	if pids := workersOf(t, os.Getpid()); len(pids) > 0 {
		t.Errorf("the workers %v are still there", pids)
	}
}

// TestServeIsolatedDrains sends SIGTERM to the server and its worker together, as systemd does,
// while a request runs.
func TestServeIsolatedDrains(t *testing.T) {
	inRepository(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "serve", "--isolate", "--verify=false", "--addr", "127.0.0.1:0",
		"--drain-delay", "0s")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }) // fails when it has ended
	lines := bufio.NewScanner(log)
	address := regexp.MustCompile(`address=(\S+)`)
	for lines.Scan() && !address.MatchString(lines.Text()) {
	}
	url := "http://" + address.FindStringSubmatch(lines.Text())[1]
	var text strings.Builder
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for lines.Scan() {
			fmt.Fprintln(&text, lines.Text())
		}
	}()
	waitReady(t, url)
	// A row of zeros as JSON, sixteen times.
	row := "[" + strings.TrimSuffix(strings.Repeat("[0,0,0],", 224), ",") + "]"
	image := "[" + strings.TrimSuffix(strings.Repeat(row+",", 224), ",") + "]"
	body := `{"instances":[` + strings.TrimSuffix(strings.Repeat(image+",", 16), ",") + "]}"
	status := make(chan int, 1)
	go func() {
		answer, err := http.Post(url+"/v1/models/resnext50:predict", "application/json",
			strings.NewReader(body))
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		answer.Body.Close()
		status <- answer.StatusCode
	}()
	for !strings.Contains(get(t, url+"/metrics"), "kerasrun_requests_in_flight 1") {
		time.Sleep(time.Millisecond)
	}
	workers := workersOf(t, cmd.Process.Pid)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != 200 {
		t.Errorf("got %d, want 200", got)
	}
	<-logged
	if err := cmd.Wait(); err != nil {
		t.Errorf("got %v, want exit status 0: %s", err, &text)
	}
	if strings.Contains(text.String(), "worker died") {
		t.Errorf("the worker died: %s", &text)
	}
	for _, pid := range workers {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("worker %d is still there", pid)
		}
	}
	if len(workers) != 1 {
		t.Errorf("got the workers %v, want one", workers)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// workersOf returns the workers that a process has.
func workersOf(t *testing.T, pid int) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		command, _ := os.ReadFile(path) // it may have ended
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "stat"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if !bytes.Contains(command, []byte("\x00"+workerCommand+"\x00")) || len(fields) < 2 ||
			fields[0] == "Z" || fields[1] != strconv.Itoa(pid) {
			continue
		}
		number, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, number)
	}
	return pids
}

// TestWorkerArguments holds that a worker opens the model as the command would.
func TestWorkerArguments(t *testing.T) {
	cmd := newServeCommand()
	args := []string{"--isolate", "--model", "m", "--device", "gpu:0,gpu:1", "--allow-op", "A,B",
		"--precision", "bf16", "--allow-unverified", "--gpu-memory-growth=false", "--addr", ":1"}
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	i := isolation{command: cmd}
	got := i.arguments("m/7")
	slices.Sort(got)
	want := []string{"--allow-op=A,B", "--allow-unverified=true", "--device=gpu:0,gpu:1",
		"--gpu-memory-growth=false", "--model=m/7", "--precision=bf16"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := newWorkerCommand().ParseFlags(got); err != nil {
		t.Error(err)
	}
}

// TestIsolatedModelFails holds that a model which cannot be opened is the same error, by the same
// status, as without a worker.
func TestIsolatedModelFails(t *testing.T) {
	inRepository(t)
	for _, more := range [][]string{
		{"--model", "no/such/model"}, {"--model", "savedmodel/testdata/half_plus_two"},
		{"--device", "tpu"}, {"--device", "gpu:7"}, {"--precision", "fp16"},
	} {
		args := append([]string{"score", "--output", "-", "testdata/photos"}, more...)
		status, _, want := call(t, nil, args...)
		isolated, _, got := call(t, nil, append(args, "--isolate")...)
		if isolated != status || got != want {
			t.Errorf("%q: got exit status %d: %s\nwant %d: %s", more, isolated, got, status, want)
		}
	}
}
