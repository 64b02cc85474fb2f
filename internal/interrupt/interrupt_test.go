//go:build unix

package interrupt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"
)

const child = "INTERRUPT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		ctx := Context()
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println(context.Cause(ctx))
		_, _ = io.Copy(io.Discard, os.Stdin) // what a program does until it has stopped
		os.Exit(Status(ctx, 1))
	}
	os.Exit(m.Run())
}

// TestContext sends signals to a program of its own. A later one is sent when the program has said
// why it stops.
func TestContext(t *testing.T) {
	const hup, intr, term = syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM
	type signals = []syscall.Signal
	for name, test := range map[string]struct {
		nohup       bool
		first, then signals
		cause       string
		status      int // -1: by the last signal
	}{
		"an interrupt":       {false, signals{intr}, nil, "interrupt", 130},
		"SIGTERM":            {false, signals{term}, nil, "terminated", 143},
		"a closed terminal":  {false, signals{hup}, nil, "hangup", 129},
		"a closed shell":     {false, signals{hup}, signals{hup, hup}, "hangup", 129},
		"systemd's second":   {false, signals{term}, signals{hup}, "terminated", 143},
		"under nohup":        {true, signals{hup, term}, nil, "terminated", 143},
		"two interrupts":     {false, signals{intr}, signals{intr}, "interrupt", -1},
		"closed, and killed": {false, signals{hup}, signals{hup, term}, "hangup", -1},
	} {
		t.Run(name, func(t *testing.T) {
			if signal.Ignored(hup) && slices.Contains(test.first, hup) && !test.nohup {
				t.Skip("the test itself runs under nohup")
			}
			program := []string{os.Args[0]}
			if test.nohup {
				program = append([]string{"nohup"}, program...)
			}
			cmd := exec.Command(program[0], program[1:]...)
			cmd.Env = append(os.Environ(), child+"=1")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
			defer timer.Stop()
			lines := bufio.NewScanner(stdout)
			expect := func(want string) {
				t.Helper()
				if !lines.Scan() || lines.Text() != want {
					t.Errorf("got %q, want %q", lines.Text(), want)
				}
			}
			send := func(some signals) {
				t.Helper()
				for _, s := range some {
					if err := cmd.Process.Signal(s); err != nil {
						t.Error(err)
					}
				}
			}
			expect("ready")
			send(test.first)
			expect("stopped by a signal: " + test.cause)
			send(test.then)
			if test.status >= 0 {
				stdin.Close()
			}
			err = cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != test.status {
				t.Fatalf("got %v, want exit status %d", err, test.status)
			}
			if got := exit.Sys().(syscall.WaitStatus); test.status < 0 &&
				got.Signal() != test.then[len(test.then)-1] {
				t.Errorf("got %v, want the end by %v", err, test.then[len(test.then)-1])
			}
		})
	}
}

// A program that has not failed keeps its status.
func TestStatus(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&Signaled{syscall.SIGINT})
	for status, want := range map[int]int{0: 0, 1: 130, 2: 2, 3: 3} {
		if got := Status(ctx, status); got != want {
			t.Errorf("status %d: got %d, want %d", status, got, want)
		}
	}
	if got := Status(t.Context(), 1); got != 1 {
		t.Errorf("without a signal: got %d, want 1", got)
	}
}
