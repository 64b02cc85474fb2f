package crash

import "testing"

func TestLines(t *testing.T) {
	for _, c := range []struct {
		line, signal string
		reason       bool
	}{
		{"F0000 00:00:1764498000.1 7 tensor.cc:1] Check failed: 1 == 2 ", "", true},
		{"terminate called after throwing an instance of 'std::bad_alloc'", "", true},
		{"panic: the fake panics", "", true},
		{"fatal error: unexpected signal during runtime execution", "", true},
		{"SIGABRT: abort", "SIGABRT", false},
		{"[signal SIGSEGV: segmentation violation code=0x1]", "SIGSEGV", false},
		{"2026-11-30 10:00:00.1: F external/xla/tensor.cc:1] as it was in 2.15", "", false},
		{"goroutine 1 [running]: panic: no", "", false},
		{"", "", false},
	} {
		if got := Signal(c.line); got != c.signal {
			t.Errorf("%q: got the signal %q, want %q", c.line, got, c.signal)
		}
		if got := IsReason(c.line); got != c.reason {
			t.Errorf("%q: got %v, want %v", c.line, got, c.reason)
		}
	}
}
