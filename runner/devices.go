package runner

/*
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include "tensorflow/c/c_api.h"

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
	"slices"
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
	Model       string `json:"model"`        // of a GPU, as its driver has it: "NVIDIA H100 80GB HBM3"; "" for the CPU
	Compute     string `json:"compute"`      // a GPU's compute capability: "9.0"; "" for the CPU
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
	// Where there can be no GPU TensorFlow is not asked for one: it would write errors to standard error.
	gpus, fault := driverGPUs()
	config, err := sessionConfig(c, HasCUDA() && fault == "", false, false)
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
	// TensorFlow counts as the driver does, unless it leaves one out.
	if len(devices) == 1+len(gpus) {
		for i, gpu := range gpus {
			devices[1+i].Model, devices[1+i].Compute = gpu.model, gpu.compute()
		}
	}
	return devices, nil
}

// NoGPU says why TensorFlow sees no GPU, as far as can be told: "" where it sees one.
func NoGPU() string {
	if !HasCUDA() {
		return "the TensorFlow library is built for the CPU only, without CUDA"
	}
	if _, fault := driverGPUs(); fault != "" {
		return fault
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
	reason := "the NVIDIA driver has a GPU, but TensorFlow "
	if missing := missingLibraries(loadedFiles()); len(missing) > 0 {
		return reason + "did not find " + strings.Join(missing, ", ")
	}
	return reason + "does not use it: with TF_CPP_MIN_LOG_LEVEL=0 it says why"
}

// HasCUDA says whether the TensorFlow library is built for GPUs: whether it can multiply matrices on one.
func HasCUDA() bool {
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

// chooseGPUs returns the GPUs to run on, none for the CPU. It makes the process's choices that hold for all models, and says where
// they, the precision or the devices cannot be had.
func (c config) chooseGPUs() ([]Device, error) {
	if err := claimThreads(c); err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	var gpus []Device
	if c.devices[0] != "cpu" && (c.devices[0] != "auto" || HasCUDA()) {
		devices, err := c.listDevices()
		if err != nil {
			return nil, err
		}
		if gpus, err = findGPUs(c.devices, devices, NoGPU); err != nil {
			return nil, fmt.Errorf("runner: %w", err)
		}
	}
	if err := checkPrecision(c.precision, gpus); err != nil {
		return nil, fmt.Errorf("runner: precision %s: %w", c.precision, err)
	}
	if len(gpus) > 0 {
		if err := claimTF32(c.precision == TF32); err != nil {
			return nil, fmt.Errorf("runner: %w", err)
		}
	}
	return gpus, nil
}

// leastCompute is the compute capability from which on GPUs have a precision. Below it TensorFlow would go on in float32, silently.
var leastCompute = map[Precision]float64{FP16: 7.0, TF32: 8.0}

// checkPrecision returns an error where one of the GPUs, or the CPU where there are none, does not have the precision.
func checkPrecision(p Precision, gpus []Device) error {
	if len(gpus) == 0 && leastCompute[p] > 0 {
		return fmt.Errorf("needs a GPU; on the CPU want bf16 or fp32")
	}
	if len(gpus) > 0 && p == BF16 {
		return fmt.Errorf("on a GPU want fp16, tf32 or fp32")
	}
	if p == BF16 && !usesOneDNN() {
		return fmt.Errorf("needs oneDNN, which TF_ENABLE_ONEDNN_OPTS=%s leaves off", os.Getenv("TF_ENABLE_ONEDNN_OPTS"))
	}
	for _, d := range gpus {
		// Nothing is known of a GPU whose capability does not parse.
		if has, err := strconv.ParseFloat(d.Compute, 64); err == nil && has < leastCompute[p] {
			return fmt.Errorf("%s is %s with compute capability %s: want %.1f or later", d.Name, d.Model, d.Compute, leastCompute[p])
		}
	}
	return nil
}

// findGPUs looks up the devices that were named among those that there are.
func findGPUs(named []string, there []Device, reason func() string) ([]Device, error) {
	var gpus []Device
	var names []string
	for _, d := range there {
		names = append(names, d.Name)
	}
	for _, name := range named {
		i := slices.IndexFunc(there, func(d Device) bool { return d.Type == "GPU" && (name == d.Name || name == "auto" && d.Name == "gpu:0") })
		switch {
		case i >= 0:
			gpus = append(gpus, there[i])
		case name != "auto":
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
