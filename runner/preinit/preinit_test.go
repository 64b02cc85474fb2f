package preinit_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kerasrun/runner"
	"kerasrun/runner/internal/session"
	_ "kerasrun/runner/preinit"
)

// quietChild names the environment variable that makes of the test's executable a program that
// lists the devices and ends.
const quietChild = "PREINIT_TEST_LIST_DEVICES"

// oneDNNChild names the one that makes of it a program that says whether TensorFlow uses oneDNN,
// and what PATH is.
const oneDNNChild = "PREINIT_TEST_ONEDNN"

// closedChild names the one that makes of it a program that reads and writes, and says on standard
// error what came of it.
const closedChild = "PREINIT_TEST_CLOSED"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(quietChild) != "":
		fmt.Println(runner.Devices())
		os.Exit(0)
	case os.Getenv(oneDNNChild) != "":
		fmt.Println(session.UsesOneDNN(), os.Getenv("PATH"))
		os.Exit(0)
	case os.Getenv(closedChild) != "":
		_, read := io.ReadAll(os.Stdin)
		_, written := fmt.Println("text")
		fmt.Fprintln(os.Stderr, read != nil, written != nil)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestOneDNNUnasked holds that TensorFlow uses oneDNN on every CPU unless the user does not want it
// to, and that the environment is as it was.
func TestOneDNNUnasked(t *testing.T) {
	for _, c := range []struct {
		environment []string
		want        string
	}{
		{[]string{"PATH=/a:/b", "LAST=1"}, "true /a:/b"},
		{[]string{"FIRST=1", "PATH="}, "true "},
		{nil, "true "},
		{[]string{"PATH=/a:/b", "TF_ENABLE_ONEDNN_OPTS=0"}, "false /a:/b"},
	} {
		child := exec.Command(os.Args[0])
		child.Env = append(c.environment, oneDNNChild+"=1")
		out, err := child.Output()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.environment, got, err, c.want)
		}
	}
}

// TestStandardError holds that TensorFlow writes nothing to standard error at its start unless the
// user wants it to.
func TestStandardError(t *testing.T) {
	for level, want := range map[string]struct{ banner, session bool }{
		"":  {false, false},
		"0": {true, true},
		"1": {false, false},
		"2": {false, false},
	} {
		var stdout, stderr bytes.Buffer
		child := exec.Command(os.Args[0])
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, "TF_CPP_MIN_LOG_LEVEL=") {
				child.Env = append(child.Env, v)
			}
		}
		child.Env = append(child.Env, quietChild+"=1")
		if level != "" {
			child.Env = append(child.Env, "TF_CPP_MIN_LOG_LEVEL="+level)
		}
		child.Stdout, child.Stderr = &stdout, &stderr
		if err := child.Run(); err != nil {
			t.Fatalf("level %q: %v\n%s", level, err, &stderr)
		}
		if !strings.Contains(stdout.String(), "cpu") {
			t.Errorf("level %q: devices: %s", level, &stdout)
		}
		text := stderr.String()
		if strings.Contains(text, "oneDNN custom operations") != want.banner ||
			strings.Contains(text, "cpu_feature_guard") != want.session ||
			!want.banner && text != "" {
			t.Errorf("level %q: standard error is %q", level, text)
		}
	}
}

// TestClosed holds that what is written to a closed standard output is not lost in silence, with
// PATH and without it.
func TestClosed(t *testing.T) {
	for _, c := range []struct{ redirection, want string }{
		{"", "false false"}, {"<&-", "true false"}, {">&-", "false true"}, {"<&- >&-", "true true"},
		{">/dev/null", "false false"},
	} {
		for _, path := range []string{"PATH=/a", "NOPATH=1"} {
			child := exec.Command("/bin/sh", "-c", `exec "$0" `+c.redirection, os.Args[0])
			child.Env = []string{path, closedChild + "=1"}
			var stderr bytes.Buffer
			child.Stderr = &stderr
			err := child.Run()
			if got := strings.TrimSpace(stderr.String()); err != nil || got != c.want {
				t.Errorf("%s, %q: got %q, %v, want the errors %s", path, c.redirection, got, err, c.want)
			}
		}
	}
}
