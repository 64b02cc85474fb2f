//go:build cuda

package runner

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/runner/internal/cuda"
)

// TestCUDALibraries holds that TensorFlow finds every library of CUDA's that it looks for on a
// machine with a GPU: it looks for them once there is a driver, and where a library is missing it
// goes without the GPU.
func TestCUDALibraries(t *testing.T) {
	if !HasCUDA() {
		t.Fatal("expected a TensorFlow with CUDA: TENSORFLOW=gpu make setup")
	}
	driver := t.TempDir() // of no GPU, under the names that NVIDIA's have
	for _, name := range []string{"libcuda.so.1", "libnvidia-ml.so.1"} {
		out, err := exec.Command("cc", "-shared", "-fPIC", "-o", filepath.Join(driver, name),
			"internal/cuda/testdata/fakecuda.c").CombinedOutput()
		if err != nil {
			t.Fatalf("cc: %v\n%s", err, out)
		}
	}
	var stderr bytes.Buffer
	child := exec.Command(os.Args[0])
	child.Env = append(slices.DeleteFunc(os.Environ(),
		func(v string) bool { return strings.HasPrefix(v, "CUDA_VISIBLE_DEVICES=") }),
		devicesChild+"=1", "TF_CPP_MIN_LOG_LEVEL=0", "TF_CPP_MAX_VLOG_LEVEL=1",
		"LD_LIBRARY_PATH="+driver)
	child.Stderr = &stderr
	// TensorFlow ends the process when the driver does not have the rest of its functions. Its log
	// has been written by then.
	_ = child.Run()
	log := stderr.String()
	for _, name := range cuda.Libraries {
		if !strings.Contains(log, "Successfully opened dynamic library "+name+".so") {
			t.Errorf("TensorFlow did not find %s", name)
		}
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, "Could not load dynamic library") ||
			strings.Contains(line, "Cannot dlopen") {
			t.Error(line)
		}
	}
}
