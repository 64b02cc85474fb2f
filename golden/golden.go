// Package golden compares a model with goldens: a pack of images and of what Keras makes of each of
// them, stage by stage, written by `kerasrun-golden`. It is what `kerasrun verify` runs. A
// service's own tests can call [Test].
//
// A pack is a directory with goldens.json, the image files, and one npz file per image with the
// arrays decoded, resized and tensor, and one for each output of the model. Each stage gets the
// reference's own result of the stage before. So the stage that fails is the one at fault:
//
//	decode    image file -> uint8 RGB, height x width x 3
//	resize    decoded -> uint8 RGB of the model's input size
//	tensor    resized -> float32, normalised
//	pipeline  image file -> float32, normalised, in one go; it has the tolerance of tensor
//	NAME      tensor -> the model's output of that name
//
// Outputs are computed three times: each case alone; batched, as many cases as go into one batch;
// and padded, batched in reverse order with rows of zeros between the cases. Each of them is
// compared with the reference, and then with the others.
//
// The package runs over [Model], an interface, and does not import TensorFlow. A [Pack] is not
// changed by verifying it: several models can be compared with it at a time. The caller closes the
// model.
package golden

import (
	"context"

	"kerasrun/preprocess"
	"kerasrun/tensor"
)

// Model is what is verified: a *runner.Model, or anything with its methods.
type Model interface {
	// RunSignature computes the outputs of the signature called key, by output name, for a batch of
	// inputs, by input name.
	RunSignature(ctx context.Context, key string,
		in map[string]tensor.Tensor) (map[string]tensor.Tensor, error)
	// Pipeline is how the model's images are prepared, nil when that is not known.
	Pipeline() *preprocess.Pipeline
}

// T is the part of *testing.T and *testing.B that [Test] needs.
type T interface {
	Helper()
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Test verifies model against the pack in dir and fails t, with the report's table, where it does
// not agree with it.
func Test(t T, model Model, dir string) {
	t.Helper()
	pack, err := Open(dir)
	if err != nil {
		t.Fatalf("%v", err)
		return
	}
	report, err := Verify(t.Context(), model, pack)
	if err != nil {
		t.Fatalf("%v", err)
		return
	}
	if !report.OK {
		t.Errorf("%v", report)
		return
	}
	t.Logf("%v", report)
}
