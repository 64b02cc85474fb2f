package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestOneDNN holds the answers with TensorFlow's oneDNN and without. On its own TensorFlow has it
// on some CPUs and not on others, and it cannot run without it what it fuses with it.
func TestOneDNN(t *testing.T) {
	inRepository(t)
	verify := func(onednn string, args ...string) (string, error) {
		args = append([]string{"verify", "--model", "models/resnext50"}, args...)
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "TF_ENABLE_ONEDNN_OPTS="+onednn)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, onednn := range []string{"1", "0"} {
		if out, err := verify(onednn); err != nil {
			t.Errorf("TF_ENABLE_ONEDNN_OPTS=%s: %v\n%s", onednn, err, out)
		}
	}
	out, err := verify("0", "--precision", "bf16")
	const want = "precision bf16: needs oneDNN, which TF_ENABLE_ONEDNN_OPTS=0 leaves off"
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("bfloat16 without oneDNN: %v\n%s", err, out)
	}
}
