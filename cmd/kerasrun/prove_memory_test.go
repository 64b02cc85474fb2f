//go:build prove

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The proofs of memory look at the most that a process held at a time: what a control group of that
// size would have to give it. A file that it reads is not counted: its pages can be given back.

// peak returns the most memory that a process which has ended held at a time, in bytes.
func peak(state *os.ProcessState) int64 {
	return state.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// 16 bodies of 61 MiB at a time, of each form that takes much memory for its size, as
// deploy/kubernetes.yaml limits it: what has no room gets 503, and the server goes on.
func TestProveMemoryBodies(t *testing.T) {
	inRepository(t)
	const group, size = 3 << 30, 61 << 20
	s := startServer(t, "--model", smallModel,
		"--max-memory-bytes", strconv.FormatInt(memoryShare(group), 10))
	numbers := "[" + strings.Repeat("[["+strings.TrimSuffix(strings.Repeat("[0,0,0],", 32), ",")+"]],",
		size/270)
	forms := map[string]string{
		"numbers": `{"instances": ` + numbers,
		"lists":   `{"instances": ` + strings.Repeat("[],", size/3),
		"depth":   strings.Repeat("[", size),
		"keys":    `{` + strings.Repeat(`"a":0,`, size/6),
		"texts":   `{"instances": [` + strings.Repeat(`{"b64":""},`, size/11),
		"one":     `{"instances": "` + strings.Repeat("0", size),
	}
	for name, body := range forms {
		statuses := map[int]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				resp, err := s.client.Post(s.url+"/v1/models/"+filepath.Base(smallModel)+":predict",
					"application/json", strings.NewReader(body))
				mu.Lock()
				defer mu.Unlock()
				if err != nil { // it may close the connection before it has read the body
					statuses[0]++
					return
				}
				statuses[resp.StatusCode]++
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			})
		}
		all.Wait()
		t.Logf("%s: statuses %v, %.0f MiB", name, statuses, s.rss(t)/(1<<20))
		if statuses[http.StatusInternalServerError] > 0 {
			t.Errorf("%s: got %v, want no status 500", name, statuses)
		}
	}
	if r := s.classify(photos(t)[0]); r.status != http.StatusOK {
		t.Errorf("got %+v after the bodies, want an answer", r)
	}
	if status := s.stop(t); status != 0 {
		t.Errorf("got exit status %d, want 0", status)
	}
	got := peak(s.cmd.ProcessState)
	t.Logf("at most %d MiB", got>>20)
	if got > group {
		t.Errorf("got %d bytes at a time, want at most %d", got, group)
	}
}

// Archives that unpack to far more than they are, within 1 GiB.
func TestProveMemoryArchives(t *testing.T) {
	inRepository(t)
	const group = 1 << 30
	dir := t.TempDir()
	put := func(name string, fill func(io.Writer) error) {
		var out bytes.Buffer
		if err := fill(&out); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	head := append([]byte("BM"), make([]byte, 1<<20-2)...)
	put("images.zip", func(out io.Writer) error { // 3 of 256 MiB, in 800 KB
		w := zip.NewWriter(out)
		for range 3 {
			member, err := w.Create("a.bmp")
			for i := 0; i < 256 && err == nil; i++ {
				if _, err = member.Write(head); i == 0 {
					clear(head[:2])
				}
			}
			if copy(head, "BM"); err != nil {
				return err
			}
		}
		return w.Close()
	})
	put("link.tar", func(out io.Writer) error {
		w := tar.NewWriter(out)
		for _, h := range []tar.Header{{Name: "a.jpg", Typeflag: tar.TypeSymlink, Linkname: "/dev/zero"},
			{Name: "b.jpg", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}} {
			if err := w.WriteHeader(&h); err != nil {
				return err
			}
		}
		return w.Close()
	})
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.jpg")); err != nil {
		t.Fatal(err)
	}
	inputs := []string{dir, "score/testdata/sparse.tar"}
	for _, name := range []string{"images.zip", "link.tar"} {
		inputs = append(inputs, filepath.Join(dir, name))
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(dir, "out.jsonl")
	cmd := exec.Command(exe, append([]string{"score", "--quiet", "--model", smallModel, "--output",
		output}, inputs...)...)
	text, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != exitFailedImages {
		t.Fatalf("got %v and %s, want status %d", err, text, exitFailedImages)
	}
	t.Logf("at most %d MiB; %s", peak(cmd.ProcessState)>>20, readFile(t, output))
	if got := peak(cmd.ProcessState); got > group {
		t.Errorf("got %d bytes at a time, want at most %d", got, group)
	}
}
