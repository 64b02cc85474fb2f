package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kerasrun/internal/interrupt"
)

// TestSignalWhileWaiting stops commands that wait for more of a pipe that stays open. What is
// written is more than a pipe holds, so that the write ends when the command reads.
func TestSignalWhileWaiting(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	output, pipe := filepath.Join(dir, "out.csv"), filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	const goesOn = "the same command with the same list goes on"
	some := strings.Repeat("testdata/photos/cat.jpg\n", 10000)
	for _, test := range []struct {
		args   []string
		signal syscall.Signal
		status int
		want   string
	}{
		{[]string{"classify", "-"}, syscall.SIGINT, 130, "stopped by a signal: interrupt"},
		{[]string{"classify", "-"}, syscall.SIGTERM, 143, "stopped by a signal: terminated"},
		{[]string{"classify", "-"}, syscall.SIGHUP, 129, "stopped by a signal: hangup"},
		{[]string{"classify", pipe}, syscall.SIGINT, 130, "stopped by a signal"},
		{[]string{"preprocess", "-o", filepath.Join(dir, "x.npy"), "-"}, syscall.SIGINT, 130, ""},
		{[]string{"score", "-o", output, "-"}, syscall.SIGINT, 130, goesOn},
		{[]string{"score", "-o", output, "--files-from", "-"}, syscall.SIGTERM, 143, goesOn},
		{[]string{"score", "-o", output, "--files-from", pipe}, syscall.SIGINT, 130, goesOn},
		{[]string{"score", "-o", output, "-"}, syscall.SIGHUP, 129, goesOn},
	} {
		if signal.Ignored(test.signal) {
			continue // the test itself runs under nohup
		}
		cmd := exec.Command(os.Args[0], test.args...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		var named io.WriteCloser
		if test.args[len(test.args)-1] == pipe {
			// as long as the reader does not open it, this waits
			if named, err = os.OpenFile(pipe, os.O_WRONLY, 0); err != nil {
				t.Fatal(err)
			}
			_, err = io.WriteString(named, some)
		} else {
			_, err = io.WriteString(in, some)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(test.signal); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		timer.Stop()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != test.status ||
			!strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q: got %v, %q, want exit status %d and %q", test.args, err, stderr.String(),
				test.status, test.want)
		}
		if named != nil {
			named.Close()
		}
	}
}

// A pipe that nobody has opened for writing keeps no command waiting.
func TestOpenFileStops(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := &interrupt.Signaled{Signal: syscall.SIGINT}
	cancel(cause)
	if _, err := openFile(ctx, pipe); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	// lets go of the goroutine
	writer, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	writer.Close()
}
