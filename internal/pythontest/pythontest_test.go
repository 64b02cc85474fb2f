package pythontest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestPython(t *testing.T) {
	if out, err := exec.Command(Python(t), "--version").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAbsent runs this test in a process without Python: skipped, and failed where it is required.
func TestAbsent(t *testing.T) {
	if os.Getenv("PYTHONTEST_CHILD") == "1" {
		Python(t)
		t.Fatal("got a Python, want none")
	}
	for _, c := range []struct{ require, want string }{
		{"", "--- SKIP: TestAbsent"},
		{"1", "--- FAIL: TestAbsent"},
	} {
		child := exec.Command(os.Args[0], "-test.run=^TestAbsent$", "-test.v")
		child.Env = append(os.Environ(), "PYTHONTEST_CHILD=1", "KERASRUN_PYTHON=/no/such/python",
			"KERASRUN_REQUIRE_PYTHON="+c.require)
		out, _ := child.CombinedOutput()
		if !strings.Contains(string(out), c.want) ||
			!strings.Contains(string(out), "/no/such/python") {
			t.Errorf("KERASRUN_REQUIRE_PYTHON=%s: got %s, want %s", c.require, out, c.want)
		}
	}
}
