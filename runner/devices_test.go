package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	tfpb "github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"kerasrun/internal/pythontest"
	"kerasrun/runner/internal/graph"
	"kerasrun/runner/internal/session"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

func TestDevices(t *testing.T) {
	devices, err := Devices()
	if err != nil || len(devices) == 0 || devices[0] != (Device{Name: "cpu", Type: "CPU"}) {
		t.Fatalf("%v, %v", devices, err)
	}
	gpu := slices.ContainsFunc(devices, func(d Device) bool { return d.Type == "GPU" })
	if why := GPUUnavailableReason(); gpu != (why == "") {
		t.Errorf("%v, but no GPU because %q", devices, why)
	}
}

func TestFindGPUs(t *testing.T) {
	cpu := []Device{{Name: "cpu", Type: "CPU"}}
	gpus := append(slices.Clone(cpu), Device{Name: "gpu:0", Type: "GPU"},
		Device{Name: "gpu:1", Type: "GPU"})
	for _, c := range []struct {
		named  []string
		there  []Device
		reason string
		want   []Device
		err    string
	}{
		{[]string{"auto"}, cpu, "", nil, ""},
		{[]string{"auto"}, gpus, "", gpus[1:2], ""},
		{[]string{"gpu:1"}, gpus, "", gpus[2:3], ""},
		{[]string{"gpu:1", "gpu:0"}, gpus, "", []Device{gpus[2], gpus[1]}, ""},
		{[]string{"gpu:0"}, cpu, "no driver", nil,
			"device: expected one of cpu, got gpu:0: TensorFlow " + Version() +
				" sees no GPU: no driver"},
		{[]string{"gpu:0", "gpu:2"}, gpus, "", nil,
			"device: expected one of cpu, gpu:0, gpu:1, got gpu:2"},
	} {
		got, err := findGPUs(c.named, c.there, func() string { return c.reason })
		if !slices.Equal(got, c.want) || !matches(err, c.err) {
			t.Errorf("%v of %v: %v, %v; want %v, %q", c.named, c.there, got, err, c.want, c.err)
		}
	}
}

func TestCheckPrecision(t *testing.T) {
	with := func(compute ...string) (gpus []Device) {
		for _, c := range compute {
			gpus = append(gpus, Device{Name: "gpu:0", Type: "GPU", Model: "Tesla", Compute: c})
		}
		return gpus
	}
	for _, c := range []struct {
		precision Precision
		gpus      []Device
		err       string
	}{
		{FP32, nil, ""},
		{BF16, nil, ""},
		{FP16, nil, "needs a GPU"},
		{TF32, nil, "needs a GPU"},
		{FP32, with("3.5"), ""},
		{BF16, with("9.0"), "expected fp16, tf32 or fp32 on a GPU"},
		{FP16, with("7.0"), ""},
		{FP16, with("6.1"), "gpu:0 is Tesla: expected compute capability 7.0 or later, got 6.1"},
		{TF32, with("8.0", "10.3"), ""},
		{TF32, with("9.0", "7.5"), "expected compute capability 8.0 or later, got 7.5"},
		{TF32, with(""), ""}, // not known
	} {
		if err := checkPrecision(c.precision, c.gpus); !matches(err, c.err) {
			t.Errorf("%s on %v: %v, want %q", c.precision, c.gpus, err, c.err)
		}
	}
}

// devicesChild names the environment variable that makes of the test's executable a program that
// lists the devices and ends.
const devicesChild = "RUNNER_TEST_LIST_DEVICES"

