package runner

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"kerasrun/runner/internal/cuda"
	"kerasrun/runner/internal/session"
)

// Version returns the version of the TensorFlow library, as "2.21.0".
func Version() string { return session.Version() }

// Device is a device that TensorFlow can run a model on.
type Device struct {
	// Name is as WithDevice takes it: "cpu", "gpu:0".
	Name string `json:"name"`
	// Type is as TensorFlow has it: "CPU", "GPU".
	Type string `json:"type"`
	// MemoryBytes is the most that TensorFlow takes of a GPU's memory; 0 for the CPU: no limit.
	MemoryBytes int64 `json:"memory_bytes"`
	// Model is a GPU's, as its driver has it: "NVIDIA H100 80GB HBM3"; "" for the CPU.
	Model string `json:"model"`
	// Compute is a GPU's compute capability: "9.0"; "" for the CPU.
	Compute string `json:"compute"`
}

// Devices lists the devices that TensorFlow sees, the CPU first. Where there is no GPU among them,
// GPUUnavailableReason says why.
func Devices() ([]Device, error) {
	c, err := newConfig(nil)
	if err != nil {
		return nil, err
	}
	return c.listDevices()
}

func (c config) listDevices() ([]Device, error) {
	if err := claimThreads(c); err != nil {
		return nil, err
	}
	// Where there can be no GPU TensorFlow is not asked for one: it would write errors to standard
	// error.
	gpus, reason := cuda.GPUs()
	t := target{gpu: HasCUDA() && reason == "", oneDNN: session.UsesOneDNN()}
	config, err := optimizingConfig(c, t)
	if err != nil {
		return nil, err
	}
	list, err := session.Devices(config)
	if err != nil {
		return nil, err
	}
	var devices []Device
	for _, d := range list {
		switch number := d.Name[strings.LastIndexByte(d.Name, ':')+1:]; d.Type {
		case "CPU":
			devices = append(devices, Device{Name: "cpu", Type: d.Type})
		case "GPU":
			gpu := Device{Name: "gpu:" + number, Type: d.Type, MemoryBytes: d.MemoryBytes}
			devices = append(devices, gpu)
		}
	}
	// TensorFlow counts as the driver does, unless it leaves one out.
	if len(devices) == 1+len(gpus) {
		for i, gpu := range gpus {
			devices[1+i].Model, devices[1+i].Compute = gpu.Model, gpu.Compute()
		}
	}
	return devices, nil
}

// GPUUnavailableReason says why TensorFlow sees no GPU, as far as can be told: "" where it sees
// one.
func GPUUnavailableReason() string {
	if !HasCUDA() {
		return "the TensorFlow library is built for the CPU only, without CUDA: " +
			"`TENSORFLOW=gpu make setup` gets one with it"
	}
	if _, reason := cuda.GPUs(); reason != "" {
		return reason
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
	if missing := cuda.MissingLibraries(); len(missing) > 0 {
		return reason + "did not find " + strings.Join(missing, ", ")
	}
	return reason + "does not use it: with TF_CPP_MIN_LOG_LEVEL=0 it says why"
}

// HasCUDA says whether the TensorFlow library is built for GPUs.
func HasCUDA() bool { return session.HasCUDA() }

// chooseGPUs returns the GPUs to run on, none for the CPU. It makes the choices that hold for the
// whole process, and returns an error where they, the precision or the devices cannot be had.
func (c config) chooseGPUs() ([]Device, error) {
	if err := claimThreads(c); err != nil {
		return nil, err
	}
	var gpus []Device
	if c.devices[0] != "cpu" && (c.devices[0] != "auto" || HasCUDA()) {
		devices, err := c.listDevices()
		if err != nil {
			return nil, err
		}
		if gpus, err = findGPUs(c.devices, devices, GPUUnavailableReason); err != nil {
			return nil, err
		}
	}
	if err := checkPrecision(c.precision, gpus); err != nil {
		return nil, fmt.Errorf("precision %s: %w", c.precision, err)
	}
	if len(gpus) > 0 {
		if err := claimTF32(c.precision == TF32); err != nil {
			return nil, err
		}
	}
	return gpus, nil
}

// oneDNNVariable turns oneDNN on or off before TensorFlow starts.
const oneDNNVariable = "TF_ENABLE_ONEDNN_OPTS"

// minCompute is the compute capability from which on GPUs have a precision. Below it TensorFlow
// would go on in float32, silently.
var minCompute = map[Precision]float64{FP16: 7.0, TF32: 8.0}

// checkPrecision returns an error where one of the GPUs, or the CPU where there are none, does not
// have the precision.
func checkPrecision(p Precision, gpus []Device) error {
	if len(gpus) == 0 && minCompute[p] > 0 {
		return fmt.Errorf("needs a GPU: expected bf16 or fp32 on the CPU")
	}
	if len(gpus) > 0 && (p == BF16 || p == INT8) {
		return fmt.Errorf("expected fp16, tf32 or fp32 on a GPU")
	}
	if p == INT8 && !ownConvolutions[INT8] {
		return fmt.Errorf("needs Linux on an amd64 processor with AVX2")
	}
	if p == BF16 && !session.UsesOneDNN() {
		if v, ok := os.LookupEnv(oneDNNVariable); ok {
			return fmt.Errorf("needs oneDNN, which %s=%s leaves off", oneDNNVariable, v)
		}
		return fmt.Errorf("needs oneDNN: set %s=1 or import kerasrun/runner/preinit",
			oneDNNVariable)
	}
	for _, d := range gpus {
		// Nothing is known of a GPU whose capability does not parse.
		if has, err := strconv.ParseFloat(d.Compute, 64); err == nil && has < minCompute[p] {
			return fmt.Errorf("%s is %s: expected compute capability %.1f or later, got %s", d.Name,
				d.Model, minCompute[p], d.Compute)
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
		i := slices.IndexFunc(there, func(d Device) bool {
			return d.Type == "GPU" && (name == d.Name || name == "auto" && d.Name == "gpu:0")
		})
		switch {
		case i >= 0:
			gpus = append(gpus, there[i])
		case name != "auto":
			text := fmt.Sprintf("device: expected one of %s, got %s", strings.Join(names, ", "),
				name)
			if why := reason(); why != "" {
				text += fmt.Sprintf(": TensorFlow %s sees no GPU: %s", Version(), why)
			}
			return nil, errors.New(text)
		}
	}
	return gpus, nil
}

// claimTF32 turns TensorFloat-32 on or off. It holds for the whole process, so all models have to
// agree.
func claimTF32(on bool) error {
	process.Lock()
	defer process.Unlock()
	if process.tf32 == nil {
		if !session.SetTF32(on) {
			return errors.New("precision: expected a TensorFlow that can turn TensorFloat-32 off")
		}
		process.tf32 = &on
	}
	if *process.tf32 != on {
		return errors.New("precision: fp32 and tf32 hold for the whole process: " +
			"expected that of an earlier model, got the other")
	}
	return nil
}
