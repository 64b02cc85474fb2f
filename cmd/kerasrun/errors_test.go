package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/runner"
)

// TestErrors holds the whole of what a call that cannot succeed prints: one sentence, and the next
// step.
func TestErrors(t *testing.T) {
	const missing = ": expected a SavedModel, found no directory"
	const export = ": expected a SavedModel, got a Keras file; `kerasrun-export "
	const trained = " --out DIR` makes one of it, and asks how its images were made"
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(repository, cat)
	t.Chdir(t.TempDir())
	if err := os.Mkdir("empty", 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"my.keras", "old.h5", "notes.txt", "token"} {
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ args, want string }{
		{"inspect", "models/resnext50" + missing + "; it is the default: --model DIR names " +
			"yours, and in kerasrun's repository `make run` exports this one"},
		{"inspect none", "none" + missing},
		{"inspect notes.txt/model", "notes.txt/model: not a directory"},
		{"inspect notes.txt", "notes.txt: expected a SavedModel's directory, got a file"},
		{"inspect my.keras", "my.keras" + export + "my.keras" + trained},
		{"inspect empty", "empty: expected a SavedModel, found no saved_model.pb"},
		{"scan none", "none" + missing},
		{"classify --model none " + image, "none" + missing},
		{"classify --model old.h5 " + image, "old.h5" + export + "old.h5" + trained},
		{"classify --model empty " + image, "empty: expected a SavedModel, found no saved_model.pb"},
		{"verify none", "none" + missing},
		{"verify --precision bf16 none", "precision fp32: none" + missing},
		{"bench --model none", "none" + missing},
		{"score --model my.keras -o x.csv " + image, "my.keras" + export + "my.keras" + trained},
		{"serve --model my.keras", "my.keras" + export + "my.keras" + trained},
		{"serve --model none", "none" + missing},
		{"serve --model empty --token-file token", "token: expected a token, got none"},
		{"serve --model empty --token-file none", "none: no such file or directory"},
		{"preprocess --mode tf -o x.npy none.jpg", "none.jpg: no such file or directory"},
		{"preprocess --mode tf -o x.npy empty",
			"empty: no images below it (.jpg .jpeg .jpe .jfif .png .gif .bmp .webp " +
				".ppm .pgm .pbm .pnm .tif .tiff)"},
		{"preprocess --model none -o x.npy " + image, "none" + missing},
		{"predict --inputs x=x.npy -o y.npz", "x.npy: no such file or directory"},
		{"predict --inputs x=x.npz[x] -o y.npz", "x.npz: no such file or directory"},
		{"diff a.csv b.csv", "a.csv.manifest.json: no such file or directory"},
		{"serve --model empty --tls-cert none --tls-key none", "none: no such file or directory"},
		{"man --out none", "none/kerasrun-bench.1: no such file or directory"},
	} {
		status, stdout, stderr := call(t, nil, strings.Fields(test.args)...)
		if want := "kerasrun: " + test.want + "\n"; status != exitFailed || stdout != "" ||
			stderr != want {
			t.Errorf("kerasrun %s: exit status %d, stdout %q, got %q, want %q",
				test.args, status, stdout, stderr, want)
		}
	}
}

// TestNoGPU names the next step where TensorFlow is built for the CPU only.
func TestNoGPU(t *testing.T) {
	if runner.HasCUDA() {
		t.Skip("TensorFlow is built for GPUs")
	}
	inRepository(t)
	status, stdout, stderr := call(t, nil, "classify", "--device", "gpu", cat)
	want := "kerasrun: --device gpu: TensorFlow " + runner.Version() + " is built for the CPU only; " +
		"`TENSORFLOW=gpu make setup` installs TensorFlow for GPUs\n"
	if status != exitFailed || stdout != "" || stderr != want {
		t.Errorf("exit status %d, stdout %q, got %q, want %q", status, stdout, stderr, want)
	}
}
