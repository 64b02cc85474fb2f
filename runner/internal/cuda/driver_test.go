package cuda

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// driverChild names the environment variable that makes of the test's executable a program that
// prints what the driver says and ends.
const driverChild = "CUDA_TEST_ASK_DRIVER"

func TestMain(m *testing.M) {
	if os.Getenv(driverChild) != "" {
		gpus, reason := GPUs()
		fmt.Printf("%v %q\n", gpus, reason)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fakeDriver compiles the driver of no GPU, under the names that NVIDIA's have, and returns its
// directory.
func fakeDriver(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"libcuda.so.1", "libnvidia-ml.so.1"} {
		out, err := exec.Command("cc", "-shared", "-fPIC", "-o", filepath.Join(dir, name),
			"testdata/fakecuda.c").CombinedOutput()
		if err != nil {
			t.Fatalf("cc: %v\n%s", err, out)
		}
	}
	return dir
}

// child runs the test's executable with a driver and more environment variables.
func child(driver string, more ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "CUDA_VISIBLE_DEVICES=")
	}), more...)
	if driver != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+driver)
	}
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	return out.String(), log.String(), err
}

func TestDriver(t *testing.T) {
	fake := fakeDriver(t)
	other := t.TempDir() // a library of that name that is no driver
	source := filepath.Join(other, "empty.c")
	if err := os.WriteFile(source, []byte("int nothing;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-o", filepath.Join(other, "libcuda.so.1"),
		source).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name, driver string
		environment  []string
		want         string
	}{
		{"two GPUs", fake, []string{"FAKE_CUDA_COUNT=2"}, `[{Fake GPU 8 0} {Fake GPU 8 1}] ""`},
		{"no GPU", fake, []string{"FAKE_CUDA_COUNT=0"}, `[] "the NVIDIA driver has no GPU"`},
		{"hidden", fake, []string{"FAKE_CUDA_COUNT=0", "CUDA_VISIBLE_DEVICES=-1"},
			`[] "the NVIDIA driver has no GPU (CUDA_VISIBLE_DEVICES is \"-1\")"`},
		{"an error", fake, []string{"FAKE_CUDA_ERROR=803"},
			`[] "the NVIDIA driver returns CUDA error 803, a fake error"`},
		{"no driver's functions", other, nil,
			`[] "there is no NVIDIA driver: libcuda.so.1 is not found"`},
	} {
		got, stderr, err := child(c.driver, append(c.environment, driverChild+"=1")...)
		if err != nil || strings.TrimSpace(got) != c.want {
			t.Errorf("%s: %v, %s%s, want %s", c.name, err, got, stderr, c.want)
		}
	}
}

func TestMissingLibraries(t *testing.T) {
	maps := "7eff r-xp 00000000 08:01 1 /usr/lib/libnvidia-ml.so.575.57.08\n" +
		"7f00 r-xp 00000000 08:01 1 /opt/nvidia/cublas/lib/libcublasLt.so.12\n" +
		"7f01 r-xp 00000000 08:01 2 /usr/lib/libcudart.so.12.9.79\n" +
		"7f02 r-xp 00000000 08:01 3 /opt/libcufft.so.11\n" +
		"7f03 r-xp 00000000 08:01 4 /opt/libcusparse.so.12\n" +
		"7f04 r-xp 00000000 08:01 5 /opt/libcudnn_graph.so.9\n" +
		"7f05 r-xp 00000000 08:01 6 /opt/libcusolverMg.so.11\n"
	if got, want := missingLibraries(maps), []string{"libcublas", "libcusolver",
		"libcudnn"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	alone := "7f00 r-xp 00000000 08:01 1 /usr/lib/libcuda.so.1\n"
	if got := missingLibraries(alone); !slices.Equal(got, []string{"libnvidia-ml"}) {
		t.Errorf("%v without the driver's second library", got)
	}
	if got := missingLibraries(""); got != nil {
		t.Errorf("%v of a system that does not say what is loaded", got)
	}
	if here := loadedFiles(); !strings.Contains(here, "/libc.so") {
		t.Errorf("the files of this process have no libc:\n%s", here)
	}
}
