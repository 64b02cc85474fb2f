package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestFull fills a file system of 64 KB, while the wheel is downloaded and while it is unpacked. It
// is mounted by a process of its own, which a mount elsewhere cannot disturb.
func TestFull(t *testing.T) {
	if dir := os.Getenv("LIBTENSORFLOW_TEST_FULL"); dir != "" {
		fullChild(dir)
		return
	}
	entries := entries()
	entries["tensorflow/libtensorflow_framework.so.2"] = strings.Repeat(
		"\x00",
		50<<10,
	) // unpacked: too much
	unpacked := zipped(t, entries)
	entries["tensorflow/more"] = strings.Repeat("\x00", 50<<10)
	wheelOf := map[string][]byte{"unpacking": unpacked, "download": zipped(t, entries)}
	for name, content := range wheelOf {
		t.Run(name, func(t *testing.T) {
			x := newIndex(t, content)
			w := wheels["linux/amd64"]
			dir := t.TempDir()
			child := exec.Command(os.Args[0], "-test.run=^TestFull$")
			child.Env = append(
				os.Environ(),
				"LIBTENSORFLOW_TEST_FULL="+dir,
				"PIP_INDEX_URL="+x.URL+"/simple",
				"WHEEL="+fmt.Sprintf("%s %s %s %d", w.project, w.file, w.sha256, w.size),
			)
			child.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
			var out bytes.Buffer
			child.Stdout, child.Stderr = &out, &out
			err := child.Run()
			if err != nil && child.ProcessState == nil ||
				strings.Contains(out.String(), "cannot mount") {
				t.Skipf("expected a mount namespace, got %v, %s", err, out.String())
			}
			want := "libtensorflow: " + dir +
				": expected room for 1.5 GB, found no space left on device\nleft: []\n"
			if !strings.Contains(out.String(), want) {
				t.Errorf("got %s, want %s", out.String(), want)
			}
		})
	}
}

// fullChild runs the program on a file system of 64 KB at dir and prints what is left there.
func fullChild(dir string) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		fmt.Println("cannot mount:", err)
		return
	}
	var w wheel
	fmt.Sscan(os.Getenv("WHEEL"), &w.project, &w.file, &w.sha256, &w.size)
	wheels["linux/amd64"] = w
	_, _, stderr := try(
		context.Background(),
		map[string]string{"PIP_INDEX_URL": os.Getenv("PIP_INDEX_URL")},
		"--out",
		dir+"/tf",
		"--platform",
		"linux/amd64",
	)
	left, err := os.ReadDir(dir)
	fmt.Print(stderr, "left: ", left, "\n")
	if err != nil {
		fmt.Println(err)
	}
}
