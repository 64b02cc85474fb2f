//go:build linux

package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kerasrun/tensor"
)

// openTest opens half_plus_two in a worker; change, if any, changes how.
func openTest(t *testing.T, change func(*Config)) *Model {
	t.Helper()
	c := testConfig(halfPlusTwo)
	if change != nil {
		change(&c)
	}
	m, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// halfPlus has the model compute one y.
func halfPlus(ctx context.Context, m *Model, x float32) (float32, error) {
	in, err := tensor.New(tensor.Shape{1}, []float32{x})
	if err != nil {
		return 0, err
	}
	out, err := m.RunSignature(ctx, "serving_default", map[string]tensor.Tensor{"x": in})
	if err != nil {
		return 0, err
	}
	return out["y"].Data.([]float32)[0], nil
}

// wantRun holds that the model answers.
func wantRun(t *testing.T, m *Model) {
	t.Helper()
	if y, err := halfPlus(t.Context(), m, 6); err != nil || y != 5 {
		t.Errorf("got %v, %v, want 5", y, err)
	}
}

func TestEveryTypeArrives(t *testing.T) {
	m := openTest(t, nil)
	many := make([]float32, 1<<19) // more than is kept in a socket
	for i := range many {
		many[i] = float32(i)
	}
	in := map[string]tensor.Tensor{
		"float32": {DType: tensor.Float32, Shape: tensor.Shape{2}, Data: []float32{1, -2}},
		"float64": {DType: tensor.Float64, Shape: tensor.Shape{1, 1}, Data: []float64{1e300}},
		"float16": {DType: tensor.Float16, Shape: tensor.Shape{3}, Data: []uint16{1, 2, 3}},
		"bfloat":  {DType: tensor.Bfloat16, Shape: tensor.Shape{1}, Data: []uint16{1}},
		"int8":    {DType: tensor.Int8, Shape: tensor.Shape{1}, Data: []int8{-1}},
		"int16":   {DType: tensor.Int16, Shape: tensor.Shape{1}, Data: []int16{-1}},
		"int32":   {DType: tensor.Int32, Shape: tensor.Shape{}, Data: []int32{-1}},
		"int64":   {DType: tensor.Int64, Shape: tensor.Shape{1}, Data: []int64{1 << 60}},
		"uint8":   {DType: tensor.Uint8, Shape: tensor.Shape{3}, Data: []uint8{1, 2, 3}},
		"uint16":  {DType: tensor.Uint16, Shape: tensor.Shape{1}, Data: []uint16{1}},
		"uint32":  {DType: tensor.Uint32, Shape: tensor.Shape{1}, Data: []uint32{1 << 31}},
		"uint64":  {DType: tensor.Uint64, Shape: tensor.Shape{1}, Data: []uint64{1 << 63}},
		"bool":    {DType: tensor.Bool, Shape: tensor.Shape{2}, Data: []bool{true, false}},
		"empty":   {DType: tensor.Float32, Shape: tensor.Shape{0, 3}, Data: []float32{}},
		"texts": {DType: tensor.String, Shape: tensor.Shape{3},
			Data: [][]byte{[]byte("a\x00\xff"), {}, bytes.Repeat([]byte("b"), 1<<17)}},
		"text":            {DType: tensor.String, Shape: tensor.Shape{}, Data: [][]byte{[]byte("c")}},
		"no texts":        {DType: tensor.String, Shape: tensor.Shape{0}, Data: [][]byte{}},
		"many":            {DType: tensor.Float32, Shape: tensor.Shape{1 << 19}, Data: many},
		"not UTF-8: \xff": {DType: tensor.Uint8, Shape: tensor.Shape{1}, Data: []uint8{1}},
	}
	var all sync.WaitGroup
	for range 4 { // memory is used again
		all.Go(func() {
			out, err := m.RunSignature(t.Context(), "echo", in)
			if err != nil {
				t.Error(err)
			}
			for name, want := range in {
				if got := out[name]; !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %v %v %.80v, want %v %v %.80v", name, got.DType, got.Shape, got.Data,
						want.DType, want.Shape, want.Data)
				}
			}
		})
	}
	all.Wait()
}

