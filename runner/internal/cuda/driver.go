package cuda

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>

// Of NVIDIA's driver, whose header is not needed for this.
static void* symbol(const char* name) {
  void* cuda = dlopen("libcuda.so.1", RTLD_LAZY);
  return cuda ? dlsym(cuda, name) : NULL;
}

// Counts the GPUs. -1: there is no driver; else the driver's error, 0 where it has none.
static int count_gpus(int* count) {
  int (*init)(unsigned) = (int (*)(unsigned))symbol("cuInit");
  int (*get_count)(int*) = (int (*)(int*))symbol("cuDeviceGetCount");
  if (!init || !get_count) return -1;
  int error = init(0);
  return error ? error : get_count(count);
}

static const char* error_text(int error) {
  int (*get)(int, const char**) = (int (*)(int, const char**))symbol("cuGetErrorString");
  const char* text = NULL;
  return get && get(error, &text) == 0 && text ? text : "unknown error";
}

// The driver's error, 0 where it has none. 75 and 76 are the attributes of the compute capability.
static int describe_gpu(int ordinal, char* name, int length, int* major, int* minor) {
  int (*get)(int*, int) = (int (*)(int*, int))symbol("cuDeviceGet");
  int (*get_name)(char*, int, int) = (int (*)(char*, int, int))symbol("cuDeviceGetName");
  int (*get_attribute)(int*, int, int) = (int (*)(int*, int, int))symbol("cuDeviceGetAttribute");
  int device;
  if (!get || !get_name || !get_attribute) return -1;
  int error = get(&device, ordinal);
  if (!error) error = get_name(name, length, device);
  if (!error) error = get_attribute(major, 75, device);
  return error ? error : get_attribute(minor, 76, device);
}
*/
import "C"

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// GPU is a GPU as the driver describes it.
type GPU struct {
	Model        string // as "NVIDIA H100 80GB HBM3"
	Major, Minor int    // of the compute capability
}

// Compute returns the compute capability, as "9.0".
func (g GPU) Compute() string { return fmt.Sprintf("%d.%d", g.Major, g.Minor) }

// GPUs asks NVIDIA's driver for the process's GPUs. Where there are none, reason says why.
func GPUs() (gpus []GPU, reason string) {
	var count C.int
	switch err := C.count_gpus(&count); {
	case err == -1:
		return nil, "there is no NVIDIA driver: libcuda.so.1 is not found"
	case err != 0:
		return nil, fmt.Sprintf("the NVIDIA driver returns CUDA error %d, %s%s", err,
			C.GoString(C.error_text(err)), visible())
	case count == 0:
		return nil, "the NVIDIA driver has no GPU" + visible()
	}
	for i := range count {
		var name [256]C.char
		var major, minor C.int
		if err := C.describe_gpu(i, &name[0], C.int(len(name)), &major, &minor); err != 0 {
			return nil, fmt.Sprintf("the NVIDIA driver returns CUDA error %d for GPU %d", err, i)
		}
		gpus = append(gpus, GPU{C.GoString(&name[0]), int(major), int(minor)})
	}
	return gpus, ""
}

func visible() string {
	if v, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		return fmt.Sprintf(" (CUDA_VISIBLE_DEVICES is %q)", v)
	}
	return ""
}

// Libraries are what TensorFlow loads of CUDA when it looks for GPUs. Where one of them is missing
// it uses no GPU.
var Libraries = []string{"libcudart", "libcublas", "libcublasLt", "libcufft", "libcusolver",
	"libcusparse", "libcudnn"}

// management is the driver's other library, which TensorFlow loads before the others.
const management = "libnvidia-ml"

// MissingLibraries returns those of the libraries that the process has not loaded. It returns none
// where the system does not say what is loaded.
func MissingLibraries() []string { return missingLibraries(loadedFiles()) }

func missingLibraries(loaded string) []string {
	if loaded == "" {
		return nil
	}
	if !strings.Contains(loaded, "/"+management+".so") {
		return []string{management}
	}
	return slices.DeleteFunc(slices.Clone(Libraries),
		func(name string) bool { return strings.Contains(loaded, "/"+name+".so") })
}

// loadedFiles is the process's map of memory, which names the files it has loaded. It is "" where
// the system does not say.
func loadedFiles() string {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return ""
	}
	return string(text)
}
