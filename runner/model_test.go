package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

func TestRunAsTensorFlow(t *testing.T) {
	m, want := open(t, "conv"), answers(t)
	for name, images := range want {
		if strings.Contains(name, "/") {
			continue
		}
		out, err := m.Run(t.Context(), map[string]tensor.Tensor{"images": images})
		if err != nil {
			t.Fatal(err)
		}
		near(t, name+"/probs", want[name+"/probs"], out["probs"], 1e-5)
		near(t, name+"/logits", want[name+"/logits"], out["logits"], 1e-4)
		if out, err = m.RunSignature(t.Context(), "features",
			map[string]tensor.Tensor{"images": images}); err != nil {
			t.Fatal(err)
		}
		if got := out["features"].Shape; len(out) != 1 ||
			got.String() != (tensor.Shape{images.Shape[0], 8}).String() {
			t.Errorf("features: %v", out)
		}
	}
}

func TestRunTypes(t *testing.T) {
	m := open(t, "types", WithSignature("float32"))
	shape := tensor.Shape{2, 2}
	for _, x := range []tensor.Tensor{
		{DType: tensor.Float32, Shape: shape, Data: []float32{1, -2, 3, 4}},
		{DType: tensor.Float64, Shape: shape, Data: []float64{1, -2, 3, 4}},
		{DType: tensor.Float16, Shape: shape, Data: []uint16{0x3c00, 0xc000, 0, 1}},
		{DType: tensor.Bfloat16, Shape: shape, Data: []uint16{0x3f80, 0xc000, 0, 1}},
		{DType: tensor.Int8, Shape: shape, Data: []int8{1, -2, 3, 4}},
		{DType: tensor.Int16, Shape: shape, Data: []int16{1, -2, 3, 4}},
		{DType: tensor.Int32, Shape: shape, Data: []int32{1, -2, 3, 4}},
		{DType: tensor.Int64, Shape: shape, Data: []int64{1, -2, 3, 4}},
		{DType: tensor.Uint8, Shape: shape, Data: []uint8{1, 2, 3, 255}},
		{DType: tensor.Uint16, Shape: shape, Data: []uint16{1, 2, 3, 65535}},
		{DType: tensor.Uint32, Shape: shape, Data: []uint32{1, 2, 3, 1 << 31}},
		{DType: tensor.Uint64, Shape: shape, Data: []uint64{1, 2, 3, 1 << 63}},
		{DType: tensor.Bool, Shape: shape, Data: []bool{true, false, true, true}},
		{DType: tensor.String, Shape: shape, Data: [][]byte{[]byte("a"), {}, []byte("b\x00c"),
			[]byte(strings.Repeat("long", 1000))}},
	} {
		out, err := m.RunSignature(t.Context(), x.DType.String(), map[string]tensor.Tensor{"x": x})
		if diff := cmp.Diff(map[string]tensor.Tensor{"y": x}, out); err != nil || diff != "" {
			t.Errorf("%v: %v (-want +got)\n%s", x.DType, err, diff)
		}
	}
	scalar := tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{}, Data: []float32{5}}
	out, err := m.RunSignature(t.Context(), "scalar", map[string]tensor.Tensor{"x": scalar})
	if diff := cmp.Diff(map[string]tensor.Tensor{"y": scalar}, out); err != nil || diff != "" {
		t.Errorf("scalar: %v (-want +got)\n%s", err, diff)
	}
	a := tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{2}, Data: []float32{5, 6}}
	b := tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{2}, Data: []float32{1, 2}}
	want := map[string]tensor.Tensor{
		"difference": {DType: tensor.Float32, Shape: tensor.Shape{2}, Data: []float32{4, 4}},
		"sum":        {DType: tensor.Float32, Shape: tensor.Shape{2}, Data: []float32{6, 8}},
	}
	out, err = m.RunSignature(t.Context(), "two", map[string]tensor.Tensor{"a": a, "b": b})
	if diff := cmp.Diff(want, out); err != nil || diff != "" {
		t.Errorf("two inputs: %v (-want +got)\n%s", err, diff)
	}
	if _, err = m.RunSignature(t.Context(), "complex",
		map[string]tensor.Tensor{"a": a, "b": b}); !matches(err, `output "y": tensor: complex64`) {
		t.Errorf("complex output: %v", err)
	}
}

