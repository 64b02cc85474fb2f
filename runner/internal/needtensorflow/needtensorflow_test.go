package needtensorflow

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMessages builds the runner without cgo and without TensorFlow's headers.
func TestMessages(t *testing.T) {
	if _, err := os.Stat("/usr/include/tensorflow/c/c_api.h"); err == nil {
		t.Skip("TensorFlow's headers are where every compiler looks")
	}
	for _, test := range []struct {
		name, environment, want string
		lines                   int // of the whole output; 0: the binding has something to say too
	}{
		{"no cgo", "CGO_ENABLED=0",
			"cgo is off, and TensorFlow is called through it: install gcc, set CGO_ENABLED=1", 1},
		{"no headers", "CGO_ENABLED=1", "error: #error \"TensorFlow's C library is missing: " +
			"make setup, or go run ./cmd/libtensorflow --out DIR\"", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			build := exec.Command("go", "build", "-o", os.DevNull, "kerasrun/runner")
			build.Env = append(os.Environ(), "CGO_CFLAGS=", "CGO_LDFLAGS=", "CPATH=", "C_INCLUDE_PATH=",
				test.environment)
			out, err := build.CombinedOutput()
			said := strings.TrimSpace(string(out))
			if err == nil || !strings.Contains(said, test.want) {
				t.Errorf("got %v, %s, want an error with %s", err, said, test.want)
			}
			if lines := 1 + strings.Count(said, "\n"); test.lines != 0 && lines != test.lines {
				t.Errorf("got %d lines, want %d: %s", lines, test.lines, said)
			}
			if strings.Count(said, "# kerasrun/") > 1 {
				t.Errorf("got errors in several packages of ours, want one: %s", said)
			}
		})
	}
}
