package score

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The child process of the tests that kill or crash a run.
func TestMain(m *testing.M) {
	spec := os.Getenv("KERASRUN_SCORE_CHILD")
	if spec == "" {
		status := m.Run()
		removeInputs()
		os.Exit(status)
	}
	var child struct {
		Input, Output string
		Free          bool
	}
	if err := json.Unmarshal([]byte(spec), &child); err != nil {
		panic(err)
	}
	source, err := directory(context.Background(), child.Input, (*Skipped)(nil).part(), false)
	if err != nil {
		panic(err)
	}
	c := config(child.Output, dying(source))
	c.Model = fakeModel(2 * time.Millisecond)
	c.Warn = func(message string) { fmt.Fprintln(os.Stderr, message) }
	c.Columns.Outputs = []string{Probs}
	if child.Free {
		c.Model.Model = kinds{answer: "map", free: true, fake: fake{2 * time.Millisecond}}
		c.Model.ID, c.Model.Preprocessing = "free", "free"
		c.Columns = Columns{Outputs: []string{"map", "half"}}
	}
	s, err := Run(context.Background(), c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	fmt.Println(s.Answered, s.Failed)
	os.Exit(0)
}

// dying is a source that crashes the process where it reads an image that says so.
func dying(s Source) Source {
	return func(yield func(Item) bool) {
		for item := range s {
			read := item.Read
			item.Read = func() ([]byte, error) {
				data, err := read()
				if string(data) == "crash when read" {
					crash()
				}
				return data, err
			}
			if !yield(item) {
				return
			}
		}
	}
}

func child(input, output string) *exec.Cmd { return childWith(input, output, false) }

// childWith has a model of any size where free is set.
func childWith(input, output string, free bool) *exec.Cmd {
	spec, _ := json.Marshal(map[string]any{"Input": input, "Output": output, "Free": free})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "KERASRUN_SCORE_CHILD="+string(spec))
	return cmd
}

func TestKilledAtAnyMoment(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 10
	}
	input := images(t, 1000)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, format := range []string{"jsonl", "csv", "parquet"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			undisturbed := filepath.Join(dir, "undisturbed."+format)
			if out, err := child(input, undisturbed).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			output := filepath.Join(dir, "out."+format)
			killed := 0
			for killed < kills {
				cmd := child(input, output)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(random.IntN(25)) * time.Millisecond)
				_ = cmd.Process.Kill()
				if cmd.Wait() != nil {
					killed++
				}
				if m, err := ReadManifest(output); err == nil && m.Answered > 0 && killed < kills {
					removeRun(t, output) // it got to the end: kill the next one
				}
			}
			if out, err := child(input, output).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if read(t, output) != read(t, undisturbed) {
				t.Error("the output after the kills differs from the undisturbed one")
			}
			want := []string{ManifestPath(output), output + reportPageSuffix, ReportPath(output)}
			if left, _ := filepath.Glob(output + ".*"); !slices.Equal(left, want) {
				t.Errorf("got %q, want %q beside the output", left, want)
			}
		})
	}
}

// A model of any size, whose output is as large as the image: killed and resumed, the bytes are
// those of an undisturbed run.
func TestKilledWithFreeSizes(t *testing.T) {
	input := images(t, 60)
	for i := range 60 { // and images of two other sizes among them
		if i%3 == 1 {
			write(t, filepath.Join(input, fmt.Sprintf("%05d.png", i)), pngOf(t, 3+i%2, 5, uint8(i)))
		}
	}
	for _, format := range []string{"jsonl", "parquet"} {
		dir := t.TempDir()
		undisturbed, output := filepath.Join(dir, "a."+format), filepath.Join(dir, "b."+format)
		if out, err := childWith(input, undisturbed, true).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for kills, wait := 0, time.Millisecond; kills < 3; wait += time.Millisecond {
			cmd := childWith(input, output, true)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for { // until the journal has more than its header, or the run is over
				if info, err := os.Stat(output + ".journal"); err == nil && info.Size() > 2000 {
					break
				}
				if _, err := os.Stat(output); err == nil {
					removeRun(t, output)
					break
				}
				time.Sleep(time.Millisecond)
			}
			time.Sleep(wait)
			_ = cmd.Process.Kill()
			if cmd.Wait() != nil {
				kills++
			}
		}
		if out, err := childWith(input, output, true).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if read(t, output) != read(t, undisturbed) {
			t.Errorf("%s: the output after the kills differs from the undisturbed one", format)
		}
		if d, err := Diff(output, undisturbed, 0, nil); err != nil || !d.OK() || d.Outputs["map"] != 0 {
			t.Errorf("%s: got %+v, %v, want no difference", format, d, err)
		}
	}
}

func removeRun(t *testing.T, output string) {
	t.Helper()
	paths, _ := filepath.Glob(output + "*")
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// An image that crashes the process is found, wherever it does.
func TestPoison(t *testing.T) {
	for _, content := range []string{imageOf("crash, please"), "crash when read"} {
		testPoison(t, content)
	}
}

func testPoison(t *testing.T, content string) {
	input := images(t, 40)
	write(t, filepath.Join(input, "00019.jpg"), content)
	output := filepath.Join(t.TempDir(), "out.jsonl")
	for try := range 2 {
		if out, err := child(input, output).CombinedOutput(); err == nil || try == 1 &&
			!strings.Contains(string(out), "are run one by one") {
			t.Fatalf("try %d: got %s, want a crash, and the second time a warning", try, out)
		}
	}
	if out, err := child(input, output).CombinedOutput(); err != nil ||
		!strings.Contains(string(out), "image 19 crashed the process") {
		t.Fatalf("want the poison to be passed over with a warning: %v\n%s", err, out)
	}
	_, records, err := ReadOutput(output)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		switch {
		case r.Index == 19:
			want = errPoison.Error()
		case r.Index%13 == 5:
			want = errBad
		}
		if r.Error != want {
			t.Errorf("image %d: got %q, want the error %q", r.Index, r.Error, want)
		}
	}
}

// A limit on the size of files stops a write half way, as a full disk does.
func TestFullDisk(t *testing.T) {
	input, dir := images(t, 300), t.TempDir()
	whole, output := filepath.Join(dir, "whole.jsonl"), filepath.Join(dir, "out.jsonl")
	if out, err := child(input, whole).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, kib := range []string{"4", "40"} {
		cmd := child(input, output)
		cmd.Args = []string{"sh", "-c", "ulimit -f " + kib + " && exec " + cmd.Path}
		cmd.Path = "/bin/sh"
		if out, err := cmd.CombinedOutput(); err == nil ||
			!strings.Contains(string(out), "file too large") {
			t.Errorf("%s KiB: got %v, want an error that says why\n%s", kib, err, out)
		}
		if _, err := os.Stat(output); err == nil {
			t.Errorf("%s KiB: a failed run left an output under its final name", kib)
		}
	}
	if out, err := child(input, output).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if read(t, output) != read(t, whole) {
		t.Error("the output after the disk was full differs from the undisturbed one")
	}
}
