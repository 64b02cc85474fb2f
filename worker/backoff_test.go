//go:build linux

package worker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (l *logLines) want(t *testing.T, pattern string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !regexp.MustCompile(pattern).Match(l.text.Bytes()) {
		t.Errorf("got the log\n%s, want %s", &l.text, pattern)
	}
}

func TestBackoff(t *testing.T) {
	for name, c := range map[string]struct {
		lived, want []time.Duration
	}{
		"a crash loop": {make([]time.Duration, 9), seconds(0, 1, 2, 4, 8, 16, 32, 60, 60)},
		"one now and then": {
			seconds(60, 60, 3600, 60), seconds(0, 0, 0, 0),
		},
		"a loop that ends, and another": {
			seconds(5, 5, 5, 59, 60, 5, 5), seconds(0, 1, 2, 4, 0, 1, 2),
		},
	} {
		d := deaths{Backoff: DefaultBackoff()}
		var got []time.Duration
		for _, lived := range c.lived {
			got = append(got, d.wait(lived))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func seconds(n ...int) (all []time.Duration) {
	for _, n := range n {
		all = append(all, time.Duration(n)*time.Second)
	}
	return all
}

// fakeProcesses starts workers in this process, over a pipe in memory, which end when they are
// killed; openable says of each, counted from 1, whether it opens the model.
type fakeProcesses struct {
	openable func(number int) bool
	starts   []time.Time
	kill     func() error // the last
}

func (f *fakeProcesses) launch([]string, io.Writer) (*process, error) {
	f.starts = append(f.starts, time.Now())
	ours, theirs := net.Pipe()
	number, ended := len(f.starts), make(chan struct{})
	go func() {
		_ = Serve(theirs, func() (Opened, error) {
			if !f.openable(number) {
				return Opened{}, errors.New("cannot be opened")
			}
			return openFake(halfPlusTwo)
		}, func(error) bool { return false })
		theirs.Close()
		close(ended)
	}()
	p := &process{connection: ours, kill: theirs.Close}
	p.wait = func() string { <-ended; return "SIGKILL" }
	f.kill = theirs.Close
	return p, nil
}

// TestCrashLoop kills each worker as soon as it runs, and has some not open the model.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backoff := DefaultBackoff()
		f := &fakeProcesses{openable: func(number int) bool { return number != 3 }}
		changes := 0
		m, err := Open(t.Context(), Config{Dir: halfPlusTwo, Backoff: &backoff, launch: f.launch})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		m.Watch(func() { changes++ })
		begin := time.Now()
		kill := func() { f.kill(); synctest.Wait() }
		wantDown := func() {
			t.Helper()
			var down *DownError
			if _, err := halfPlus(t.Context(), m, 1); !errors.As(err, &down) || m.Down() == nil {
				t.Errorf("got %v, want a DownError", err)
			}
		}
		kill() // 2 is started at once
		wantRun(t, m)
		kill() // 3 after a second, which does not open, and 4 after two more
		wantDown()
		time.Sleep(time.Second)
		synctest.Wait()
		wantDown()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantRun(t, m)
		time.Sleep(backoff.Healthy)
		kill() // 5 at once, as 4 was well
		wantRun(t, m)
		if changes != 7 { // down and up, down, again, and up, down and up
			t.Errorf("got %d changes, want 7", changes)
		}
		if n := m.Restarts(); n != 3 {
			t.Errorf("got %d restarts, want 3", n)
		}
		var got []time.Duration
		for _, at := range f.starts {
			got = append(got, at.Sub(begin))
		}
		if diff := cmp.Diff(seconds(0, 0, 1, 3, 63), got); diff != "" {
			t.Errorf("starts (-want +got):\n%s", diff)
		}
		kill()
		kill()
		wantDown()
		if err := m.Close(); err != nil { // which does not wait until it would be up
			t.Error(err)
		}
	})
}