func TestErrors(t *testing.T) {
	m := openTest(t, nil)
	if _, err := halfPlus(t.Context(), m, xRefuse); err == nil || err.Error() != "the fake refuses" {
		t.Errorf("got %v, want the worker's own error", err)
	}
	bad := tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{7}, Data: []float32{1}}
	_, err := m.RunSignature(t.Context(), "echo", map[string]tensor.Tensor{"x": bad})
	if err == nil || !strings.Contains(err.Error(), "expected 7 elements, got 1") {
		t.Errorf("got %v, want an error about the tensor", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := halfPlus(ctx, m, xWait); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	wantRun(t, m) // beside the run that nobody waits for
	if n := m.Restarts(); n != 0 {
		t.Errorf("got %d restarts, want none", n)
	}
}

// TestDeaths ends the worker in every way, and holds that its end is named and that it follows.
func TestDeaths(t *testing.T) {
	for name, c := range map[string]struct {
		x             float32
		cause, reason string
	}{
		"abort": {xAbort, "SIGABRT", "F0000 00:00:1 1 fake.cc:1] Check failed: x != -1"},
		"exit":  {xExit, "exit status 7", ""},
		"panic": {xPanic, "exit status 2", "panic: the fake panics"},
	} {
		t.Run(name, func(t *testing.T) {
			var log logLines
			m := openTest(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			_, err := halfPlus(t.Context(), m, c.x)
			want := &DiedError{Cause: c.cause, Reason: c.reason, Death: 1, Runs: 1}
			var died *DiedError
			if !errors.As(err, &died) || !cmp.Equal(died, want) {
				t.Fatalf("got %#v, want %#v", err, want)
			}
			wantRun(t, m) // it waits for the next worker
			if n := m.Restarts(); n != 1 {
				t.Errorf("got %d restarts, want 1", n)
			}
			for _, text := range []string{"directory=" + halfPlusTwo, `signal="?` + c.cause,
				`runs="\[serving_default\(x float32 \(1,\)\)\]"`} {
				log.want(t, text)
			}
		})
	}
}

// TestKilledFromOutside has two runs in flight, one of which nobody waits for any more.
func TestKilledFromOutside(t *testing.T) {
	m := openTest(t, nil)
	ctx, leave := context.WithCancel(t.Context())
	failures := make(chan error)
	for _, ctx := range []context.Context{ctx, t.Context()} {
		go func() {
			_, err := halfPlus(ctx, m, xWait)
			failures <- err
		}()
	}
	p := m.current
	for len(p.inFlight()) < 2 {
		time.Sleep(time.Millisecond)
	}
	leave()
	if err := <-failures; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's error", err)
	}
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var died *DiedError
	if err := <-failures; !errors.As(err, &died) || died.Cause != "SIGKILL" || died.Runs != 2 {
		t.Errorf("got %v, want SIGKILL with two runs in flight", err)
	}
	wantRun(t, m)
}

// TestSignalsOfTheTerminal holds that what ^C and a closed terminal send to both processes leaves
// the worker to the other one.
func TestSignalsOfTheTerminal(t *testing.T) {
	m := openTest(t, nil)
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if err := syscall.Kill(m.current.pid, s); err != nil {
			t.Fatal(err)
		}
	}
	wantRun(t, m)
	if n := m.Restarts(); n != 0 {
		t.Errorf("got %d restarts, want none", n)
	}
}

// ended waits until there is no such process, or only what nobody has asked after.
func ended(t *testing.T, pid int) {
	t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return
		}
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "Z") {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

func TestCloseEndsWorker(t *testing.T) {
	m := openTest(t, nil)
	pid := m.current.pid
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	ended(t, pid)
	if _, err := halfPlus(t.Context(), m, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestParentsDeathEndsWorker kills a program that has a worker.
func TestParentsDeathEndsWorker(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(program)
	parent.Env = append(os.Environ(), childWorker+"=", childParent+"="+halfPlusTwo)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid := 0
	if _, scanErr := fmt.Sscan(line, &pid); err != nil || scanErr != nil {
		t.Errorf("got %q, %v, want the worker's number", line, err)
	}
	if err := errors.Join(parent.Process.Kill(), syscall.Kill(pid, 0)); err != nil {
		t.Error(err)
	}
	_ = parent.Wait() // it was killed
	ended(t, pid)
}

func TestOpenFails(t *testing.T) {
	for how, want := range map[string]string{
		"usage": "a wrong flag",
		"error": "cannot be opened",
		"abort": halfPlusTwo + ": the model's process died (SIGABRT) before it had opened the model",
	} {
		t.Run(how, func(t *testing.T) {
			t.Setenv("WORKER_TEST_OPEN", how)
			m, err := Open(t.Context(), testConfig(halfPlusTwo))
			if err == nil {
				m.Close()
				t.Fatal("got no error, want one")
			}
			if err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			var usage *UsageError
			if errors.As(err, &usage) != (how == "usage") {
				t.Errorf("got %T", err)
			}
		})
	}
	c := testConfig(halfPlusTwo)
	c.Command = []string{"/no/such/program"}
	if _, err := Open(t.Context(), c); err == nil {
		t.Error("no such program: got no error, want one")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, testConfig(halfPlusTwo)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// TestChangedFiles holds that no other model follows a worker under its name.
func TestChangedFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(halfPlusTwo)); err != nil {
		t.Fatal(err)
	}
	m, err := Open(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := os.WriteFile(filepath.Join(dir, "assets/more"), []byte("1"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(m.current.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); m.Down() == nil && time.Since(start) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	if _, err := halfPlus(t.Context(), m, 1); !errors.Is(err, errChanged) ||
		!strings.HasPrefix(err.Error(), dir+": ") {
		t.Errorf("got %v, want an error about other files", err)
	}
}

// logLines is a log that tests read.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}
