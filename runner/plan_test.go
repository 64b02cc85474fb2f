package runner

import (
	"errors"
	"testing"

	tfpb "github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

func TestPlan(t *testing.T) {
	first, second := Device{Name: "gpu:0", Type: "GPU"}, Device{Name: "gpu:1", Type: "GPU"}
	own := map[Precision]bool{FP32: true, BF16: true}
	// brief is what a test holds of a plan.
	type brief struct {
		Mode      mode
		Placement []string
		Own, BF16 bool
		Rewriters []string // of the CPU's optimisers
	}
	remap := []string{"remap"}
	bfloat16 := []string{"auto_mixed_precision_onednn_bfloat16", "constfold", "remap"}
	for _, c := range []struct {
		name      string
		facts     facts
		precision Precision
		supported bool
		want      brief
		err       string
	}{
		{"a graph that is not ours", facts{oneDNN: true, own: own}, FP32, false, brief{Mode: plain},
			""},
		{"with variables", facts{state: "VarHandleOp", oneDNN: true, own: own}, FP32, false,
			brief{Mode: plain}, ""},
		{"with constants", facts{optimized: true, oneDNN: true, own: own}, FP32, false,
			brief{Mode: plain, Rewriters: remap}, ""},
		{"with constants, bf16", facts{optimized: true, oneDNN: true, own: own}, BF16, false,
			brief{Mode: plain, Rewriters: bfloat16}, ""},
		{"kernels in variables", facts{optimized: true, state: "VarHandleOp", oneDNN: true,
			own: own}, FP32, false,
			brief{Mode: packed, Own: true, Rewriters: remap}, ""},
		{"without convolutions of our own", facts{optimized: true, state: "VarHandleOp",
			oneDNN: true}, FP32, false,
			brief{Mode: packed, Rewriters: remap}, ""},
		{"without oneDNN", facts{optimized: true, state: "VarHandleOp", own: own}, FP32, false,
			brief{Mode: plain}, ""},
		{"bf16", facts{optimized: true, state: "VarHandleOp", oneDNN: true, own: own}, BF16, true,
			brief{Mode: packed, Own: true, BF16: true, Rewriters: remap}, ""},
		{"bf16 in other convolutions", facts{optimized: true, state: "VarHandleOp", oneDNN: true,
			own: own}, BF16, false,
			brief{Mode: frozen, Placement: []string{""}, Rewriters: bfloat16}, ""},
		{"bf16 without convolutions of our own",
			facts{optimized: true, state: "VarHandleOp", oneDNN: true}, BF16, true,
			brief{Mode: frozen, Placement: []string{""}, Rewriters: bfloat16}, ""},
		{"the first GPU", facts{gpus: []Device{first}, optimized: true, oneDNN: true}, FP32, false,
			brief{Mode: plain}, ""},
		{"kernels in variables, a GPU", facts{gpus: []Device{first}, optimized: true,
			state: "VarHandleOp", oneDNN: true, own: own}, FP32, false,
			brief{Mode: frozen, Placement: []string{""}}, ""},
		{"another GPU", facts{gpus: []Device{second}, optimized: true, oneDNN: true}, FP32, false,
			brief{Mode: frozen, Placement: []string{"/device:GPU:1"}}, ""},
		{"two GPUs", facts{gpus: []Device{first, second}, oneDNN: true}, FP16, false,
			brief{Mode: frozen, Placement: []string{"/device:GPU:0", "/device:GPU:1"}}, ""},
		{"two GPUs and variables", facts{gpus: []Device{first, second}, state: "VarHandleOp",
			oneDNN: true}, FP32, false, brief{},
			"device gpu:0, gpu:1: expected a graph without state, got the operation VarHandleOp"},
	} {
		devices := []string{"cpu"}
		if len(c.facts.gpus) > 0 {
			devices = nil
			for _, gpu := range c.facts.gpus {
				devices = append(devices, gpu.Name)
			}
		}
		var err error
		if c.facts.options, err = newConfig([]Option{WithDevice(devices...),
			WithPrecision(c.precision)}); err != nil {
			t.Fatal(err)
		}
		c.facts.supported = func(p plan) (bool, error) {
			if p.mode != packed || !p.bf16 {
				t.Errorf("%s: asked of %+v, want of packed bf16 alone", c.name, p)
			}
			return c.supported, nil
		}
		p, err := newPlan(c.facts)
		if !matches(err, c.err) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.err)
		}
		if err != nil {
			continue
		}
		var optimize, asIs tfpb.ConfigProto
		if err := errors.Join(proto.Unmarshal(p.optimize, &optimize),
			proto.Unmarshal(p.asIs, &asIs)); err != nil {
			t.Fatal(err)
		}
		got := brief{p.mode, p.placement, p.own, p.bf16,
			optimize.GraphOptions.RewriteOptions.Optimizers}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
		if !asIs.GraphOptions.RewriteOptions.DisableMetaOptimizer || asIs.DeviceCount["GPU"] != 0 {
			t.Errorf("%s: as it is: got %v, want nothing rewritten, on the CPU", c.name, &asIs)
		}
		if _, hidden := optimize.DeviceCount["GPU"]; hidden == (len(c.facts.gpus) > 0) {
			t.Errorf("%s: GPUs are hidden: got %v", c.name, hidden)
		}
	}
}

func TestPlanFails(t *testing.T) {
	c, err := newConfig([]Option{WithDevice("cpu"), WithPrecision(BF16)})
	if err != nil {
		t.Fatal(err)
	}
	want := errors.New("cannot be optimised")
	_, err = newPlan(facts{
		options: c, optimized: true, state: "VarHandleOp", oneDNN: true,
		own:       map[Precision]bool{BF16: true},
		supported: func(plan) (bool, error) { return false, want },
	})
	if err != want {
		t.Errorf("got %v, want %v", err, want)
	}
}
