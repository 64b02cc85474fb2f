// Package golden compares a model with goldens: a pack of images and of what Keras makes of each of
// them, stage by stage, written by `kerasrun-golden`. It is what `kerasrun verify` runs. A
// service's own tests can call [Test].
//
// A pack is a directory with goldens.json, the image files, and one npz file per image with the
// arrays decoded, resized and tensor of an input of images, inputs/NAME of a plain one, and one for
// each output of the model. Each stage gets the reference's own result of the stage before. So the
// stage that fails is the one at fault:
//
//	decode    image file -> uint8, height x width x channels
//	resize    decoded -> the same of the model's input size; float32 where TensorFlow resizes so
//	tensor    resized -> the tensor, of the model's dtype and layout
//	pipeline  image file -> tensor, in one go; it has the tolerance of tensor
//	NAME      tensors -> the model's output of that name
//
// Outputs are computed three times: each case alone; batched, as many cases as go into one batch;
// and padded, batched in reverse order with rows of zeros between the cases. Each of them is
// compared with the reference, and then with the others. Cases whose tensors have other sizes run
// apart, and a model of a fixed batch is always given as many rows.
//
// The package runs over [Model], an interface, and does not import TensorFlow. A [Pack] is not
// changed by verifying it: several models can be compared with it at a time. The caller closes the
// model.
package golden

import (
	"context"

	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// Model is what is verified: a *runner.Model, or anything with its methods.
type Model interface {
	// RunSignature computes the outputs of the signature called key, by output name, for a batch of
	// inputs, by input name.
	RunSignature(ctx context.Context, key string,
		in map[string]tensor.Tensor) (map[string]tensor.Tensor, error)
	// SavedModel has the manifest, which says what the model takes and gives.
	SavedModel() *savedmodel.Model
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