func TestRunErrors(t *testing.T) {
	m := open(t, "types", WithSignature("float32"))
	deep := make(tensor.Shape, 255)
	for i := range deep {
		deep[i] = 1
	}
	x := func(shape tensor.Shape, data any) map[string]tensor.Tensor {
		return map[string]tensor.Tensor{"x": {DType: tensor.Float32, Shape: shape, Data: data}}
	}
	one := []float32{1}
	for _, c := range []struct {
		name, key string
		in        map[string]tensor.Tensor
		want      string
	}{
		{"no input", "float32", nil, `input "x": expected float32 (-1, 2), got none`},
		{"another name", "float32", map[string]tensor.Tensor{"z": {}},
			`input "z": expected one of the inputs ["x"]`},
		{"no type", "float32", map[string]tensor.Tensor{"x": {}}, "unknown rank"},
		{"wrong type", "float64", x(tensor.Shape{1, 2}, []float32{1, 2}),
			"expected float64 (-1, 2), got float32 (1, 2)"},
		{"data of another type", "float32", x(tensor.Shape{1, 2}, []float64{1, 2}),
			"float32 elements cannot be held in Go's []float64"},
		{"wrong rank", "float32", x(tensor.Shape{2}, []float32{1, 2}),
			"expected float32 (-1, 2), got float32 (2,)"},
		{"wrong size", "float32", x(tensor.Shape{1, 3}, []float32{1, 2, 3}),
			"expected float32 (-1, 2), got float32 (1, 3)"},
		{"unknown size", "float32", x(tensor.Shape{-1, 2}, []float32{1, 2}),
			"dimension 0 is negative"},
		{"zero batch", "float32", x(tensor.Shape{0, 2}, []float32{}),
			"expected elements, got none: shape (0, 2)"},
		{"short data", "float32", x(tensor.Shape{2, 2}, one), "expected 4 elements, got 1"},
		{"long data", "float32", x(tensor.Shape{1, 2}, []float32{1, 2, 3}),
			"expected 2 elements, got 3"},
		{"product overflows", "any", x(tensor.Shape{1 << 32, 1 << 32}, one),
			"more elements than can be addressed"},
		{"product overflows to 1", "any", x(tensor.Shape{1<<32 + 1, 1<<32 - 1}, one),
			"more elements than can be addressed"},
		{"a TiB", "any", x(tensor.Shape{1 << 38}, one),
			"expected 274877906944 elements, got 1"},
		{"255 dimensions", "any", x(deep, one), "255 dimensions"},
		{"254 dimensions", "any", x(deep[:254], one), ""},
		{"no signature", "none", nil, `expected a signature "none", got ["any"`},
	} {
		_, err := m.RunSignature(t.Context(), c.key, c.in)
		if !matches(err, c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		var input *InputError
		if want := c.want != "" && c.name != "no signature"; errors.As(err, &input) != want {
			t.Errorf("%s: %v is an InputError: %v, want %v", c.name, err, !want, want)
		}
	}
}

func TestRunFaults(t *testing.T) {
	m := open(t, "faulty", WithSignature("fails"))
	x := map[string]tensor.Tensor{"x": {DType: tensor.Float32, Shape: tensor.Shape{1},
		Data: []float32{1}}}
	if _, err := m.Run(t.Context(), x); !matches(err, "TensorFlow: ") ||
		!strings.Contains(err.Error(), "requested shape has 7") {
		t.Errorf("a run that fails: %v", err)
	}
	out, err := m.RunSignature(t.Context(), "nan", x)
	if err != nil || out["y"].Data.([]float32)[0] == out["y"].Data.([]float32)[0] {
		t.Errorf("NaN: %v, %v", out, err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "saved_model.pb")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	without := filepath.Join(t.TempDir(), "variables")
	if err := os.CopyFS(without, os.DirFS(filepath.Join(models, "variables"))); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(without, "variables")); err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "conv")
	if err := os.CopyFS(changed, os.DirFS(filepath.Join(models, "conv"))); err != nil {
		t.Fatal(err)
	}
	labels := filepath.Join(changed, "assets.extra/labels.json")
	if err := os.WriteFile(labels, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := filepath.Join(models, "both")
	for _, c := range []struct {
		name, dir string
		options   []Option
		want      string
	}{
		{"no directory", filepath.Join(dir, "none"), nil,
			"none: expected a SavedModel, found no directory"},
		{"no model", t.TempDir(), nil, ": expected a SavedModel, found no saved_model.pb"},
		{"no protocol buffer", dir, nil, "saved_model.pb is malformed"},
		{"no variables", without, nil, "variables"},
		{"changed file", changed, nil, "assets.extra/labels.json"},
		{"wrong tags", both, []Option{WithTags("train")},
			`expected a graph with the tags ["train"], got ["serve"], ["gpu" "serve"]`},
		{"no tags", both, []Option{WithTags()}, "tags: expected at least one"},
		{"wrong signature", both, []Option{WithSignature("x")},
			`expected a signature "x", got ["serving_default"]`},
		{"threads", both, []Option{WithThreads(-1, 0)},
			"threads: expected 0 or more, got -1 and 0"},
		{"other threads", both, []Option{WithThreads(77, 0)},
			"as the first model chose, got 77 and 0"},
		{"device", both, []Option{WithDevice("tpu")},
			`device: expected auto, cpu, gpu or gpu:N, got "tpu"`},
		{"GPU without number", both, []Option{WithDevice("gpu:")}, `got "gpu:"`},
		{"negative GPU", both, []Option{WithDevice("gpu:-1")}, `got "gpu:-1"`},
		{"GPU 01", both, []Option{WithDevice("gpu:01")}, `got "gpu:01"`},
		{"no device", both, []Option{WithDevice()}, "device: expected at least one"},
		{"GPU twice", both, []Option{WithDevice("gpu", "gpu:0")}, "gpu:0 is named twice"},
		{"CPU and GPU", both, []Option{WithDevice("cpu", "gpu:0")},
			"expected GPUs alone where there are several, got cpu, gpu:0"},
		{"GPU memory", both, []Option{WithGPUMemoryFraction(1.5)},
			"expected over 0 and up to 1, got 1.5"},
		{"precision", both, []Option{WithPrecision("int4")},
			`expected fp32, bf16, fp16, tf32 or int8, got "int4"`},
		{"fp16 on the CPU", both, []Option{WithDevice("cpu"), WithPrecision(FP16)},
			"precision fp16: needs a GPU"},
		{"tf32 on the CPU", both, []Option{WithDevice("cpu"), WithPrecision(TF32)},
			"precision tf32: needs a GPU"},
		{"a GPU that is not there", both, []Option{WithDevice("gpu:7")},
			"device: expected one of cpu, got gpu:7"},
	} {
		if m, err := Open(t.Context(), c.dir, append([]Option{trusted},
			c.options...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			if m != nil {
				m.Close()
			}
		}
	}
}

// TestOpenEnds holds that Open returns at once when its context ends, and that a probe ends with
// it.
func TestOpenEnds(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // nothing is remembered
	dir := filepath.Join(models, "both")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ended, dir, trusted); !errors.Is(err, context.Canceled) ||
		!strings.Contains(err.Error(), dir) {
		t.Errorf("a context that has ended: got %v, want that it has, for %s", err, dir)
	}
	probed := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	slow := func(c *config) error {
		c.unverified = true
		c.probe = func(ctx context.Context, dir string, c config) error {
			probed <- 1
			err := runProbe(ctx, []string{"sleep", "600"}, dir, c)
			probed <- 2
			return err
		}
		return nil
	}
	go func() {
		<-probed
		cancel()
	}()
	if _, err := Open(ctx, dir, slow); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends in the probe: got %v, want that it has ended", err)
	}
	<-probed // the other process is gone
}

