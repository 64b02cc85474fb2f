//go:build cuda

package runner

import (
	"strings"
	"testing"
)

// TestCUDALibraries holds that TensorFlow finds every library of CUDA's that it looks for on a machine with a GPU: it looks for them once
// there is a driver, and where a library is missing it goes without the GPU.
func TestCUDALibraries(t *testing.T) {
	if !HasCUDA() {
		t.Fatal("the TensorFlow library is built without CUDA: want one of TENSORFLOW=gpu make setup")
	}
	// TensorFlow ends the process when the driver does not have the rest of its functions. Its log has been written by then.
	_, log, _ := child(fakeDriver(t), quietChild+"=1", "TF_CPP_MIN_LOG_LEVEL=0", "TF_CPP_MAX_VLOG_LEVEL=1")
	for _, name := range libraries {
		if !strings.Contains(log, "Successfully opened dynamic library "+name+".so") {
			t.Errorf("TensorFlow did not find %s", name)
		}
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, "Could not load dynamic library") || strings.Contains(line, "Cannot dlopen") {
			t.Error(line)
		}
	}
}
