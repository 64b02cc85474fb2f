package clienttest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bodyLimit is what the server takes of a request at most; clients send more.
const bodyLimit = 8 << 20

// inRepository is the absolute path of what is named by its path from the repository's root. Names
// without a slash are left: they are programs of the machine.
func inRepository(path string) string {
	if !strings.Contains(path, "/") {
		return path
	}
	absolute, err := filepath.Abs(filepath.Join("../..", path))
	if err != nil {
		panic(err) // there is no working directory
	}
	return absolute
}

// kerasrun runs the command line's program, as make builds it.
func kerasrun(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	program := inRepository("bin/kerasrun")
	for _, path := range []string{program, inRepository(model + "/saved_model.pb")} {
		if _, err := os.Stat(path); err != nil {
			if strict || os.Getenv("KERASRUN_REQUIRE_PYTHON") == "1" {
				t.Fatal(err)
			}
			t.Skipf("%v: make test-clients makes it", err)
		}
	}
	return exec.Command(program, append(arguments, "--model", inRepository(model))...)
}

const model = "models/efficientnet-lite0"

// expected makes the directory that clients run in, as testdata/served.py describes it.
func expected(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image, err := os.ReadFile(inRepository("testdata/photos/cat.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	comment := append([]byte{0xff, 0xfe, 0xff, 0xff}, bytes.Repeat([]byte(" "), 0xffff-2)...)
	padded := append(append(image[:2:2], bytes.Repeat(comment, 7<<20/len(comment))...), image[2:]...)
	for name, data := range map[string][]byte{
		"cat.jpg": image, "padded.jpg": padded, "large": make([]byte, bodyLimit+1<<19),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(inRepository(model), filepath.Join(dir, "model")); err != nil {
		t.Fatal(err)
	}
	photo := filepath.Join(dir, "cat.jpg")
	tensor := kerasrun(t, "preprocess", "-o", filepath.Join(dir, "x.npy"), photo)
	if out, err := tensor.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := kerasrun(t, "classify", "--format", "json", "--topk", "1", photo).Output()
	var predictions []json.RawMessage
	if err == nil {
		err = json.Unmarshal(out, &predictions)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "expected.json"), predictions[0], 0o600)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// serve starts kerasrun serve until the test ends, and returns its addresses. It has to end by
// SIGTERM with status 0.
func serve(t *testing.T) (http, grpc string) {
	t.Helper()
	cmd := kerasrun(t, "serve", "--addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--host",
		"images.example", "--max-body-bytes", fmt.Sprint(bodyLimit), "--log-format", "json",
		"--queue-timeout", "1m") // clients that send at a rate do so on a busy machine too
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended // a pipe is read before Wait
		if err := cmd.Wait(); err != nil {
			t.Errorf("kerasrun serve: %v", err)
		}
	})
	lines := bufio.NewScanner(log)
	var said strings.Builder
	for lines.Scan() {
		var line struct{ Msg, Address, GRPC string }
		_ = json.Unmarshal(lines.Bytes(), &line) // of TensorFlow, which writes text
		fmt.Fprintln(&said, lines.Text())
		if line.Msg == "listening" {
			go func() {
				_, _ = io.Copy(io.Discard, log)
				close(ended)
			}()
			return line.Address, line.GRPC
		}
	}
	close(ended)
	t.Fatalf("kerasrun serve does not listen:\n%s", &said)
	return "", ""
}

// freePort is a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// start runs a program until the test ends, and waits until it listens there.
func start(t *testing.T, address, program string, arguments ...string) {
	t.Helper()
	cmd := exec.Command(program, arguments...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	for range 300 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			t.Cleanup(stop)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	t.Fatalf("%s does not listen: %s", program, &out)
}
