package session

/*
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include "tensorflow/c/c_api.h"

// tensorflow::IsMKLEnabled. Libraries without it never leave oneDNN off.
static bool uses_onednn(void) {
  bool (*enabled)(void) = (bool (*)(void))dlsym(RTLD_DEFAULT, "_ZN10tensorflow12IsMKLEnabledEv");
  return !enabled || enabled();
}

// tsl::enable_tensor_float_32_execution, which TensorFlow's Python calls. False where the library
// has none.
static bool set_tf32(bool on) {
  void (*set)(bool) =
      (void (*)(bool))dlsym(RTLD_DEFAULT, "_ZN3tsl32enable_tensor_float_32_executionEb");
  if (set) set(on);
  return set;
}
*/
import "C"

import (
	"unsafe"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	graphpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	kernelpb "github.com/galeone/tensorflow/tensorflow/go/core/framework/kernel_def_go_proto"
	"google.golang.org/protobuf/proto"
)

// Version returns the version of the TensorFlow library, as "2.21.0".
func Version() string { return tf.Version() }

// UsesOneDNN says whether TensorFlow computes with oneDNN on the CPU, as it has decided at its
// start.
func UsesOneDNN() bool { return bool(C.uses_onednn()) }

// SetTF32 turns TensorFloat-32 on or off for the whole process. It returns false where the library
// cannot.
func SetTF32(on bool) bool { return bool(C.set_tf32(C.bool(on))) }

// HasCUDA says whether the TensorFlow library is built for GPUs: whether it can multiply matrices
// on one.
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
	if err := proto.Unmarshal(bytesOf(list), &kernels); err != nil {
		return false
	}
	for _, k := range kernels.Kernel {
		if k.DeviceType == "GPU" {
			return true
		}
	}
	return false
}

// Device is a device of a session.
type Device struct {
	Name        string // as "/job:localhost/replica:0/task:0/device:GPU:0"
	Type        string // as "GPU"
	MemoryBytes int64  // that TensorFlow takes at most
}

// Devices lists the devices of a session with a ConfigProto.
func Devices(config []byte) ([]Device, error) {
	s, err := New(&graphpb.GraphDef{}, config)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	list, err := s.session.ListDevices()
	if err != nil {
		return nil, tensorFlowError(err.Error())
	}
	var devices []Device
	for _, d := range list {
		devices = append(devices, Device{d.Name, d.Type, d.MemoryLimitBytes})
	}
	return devices, nil
}
