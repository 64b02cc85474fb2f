package runner

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLimitedCPUs(t *testing.T) {
	for _, c := range []struct {
		affinity int
		limit    float64
		want     int
	}{
		{8, math.Inf(1), 8},
		{8, 8, 8},
		{8, 64, 8},
		{8, 2.5, 3}, // part of a CPU is worth a thread
		{8, 0.1, 1},
		{1, 0.5, 1},
	} {
		if got := limitedCPUs(c.affinity, c.limit); got != c.want {
			t.Errorf("affinity %d, limit %v: %d CPUs, want %d", c.affinity, c.limit, got, c.want)
		}
	}
	if n := cpus(); n < 1 || n > runtime.NumCPU() {
		t.Errorf("%d CPUs here", n)
	}
}

// cpusChild names the environment variable that makes of the test's executable a program that
// prints how many CPUs it may use and ends.
const cpusChild = "RUNNER_TEST_COUNT_CPUS"

// TestAffinity has a process with one CPU, as a control group's cpuset or taskset leaves it.
func TestAffinity(t *testing.T) {
	type result struct {
		out string
		err error
	}
	done := make(chan result)
	go func() {
		// a child has its thread's CPUs; the thread ends with this function, locked as it is
		runtime.LockOSThread()
		var before, one unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			done <- result{err: err}
			return
		}
		for cpu := range 1024 {
			if before.IsSet(cpu) {
				one.Set(cpu)
				break
			}
		}
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			done <- result{err: err}
			return
		}
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), cpusChild+"=1")
		out, err := child.Output()
		done <- result{string(out), err}
	}()
	if r := <-done; r.err != nil || strings.TrimSpace(r.out) != "1" {
		t.Errorf("got %q CPUs, %v, want 1", r.out, r.err)
	}
}