// twoCPUs is a ConfigProto with which TensorFlow makes two devices of one CPU.
func twoCPUs(t *testing.T) []byte {
	t.Helper()
	config, err := proto.Marshal(&tfpb.ConfigProto{DeviceCount: map[string]int32{"CPU": 2}})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// place opens a generated model's graph frozen, on each of the devices.
func place(t *testing.T, name string, config []byte, devices ...string) (*backend,
	[]savedmodel.Signature) {
	t.Helper()
	directory, err := savedmodel.Open(t.Context(), filepath.Join(models, name))
	if err != nil {
		t.Fatal(err)
	}
	g, err := directory.MetaGraph([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	source, err := session.Load(filepath.Join(models, name), g.Tags, config)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := openFrozen(source, graph.Endpoints(g.Signatures...), devices, config)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	return &backend{sessions: sessions}, g.Signatures
}

// replaceBackend has a model run another backend until the test ends.
func replaceBackend(t *testing.T, m *Model, b *backend) {
	was := m.backend
	m.backend, m.signatures = b, map[string]*signature{}
	t.Cleanup(func() {
		m.backend = was
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestPlaced classifies on two devices, as on two GPUs: here on two CPUs, which TensorFlow makes of
// one.
func TestPlaced(t *testing.T) {
	m := open(t, "conv")
	// 3 batches of images, on whichever device has the fewest runs.
	_, photos := readPhotos(t)
	var images [][]byte
	for len(images) < 3*classifyBatchCPU {
		images = append(images, photos...)
	}
	want, err := m.Classify(t.Context(), 3, images...)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := place(t, "conv", twoCPUs(t), "/device:CPU:0", "/device:CPU:1")
	replaceBackend(t, m, b)
	m.running = make([]int, 2)
	got, err := m.Classify(t.Context(), 3, images...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		for j, p := range want[i] {
			if q := got[i][j]; p.Index != q.Index || p.Probability-q.Probability > 1e-5 ||
				q.Probability-p.Probability > 1e-5 {
				t.Fatalf("image %d: got %v on two devices, want %v as on one", i, got[i], want[i])
			}
		}
	}
	// Each of the two computes: with one busy, a run goes to the other.
	in := map[string]tensor.Tensor{"images": answers(t)["tensor"]}
	for busy := range 2 {
		m.running = make([]int, 2)
		m.running[busy] = 1
		out, err := m.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "probs", answers(t)["tensor/probs"], out["probs"], 1e-5)
	}
}

// TestFrozen holds that of a graph what the signatures need is left, on the device that is named,
// with constants for variables.
func TestFrozen(t *testing.T) {
	devices := []string{"/device:CPU:1", ""}
	b, signatures := place(t, "variables", twoCPUs(t), devices...)
	defer b.close()
	calls, err := b.calls(signatures[0])
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range b.sessions {
		g, err := s.Graph()
		if err != nil {
			t.Fatal(err)
		}
		on := map[string]string{}
		for _, node := range g.Node {
			on[node.Op] = node.Device
		}
		if want := map[string]string{"Placeholder": devices[i], "Const": devices[i],
			"Mul": devices[i]}; !cmp.Equal(want, on) {
			t.Errorf("operations and devices: got %v, want %v", on, want)
		}
		x, err := tensor.New(tensor.Shape{2}, []float32{3, -4})
		if err != nil {
			t.Fatal(err)
		}
		in, err := newTensors("serving_default", calls[i].inputs, map[string]tensor.Tensor{"x": x})
		if err != nil {
			t.Fatal(err)
		}
		out, err := calls[i].run(in)
		if err != nil {
			t.Fatal(err)
		}
		want, err := tensor.New(tensor.Shape{2}, []float32{6, -8})
		if err != nil {
			t.Fatal(err)
		}
		near(t, "y", want, out["y"], 0)
	}
}

// TestSoftPlacement has a graph on a device that is not there: an error where the user named a
// device, else another one is taken.
func TestSoftPlacement(t *testing.T) {
	in := map[string]tensor.Tensor{"images": answers(t)["tensor"]}
	for device, want := range map[string]string{"cpu": "/device:CPU:7", "auto": ""} {
		m := open(t, "conv", WithDevice(device))
		c, err := newConfig([]Option{WithDevice(device)})
		if err != nil {
			t.Fatal(err)
		}
		config, err := optimizingConfig(c, target{optimized: true, oneDNN: true})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := place(t, "conv", config, "/device:CPU:7")
		replaceBackend(t, m, b)
		if _, err := m.Run(t.Context(), in); !matches(err, want) {
			t.Errorf("device %s: got %v, want %q", device, err, want)
		}
	}
}

// TestSpread holds that runs go to the device with the fewest.
func TestSpread(t *testing.T) {
	m := &Model{running: make([]int, 3)}
	var got []int
	for range 6 {
		i, err := m.begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, i)
	}
	m.end(1)
	m.end(1)
	for range 2 {
		i, err := m.begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, i)
	}
	if want := []int{0, 1, 2, 0, 1, 2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestSessionConfig has TensorFlow's own Python parse the bytes.
func TestSessionConfig(t *testing.T) {
	n := cpus()
	defaults := func(more map[string]any) map[string]any {
		want := map[string]any{"intra": float64(n), "inter": float64(n), "own": true,
			"soft": false, "gpus": nil, "growth": false, "fraction": 0.0,
			"bf16": 0.0, "fp16": 0.0, "pruned": false, "rewritten": true, "optimizers": []any{},
			"tfg": true, "passes": 1.0}
		for k, v := range more {
			want[k] = v
		}
		return want
	}
	cases := []struct {
		options              []Option
		gpu, optimized, asIs bool
		want                 map[string]any
	}{
		{nil, false, false, false, defaults(map[string]any{"soft": true, "gpus": 0.0})},
		{[]Option{WithDevice("cpu")}, false, true, false,
			defaults(map[string]any{"gpus": 0.0, "optimizers": []any{"remap"}, "tfg": false})},
		{nil, true, false, false, defaults(map[string]any{"soft": true, "growth": true})},
		{[]Option{WithDevice("cpu"), WithThreads(3, 5)}, false, false, false,
			defaults(map[string]any{"gpus": 0.0, "intra": 3.0, "inter": 5.0})},
		{[]Option{WithDevice("cpu"), WithPrecision(BF16)}, false, false, false,
			defaults(map[string]any{"gpus": 0.0, "bf16": 1.0})},
		{[]Option{WithDevice("cpu"), WithPrecision(BF16)}, false, true, false,
			defaults(map[string]any{"gpus": 0.0, "tfg": false,
				"optimizers": []any{"auto_mixed_precision_onednn_bfloat16", "constfold",
					"remap"}})},
		{[]Option{WithDevice("gpu"), WithPrecision(FP16)}, true, true, false,
			defaults(map[string]any{"growth": true, "fp16": 1.0, "passes": 2.0})},
		{[]Option{WithDevice("gpu"), WithPrecision(TF32), WithGPUMemoryFraction(0.25),
			WithGPUMemoryGrowth(false)}, true, true, false,
			defaults(map[string]any{"fraction": 0.25, "rewritten": false})},
		{[]Option{WithDevice("cpu"), WithPrecision(BF16)}, false, true, true,
			defaults(map[string]any{"gpus": 0.0, "rewritten": false})},
	}
	var lines strings.Builder
	for _, c := range cases {
		config, err := newConfig(c.options)
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := asIsConfig(config)
		if !c.asIs {
			bytes, err = optimizingConfig(config, target{c.gpu, c.optimized, true})
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%x\n", bytes)
	}
	python := exec.Command(pythontest.Python(t), "-c", `import json, sys, tensorflow as tf
for line in sys.stdin:
    c = tf.compat.v1.ConfigProto.FromString(bytes.fromhex(line))
    r = c.graph_options.rewrite_options
    gpu = c.gpu_options
    print(json.dumps({
        "intra": c.intra_op_parallelism_threads, "inter": c.inter_op_parallelism_threads,
        "own": c.use_per_session_threads,
        "soft": c.allow_soft_placement, "gpus": c.device_count.get("GPU"),
        "growth": gpu.allow_growth, "fraction": gpu.per_process_gpu_memory_fraction,
        "bf16": r.auto_mixed_precision_onednn_bfloat16, "fp16": r.auto_mixed_precision,
        "pruned": c.graph_options.place_pruned_graph, "rewritten": not r.disable_meta_optimizer,
        "passes": r.meta_optimizer_iterations, "optimizers": list(r.optimizers),
        "tfg": not r.disable_tfg_optimizer}))`)
	python.Stdin = strings.NewReader(lines.String())
	python.Stderr = os.Stderr
	out, err := python.Output()
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for i, c := range cases {
		var got map[string]any
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("case %d: (-want +got)\n%s", i, diff)
		}
	}
}

func TestBfloat16(t *testing.T) {
	m, want := open(t, "conv", WithDevice("cpu"), WithPrecision(BF16)), answers(t)
	out, err := m.Run(t.Context(), map[string]tensor.Tensor{"images": want["tensor"]})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "probs", want["tensor/probs"], out["probs"], 0.05)
	if cmp.Equal(want["tensor/probs"], out["probs"], cmpopts.EquateApprox(0, 1e-5)) {
		t.Error("the answers are those of float32")
	}
}
