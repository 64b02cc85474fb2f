// Package interrupt stops a program by a signal: an interrupt (^C), SIGTERM, or the SIGHUP of a
// terminal that was closed.
package interrupt

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// Signaled is why a context ended.
type Signaled struct{ Signal syscall.Signal }

func (e *Signaled) Error() string { return "stopped by a signal: " + e.Signal.String() }

// Signals are those that ask this program to stop. A program under nohup goes on ignoring SIGHUP.
func Signals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// Context returns a context that the first signal ends, with a *Signaled for its cause. The second
// ends the program at once, as if it were not caught; it is not lost however soon it follows.
func Context() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, Signals()...)
	go func() {
		cancel(&Signaled{(<-signals).(syscall.Signal)})
		second := nextUrging(signals)
		signal.Reset(second)
		self, err := os.FindProcess(os.Getpid())
		if err != nil || self.Signal(second) != nil {
			os.Exit(1)
		}
	}()
	return ctx
}

// nextUrging passes over SIGHUP: the kernel and a shell each send one when a terminal is closed,
// and systemd one after SIGTERM. Nobody hurries the program by that.
func nextUrging(signals <-chan os.Signal) syscall.Signal {
	for {
		if s := (<-signals).(syscall.Signal); s != syscall.SIGHUP {
			return s
		}
	}
}

// Status is a shell's for a program that a signal ended, where one made it fail: 129 for SIGHUP,
// 130 for an interrupt, 143 for SIGTERM. A program that stops as it should, as a server does, has
// 0.
func Status(ctx context.Context, status int) int {
	var signaled *Signaled
	if status == 1 && errors.As(context.Cause(ctx), &signaled) {
		return 128 + int(signaled.Signal)
	}
	return status
}