// slowChild names the environment variable that makes of the test's executable a program that
// opens the model in the directory that it names, without oneDNN.
const slowChild = "RUNNER_TEST_WITHOUT_ONEDNN"

func openTwiceWithoutOneDNN(dir string) int {
	os.Unsetenv(oneDNNVariable) // TensorFlow has read it
	for range 2 {
		m, err := Open(context.Background(), dir, WithDevice("cpu"), trusted)
		if err == nil {
			err = m.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// TestWithoutOneDNN holds that one line says that the CPU could compute faster, however many models
// are opened, and only to those who did not ask for it.
func TestWithoutOneDNN(t *testing.T) {
	for value, want := range map[string]int{"0": 1, "1": 0} {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), slowChild+"="+filepath.Join(models, "conv"),
			oneDNNVariable+"="+value)
		out, err := child.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if got := strings.Count(string(out), "computes without oneDNN"); got != want {
			t.Errorf("%s=%s: got %d lines, want %d\n%s", oneDNNVariable, value, got, want, out)
		}
	}
}

func TestOpenRelaxed(t *testing.T) {
	changed := filepath.Join(t.TempDir(), "conv")
	if err := os.CopyFS(changed, os.DirFS(filepath.Join(models, "conv"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(changed, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), changed); err == nil {
		t.Fatal("a file that the manifest does not name passed")
	}
	m, err := Open(t.Context(), changed, WithScan(savedmodel.Skip(savedmodel.CheckFiles)), trusted)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestTags(t *testing.T) {
	x := map[string]tensor.Tensor{"x": {DType: tensor.Float32, Shape: tensor.Shape{1},
		Data: []float32{5}}}
	for _, c := range []struct {
		options []Option
		want    float32
	}{
		{[]Option{WithDevice("cpu")}, 1},
		{[]Option{WithDevice("cpu"), WithTags("gpu", "serve")}, 2},
	} {
		out, err := open(t, "both", c.options...).Run(t.Context(), x)
		if err != nil || out["y"].Data.([]float32)[0] != c.want {
			t.Errorf("got %v, %v, want %v", out, err, c.want)
		}
	}
	directory, err := savedmodel.Open(t.Context(), filepath.Join(models, "both"))
	if err != nil {
		t.Fatal(err)
	}
	if got := chooseTags(directory, true); !slices.Contains(got, "gpu") {
		t.Errorf("on a GPU: tags %q", got)
	}
}

func TestVariables(t *testing.T) {
	x := map[string]tensor.Tensor{"x": {DType: tensor.Float32, Shape: tensor.Shape{1},
		Data: []float32{5}}}
	m := open(t, "variables")
	out, err := m.Run(t.Context(), x)
	if err != nil || out["y"].Data.([]float32)[0] != 10 {
		t.Errorf("got %v, %v, want 10", out, err)
	}
	graph, err := m.SavedModel().MetaGraph(m.tags)
	if err != nil {
		t.Fatal(err)
	}
	if op := stateful(graph); op != "VarHandleOp" {
		t.Errorf("the operation with state is %q", op)
	}
}

func TestConcurrentRuns(t *testing.T) {
	m, want := open(t, "conv"), answers(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				out, err := m.Run(t.Context(), map[string]tensor.Tensor{"images": want["tensor"]})
				if err != nil {
					t.Error(err)
					return
				}
				near(t, "probs", want["tensor/probs"], out["probs"], 1e-5)
			}
		})
	}
	group.Wait()
}

// TestFirstRunOfSignature holds that a signature that is packed while others run answers right, and
// that Close waits for that too.
func TestFirstRunOfSignature(t *testing.T) {
	want := answers(t)
	in := map[string]tensor.Tensor{"images": want["tensor"]}
	features, err := open(t, "conv").RunSignature(t.Context(), "features", in)
	if err != nil {
		t.Fatal(err)
	}
	for try := range 10 {
		m := open(t, "kernels")
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for range 5 {
					key, output, expected := m.key, "probs", want["tensor/probs"]
					if i%2 == 1 {
						key, output, expected = "features", "features", features["features"]
					}
					out, err := m.RunSignature(t.Context(), key, in)
					if err == ErrClosed {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					near(t, output, expected, out[output], 1e-5)
				}
			})
		}
		if try%2 == 0 {
			group.Wait()
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		group.Wait()
	}
}

// TestContextAndClose holds that a caller is let go when its context ends, that the run goes on,
// and that Close waits for it.
func TestContextAndClose(t *testing.T) {
	m := open(t, "faulty", WithSignature("steps"))
	steps := func(n int32) map[string]tensor.Tensor {
		return map[string]tensor.Tensor{"steps": {DType: tensor.Int32, Shape: tensor.Shape{},
			Data: []int32{n}}}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Run(ended, steps(1)); err != context.Canceled {
		t.Errorf("a context that has ended: %v", err)
	}
	if m.running[0] != 0 {
		t.Error("a run was begun")
	}

	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, err := m.Run(ctx, steps(2000))
		result <- err
	}()
	running := func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.running[0]
	}
	for running() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-result; err != context.Canceled {
		t.Errorf("a context that ends in the run: %v", err)
	}
	closed := make(chan error)
	for range 2 {
		go func() { closed <- m.Close() }()
	}
	for range 2 {
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
	if n := running(); n != 0 {
		t.Errorf("Close returned while there were %d runs", n)
	}
	if _, err := m.Run(t.Context(), steps(1)); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if _, err := m.Classify(t.Context(), 1); err != ErrClosed {
		t.Errorf("Classify after Close: %v", err)
	}
}