// TestWorkerGoneMad holds that what it writes ends it, and no more than it.
func TestWorkerGoneMad(t *testing.T) {
	for name, c := range map[string]struct {
		answer message
		reason string
	}{
		"no such run": {message{ID: 99}, "expected the answer to a run in flight, got number 99"},
		"too many bytes": {message{ID: 1, Tensors: []described{{Name: "y", DType: 1,
			Shape: []int64{1 << 40}}}},
			`"y": expected at most 17179869184 bytes of a tensor, got 4398046511104`},
		"no such type": {message{ID: 1, Tensors: []described{{Name: "y", DType: 99,
			Shape: []int64{1}}}}, `"y": expected elements of a fixed size, got dtype(99) (1,)`},
		"a product that overflows": {message{ID: 1, Tensors: []described{{Name: "y", DType: 1,
			Shape: []int64{1 << 62, 4}}}}, `"y": tensor: shape`},
		"bytes that do not come": {message{ID: 1, Tensors: []described{{Name: "y", DType: 1,
			Shape: []int64{1 << 32}}}}, "expected an answer to a ping, got none for 30s"},
		"a negative length": {message{ID: 1, Tensors: []described{{Name: "y", DType: 7,
			Shape: []int64{1}, Lengths: []int64{-1}}}}, `"y": expected at most`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, to *sender, from *receiver) {
				_ = to.send(hello{Tags: []string{"serve"}})
				var m message
				_, _ = from.receive(&m, newBytes)
				_ = to.send(c.answer)
				drain(from)
			}, func(t *testing.T, m *Model) {
				_, err := halfPlus(t.Context(), m, 1)
				var died *DiedError
				if !errors.As(err, &died) || !strings.HasPrefix(died.Reason, c.reason) {
					t.Errorf("got %#v, want the reason %s", err, c.reason)
				}
			})
		})
	}
}

// inBubble opens a model with a clock of its own, whose worker speaks through to and from; there is
// one worker only.
func inBubble(t *testing.T, speak func(*testing.T, *sender, *receiver),
	use func(*testing.T, *Model)) {
	synctest.Test(t, func(t *testing.T) {
		started := false
		launch := func([]string, io.Writer) (*process, error) {
			if started {
				return nil, errors.New("there is one only")
			}
			started = true
			ours, theirs := net.Pipe()
			go speak(t, newSender(theirs), newReceiver(theirs))
			return &process{connection: ours, kill: theirs.Close,
				wait: func() string { return "SIGKILL" }}, nil
		}
		m, err := Open(t.Context(), Config{Dir: halfPlusTwo, launch: launch})
		if err != nil {
			t.Fatal(err)
		}
		use(t, m)
		m.Close()
	})
}

// drain reads what comes until the connection ends.
func drain(from *receiver) { _, _ = io.Copy(io.Discard, from.from) }

// TestWorkerThatStops has one that opens the model and then does not read, as one that SIGSTOP has
// stopped, while requests wait, of which the first is half written.
func TestWorkerThatStops(t *testing.T) {
	inBubble(t, func(_ *testing.T, to *sender, _ *receiver) {
		_ = to.send(hello{Tags: []string{"serve"}})
	}, func(t *testing.T, m *Model) {
		begin := time.Now()
		failures := make(chan error)
		for range 3 {
			go func() {
				_, err := halfPlus(t.Context(), m, 1)
				failures <- err
			}()
		}
		for range 3 {
			var died *DiedError
			if err := <-failures; !errors.As(err, &died) || died.Reason != errSilent.Error() {
				t.Errorf("got %#v, want the reason %v", err, errSilent)
			}
		}
		if took := time.Since(begin); took != maxSilent*pingEvery {
			t.Errorf("got an error after %v, want one after %v", took, maxSilent*pingEvery)
		}
	})
}

// TestLongRun holds that a worker which runs for an hour is not taken for one that has stopped: it
// answers pings meanwhile.
func TestLongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProcesses{openable: func(int) bool { return true }}
		m, err := Open(t.Context(), Config{Dir: halfPlusTwo, launch: f.launch})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := halfPlus(t.Context(), m, xWait); err != nil {
			t.Error(err)
		}
		if n := m.Restarts(); n != 0 {
			t.Errorf("got %d restarts, want none", n)
		}
		m.Close()
	})
}

// TestArrived holds that memory is taken for what is there, and not for what is announced.
func TestArrived(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 1<<20)
	for _, n := range []int64{0, 1, firstBytes - 1, firstBytes, firstBytes + 1, int64(len(want))} {
		got, err := arrived(bytes.NewReader(want), n)
		if err != nil || !bytes.Equal(got, want[:n]) {
			t.Errorf("%d bytes: got %d others, %v", n, len(got), err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := arrived(bytes.NewReader(want), maxTensor); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want an end in the middle", err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 100<<20 {
		t.Errorf("got %d bytes allocated for %d", got, len(want))
	}
}
