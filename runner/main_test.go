package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/internal/vouched"
	_ "kerasrun/runner/preinit" // so that TensorFlow computes with oneDNN on every CPU
	"kerasrun/savedmodel"
	"kerasrun/tensor"
	"kerasrun/tensor/npy"
)

// models is the directory that testdata/generate.py wrote for this run of the tests.
var models string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	switch {
	case os.Getenv(devicesChild) != "":
		fmt.Println(Devices())
		return 0
	case os.Getenv(slowChild) != "":
		return openTwiceWithoutOneDNN(os.Getenv(slowChild))
	case os.Getenv(cpusChild) != "":
		fmt.Println(cpus())
		return 0
	}
	if len(os.Args) == 2 && os.Args[1] == probeChild {
		if err := Probe(context.Background(), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	var err error
	if models, err = os.MkdirTemp("", "runner"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(models)
	os.Setenv("XDG_CACHE_HOME", filepath.Join(models, "cache")) // the user's stays as it is
	if err := vouchForExport("../models/resnext50"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	python, err := pythontest.Find()
	if err != nil && !pythontest.Required() {
		fmt.Fprintf(os.Stderr, "runner: tests left out, for Python makes their models: %v\n", err)
		return 0
	}
	out, err := exec.Command(python, "testdata/generate.py", "../testdata/photos",
		models).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "testdata/generate.py: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// vouchForExport remembers the model of the examples as the exporter does, where it is there.
func vouchForExport(dir string) error {
	m, err := savedmodel.Open(context.Background(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	sum, err := m.SHA256(context.Background())
	if err != nil {
		return err
	}
	return vouched.Add(vouched.Entry{SHA256: sum, By: vouched.ByExport})
}

// probed has models probed by this program.
var probed = WithProbe(os.Args[0], probeChild)

// trusted is for models without a manifest that a test made itself: they are not probed.
func trusted(c *config) error {
	c.unverified = true
	c.probe = func(context.Context, string, config) error { return nil }
	return nil
}

// open opens a generated model, and closes it with the test.
func open(t testing.TB, name string, options ...Option) *Model {
	t.Helper()
	m, err := Open(t.Context(), filepath.Join(models, name),
		append([]Option{trusted}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// answers returns what the generator saw TensorFlow answer.
func answers(t *testing.T) map[string]tensor.Tensor {
	t.Helper()
	arrays, err := npy.ReadZip(filepath.Join(models, "conv.npz"))
	if err != nil {
		t.Fatal(err)
	}
	return arrays
}

// near fails the test unless the tensors are of one shape and no two elements are further apart
// than tolerance.
func near(t *testing.T, what string, want, got tensor.Tensor, tolerance float64) {
	t.Helper()
	a, err := want.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	b, err := got.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	if want.Shape.String() != got.Shape.String() {
		t.Fatalf("%s: got %v, want %v", what, got.Shape, want.Shape)
	}
	for i := range a {
		if diff := float64(a[i]) - float64(b[i]); !(diff <= tolerance && -diff <= tolerance) {
			t.Fatalf("%s: element %d: got %v, want %v", what, i, b[i], a[i])
		}
	}
}

// matches says whether err is nil where want is empty, and else whether it says want in one line.
func matches(err error, want string) bool {
	if want == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "\n")
}
