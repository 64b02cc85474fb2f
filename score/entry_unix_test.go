//go:build unix

package score

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Nothing but files is opened: a pipe that nobody writes to would never end.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := syscall.Mkfifo("pipe.jpg", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("d", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo("d/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", "socket.png")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]string{
		"pipe.jpg": "a pipe", "socket.png": "a socket", "/dev/zero": "a device", "d": "",
	} {
		wanted := []string{name + ": ! " + name + ": expected a regular file, got one that is " + want}
		if want == "" {
			wanted = []string{"d/pipe: ! d/pipe: expected a regular file, got one that is a pipe"}
		}
		checkOutcomes(t, name, wanted, "")
	}
	for _, ending := range []string{".tar", ".tgz", ".zip", ".tfrecord"} {
		if err := os.Symlink("pipe.jpg", "x"+ending); err != nil {
			t.Fatal(err)
		}
		got := outcomes(source(t, "x"+ending))
		if len(got) != 1 || !strings.Contains(got[0], "expected a regular file") {
			t.Errorf("x%s: got %q", ending, got)
		}
	}
}
