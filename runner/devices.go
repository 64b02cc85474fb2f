package runner

/*
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include "tensorflow/c/c_api.h"

// Whether there is a driver (0 no libcuda.so.1, 1 it fails, with its error in *error, 2 it counts *count GPUs).
static int driver(int* error, int* count) {
	void* cuda = dlopen("libcuda.so.1", RTLD_LAZY);
	if (!cuda) return 0;
	int (*init)(unsigned) = (int (*)(unsigned))dlsym(cuda, "cuInit");
	int (*get_count)(int*) = (int (*)(int*))dlsym(cuda, "cuDeviceGetCount");
	if (!init || !get_count) return 0;
	*error = init(0);
	if (*error == 0) *error = get_count(count);
	return *error == 0 ? 2 : 1;
}

// TensorFlow has no function of C for TensorFloat-32; this is what its Python calls. False where the library has none.
static bool set_tf32(bool on) {
	void (*set)(bool) = (void (*)(bool))dlsym(RTLD_DEFAULT, "_ZN3tsl32enable_tensor_float_32_executionEb");
	if (set) set(on);
	return set;
}
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	kernelpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/kernel_def_go_proto"
	"google.golang.org/protobuf/proto"
)

// Version returns the version of the TensorFlow library, as "2.21.0".
func Version() string { return tf.Version() }

// Device is a device that TensorFlow can run a model on.
type Device struct {
	Name        string `json:"name"`         // as WithDevice takes it: "cpu", "gpu:0"
	Type        string `json:"type"`         // as TensorFlow has it: "CPU", "GPU"
	MemoryBytes int64  `json:"memory_bytes"` // the most that TensorFlow takes of a GPU's; 0 for the CPU, where it sets itself no limit
}

// Devices lists the devices that TensorFlow sees, the CPU first. Where there is no GPU among them, NoGPU says why.
func Devices() ([]Device, error) {
	c, err := newConfig(nil)
	if err != nil {
		return nil, err
	}
	return c.listDevices()
}

func (c config) listDevices() ([]Device, error) {
	if err := claimThreads(c); err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	config, err := sessionConfig(c, true, false)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	s, err := tf.NewSession(tf.NewGraph(), &tf.SessionOptions{Config: config})
	if err != nil {
		return nil, fmt.Errorf("runner: TensorFlow: %s", oneLine(err.Error()))
	}
	defer s.Close()
	list, err := s.ListDevices()
	if err != nil {
		return nil, fmt.Errorf("runner: TensorFlow: %s", oneLine(err.Error()))
	}
	var devices []Device
	for _, d := range list {
		switch number := d.Name[strings.LastIndexByte(d.Name, ':')+1:]; d.Type {
		case "CPU":
			devices = append(devices, Device{Name: "cpu", Type: d.Type})
		case "GPU":
			devices = append(devices, Device{Name: "gpu:" + number, Type: d.Type, MemoryBytes: d.MemoryLimitBytes})
		}
	}
	return devices, nil
}

// NoGPU says why TensorFlow sees no GPU, as far as can be told: "" where nothing stands against it.
func NoGPU() string {
	if !hasGPUKernels() {
		return "the TensorFlow library is built for the CPU only, without CUDA"
	}
	var fault, count C.int
	switch C.driver(&fault, &count) {
	case 0:
		return "there is no NVIDIA driver: libcuda.so.1 is not found"
	case 1:
		return fmt.Sprintf("the NVIDIA driver answers with CUDA error %d%s", fault, visible())
	}
	if count == 0 {
		return "the NVIDIA driver has no GPU" + visible()
	}
	devices, err := Devices()
	if err != nil {
		return err.Error()
	}
	for _, d := range devices {
		if d.Type == "GPU" {
			return ""
		}
	}
	return "the NVIDIA driver has a GPU, but TensorFlow cannot use it: with TF_CPP_MIN_LOG_LEVEL=0 it says why, most often a CUDA library not found"
}

func visible() string {
	if v, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		return fmt.Sprintf(" (CUDA_VISIBLE_DEVICES is %q)", v)
	}
	return ""
}

// hasGPUKernels says whether the library is built for GPUs: whether it can multiply matrices on one.
func hasGPUKernels() bool {
	name, status := C.CString("MatMul"), C.TF_NewStatus()
	defer C.free(unsafe.Pointer(name))
	defer C.TF_DeleteStatus(status)
	list := C.TF_GetRegisteredKernelsForOp(name, status)
	if list == nil {
		return false
	}
	defer C.TF_DeleteBuffer(list)
	var kernels kernelpb.KernelList
	if err := proto.Unmarshal(C.GoBytes(list.data, C.int(list.length)), &kernels); err != nil {
		return false
	}
	for _, k := range kernels.Kernel {
		if k.DeviceType == "GPU" {
			return true
		}
	}
	return false
}

// chooseGPUs returns the numbers of the GPUs to run on, none for the CPU. It makes the process's choices that hold for all models, and
// says where they, the precision or the devices cannot be had.
func (c config) chooseGPUs() ([]int, error) {
	if err := claimThreads(c); err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	var gpus []int
	if c.devices[0] != "cpu" && (c.devices[0] != "auto" || hasGPUKernels()) {
		devices, err := c.listDevices()
		if err != nil {
			return nil, err
		}
		if gpus, err = findGPUs(c.devices, devices, NoGPU); err != nil {
			return nil, fmt.Errorf("runner: %w", err)
		}
	}
	if len(gpus) > 0 && c.precision == BF16 {
		return nil, fmt.Errorf("runner: precision bf16: on a GPU want fp16, tf32 or fp32")
	}
	if len(gpus) == 0 && (c.precision == FP16 || c.precision == TF32) {
		return nil, fmt.Errorf("runner: precision %s: needs a GPU; on the CPU want bf16 or fp32", c.precision)
	}
	if len(gpus) > 0 {
		if err := claimTF32(c.precision == TF32); err != nil {
			return nil, fmt.Errorf("runner: %w", err)
		}
	}
	return gpus, nil
}

// findGPUs looks up the devices that were named among those that there are.
func findGPUs(named []string, there []Device, reason func() string) ([]int, error) {
	var gpus []int
	var names []string
	for _, d := range there {
		names = append(names, d.Name)
	}
	for _, name := range named {
		found := false
		for _, d := range there {
			if d.Type == "GPU" && (name == "auto" && d.Name == "gpu:0" || name == d.Name) {
				n, err := strconv.Atoi(strings.TrimPrefix(d.Name, "gpu:"))
				if err != nil {
					return nil, fmt.Errorf("device %s: %w", d.Name, err)
				}
				gpus, found = append(gpus, n), true
			}
		}
		if !found && name != "auto" {
			text := fmt.Sprintf("device %s: want one of %s", name, strings.Join(names, ", "))
			if why := reason(); why != "" {
				text += fmt.Sprintf(": TensorFlow %s sees no GPU: %s", Version(), why)
			}
			return nil, fmt.Errorf("%s", text)
		}
	}
	return gpus, nil
}

// claimTF32 turns TensorFloat-32 on or off. It is TensorFlow's for the whole process, so that all models have to agree.
func claimTF32(on bool) error {
	process.Lock()
	defer process.Unlock()
	if process.tf32 == nil {
		if !C.set_tf32(C.bool(on)) {
			return fmt.Errorf("precision: this TensorFlow library cannot turn TensorFloat-32 on or off")
		}
		process.tf32 = &on
	}
	if *process.tf32 != on {
		return fmt.Errorf("precision: fp32 and tf32 hold for the whole process, and an earlier model chose the other")
	}
	return nil
}
