package score

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kerasrun/labels"
	"kerasrun/tensor"
)

// The tests' model sees an image as its first bytes: "bad" fails to decode, "crash" kills the
// process as native code does, and "nan" answers NaN. Everything else answers with numbers drawn
// from its content, which depend on the batch too little for float32 to show.
const classes = 7

func fakeModel(delay time.Duration) Model {
	list := make(labels.Labels, classes)
	for i := range list {
		list[i] = labels.Class{ID: fmt.Sprintf("n%04d", i), Name: fmt.Sprintf("a \"class\", %d", i)}
	}
	return Model{
		ID: "fake", Preprocessing: "2x2 caffe", Shape: tensor.Shape{2, 2, 3}, Labels: list,
		Preprocess: func(dst []float32, image []byte) ([]float32, error) {
			if strings.HasPrefix(string(image), "bad") {
				return dst, errors.New("not an image: \"bad\", as it says")
			}
			h := fnv.New64a()
			h.Write(image)
			marker := float32(0)
			switch {
			case strings.HasPrefix(string(image), "crash"):
				marker = 1
			case strings.HasPrefix(string(image), "nan"):
				marker = 2
			}
			dst = append(dst, marker, float32(h.Sum64()>>40))
			return append(dst, make([]float32, 10)...), nil
		},
		Run: func(_ context.Context, in tensor.Tensor) (tensor.Tensor, error) {
			time.Sleep(delay)
			pixels, _ := in.Float32s()
			var out []float32
			for row := range slices.Chunk(pixels, 12) {
				if row[0] == 1 {
					_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
					select {}
				}
				r := rand.New(rand.NewPCG(uint64(row[1]), 0))
				for range classes {
					p := r.Float32()
					if row[0] == 2 {
						p -= p
						p /= p
					}
					out = append(out, p)
				}
			}
			return tensor.New(tensor.Shape{in.Shape[0], classes}, out)
		},
	}
}

func config(output string, source Source) Config {
	return Config{Model: fakeModel(0), Source: source, Output: output, Batch: 8, Concurrency: 2,
		Workers: 3, OnError: RecordErrors,
		Columns: Columns{Top: 3, Labels: LabelName, Vector: Top}, Warn: func(string) {}}
}

// images writes n files, of which a few are bad, and returns their folder.
func images(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		content := fmt.Sprintf("image %d", i)
		if i%13 == 5 {
			content = "bad"
		}
		write(t, filepath.Join(dir, fmt.Sprintf("%05d.jpg", i)), content)
	}
	return dir
}

func source(t testing.TB, args ...string) Source {
	t.Helper()
	s, err := Open(args, InputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func mustRun(t testing.TB, c Config) Summary {
	t.Helper()
	s, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if s.Answered+s.Failed != s.Images {
		t.Fatalf("%d images in, %d answered, %d failed", s.Images, s.Answered, s.Failed)
	}
	return s
}

func TestShardsMergeToTheWhole(t *testing.T) {
	input := source(t, images(t, 150))
	for _, format := range []string{"jsonl", "csv", "parquet"} {
		for _, columns := range []Columns{
			{Top: 3, Labels: LabelBoth, Vector: Top},
			{Top: 2, Labels: LabelNone, Vector: Probs, Length: classes},
			{Top: 2, Labels: LabelID, Vector: Top, Separate: true},
			{Top: 2, Labels: LabelNone, Vector: Probs, Length: classes, Logits: true},
			{Vector: Features, Length: classes},
		} {
			for _, onError := range []OnError{RecordErrors, SkipErrors} {
				t.Run(fmt.Sprintf("%s/%+v/%s", format, columns, onError), func(t *testing.T) {
					dir := t.TempDir()
					c := config(filepath.Join(dir, "single."+format), input)
					c.Columns, c.OnError = columns, onError
					single := mustRun(t, c)
					c.Output = filepath.Join(dir, "out."+format)
					var shards []string
					for i := range 4 {
						c.Shard = Shard{i, 4}
						shards = append(shards, mustRun(t, c).Output)
					}
					slices.Reverse(shards)
					m, err := Merge(c.Output, shards, nil)
					if err != nil {
						t.Fatal(err)
					}
					if m.Images != single.Images || m.Answered != single.Answered ||
						m.Failed != single.Failed {
						t.Errorf("got %+v, want the counts %+v", m, single)
					}
					if read(t, c.Output) != read(t, single.Output) {
						t.Error("the merged output differs from the single run's")
					}
					if d, err := Diff(single.Output, c.Output, 0); err != nil || !d.OK() {
						t.Errorf("got %+v, %v, want no difference", d, err)
					}
				})
			}
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	dir, input := t.TempDir(), source(t, images(t, 40))
	shard := func(name string, s Shard, change func(*Config)) string {
		c := config(filepath.Join(dir, name), input)
		c.Shard = s
		if change != nil {
			change(&c)
		}
		return mustRun(t, c).Output
	}
	a, b := shard("x.csv", Shard{0, 2}, nil), shard("x.csv", Shard{1, 2}, nil)
	other := shard("y.csv", Shard{1, 2}, func(c *Config) { c.Model.ID = "another" })
	for _, test := range []struct {
		name   string
		output string
		shards []string
		want   string
	}{
		{"missing", "m.csv", []string{a}, "shard 1/2 is missing"},
		{"double", "m.csv", []string{a, b, b}, "shard 1/2, as"},
		{"another model", "m.csv", []string{a, other}, "model: there another, now fake"},
		{"another format", "m.jsonl", []string{a, b}, "expected an output in csv"},
		{"no manifest", "m.csv", []string{a, filepath.Join(dir, "none.csv")},
			"none.csv.manifest.json"},
		{"there already", filepath.Base(a), []string{a, b}, "is there already"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Merge(filepath.Join(dir, test.output), test.shards, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestResumeRefusesAnotherRun(t *testing.T) {
	input := images(t, 40)
	for _, test := range []struct {
		want   string
		change func(*Config)
	}{
		{"model: there fake, now another", func(c *Config) { c.Model.ID = "another" }},
		{"preprocessing: there 2x2 caffe, now 3x3",
			func(c *Config) { c.Model.Preprocessing = "3x3" }},
		{"batch: there 8, now 16", func(c *Config) { c.Batch = 16 }},
		{"number of images: there 40, now 5",
			func(c *Config) { c.Source = source(t, images(t, 5)) }},
		{"inputs, by the SHA-256 of their paths and sizes: there",
			func(c *Config) { c.Source = source(t, images(t, 40)) }},
		{"columns: there", func(c *Config) { c.Columns.Top = 2 }},
	} {
		t.Run(test.want, func(t *testing.T) {
			c := config(filepath.Join(t.TempDir(), "out.csv"), source(t, input))
			stopped, stop := context.WithCancel(t.Context())
			c.Progress = func(Counts) { stop() }
			if _, err := Run(stopped, c); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want the run to be stopped", err)
			}
			c.Progress = nil
			changed := c
			test.change(&changed)
			var mismatch *MismatchError
			if _, err := Run(t.Context(), changed); !errors.As(err, &mismatch) ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a refusal with %q", err, test.want)
			}
			mustRun(t, c)
			if _, err := Run(t.Context(), changed); !errors.As(err, &mismatch) {
				t.Errorf("got %v, want a refusal of the finished output", err)
			}
			if s := mustRun(t, c); !s.Already {
				t.Error("want the finished run to be known again")
			}
		})
	}
}

func TestJournalDamage(t *testing.T) {
	input := source(t, images(t, 100))
	half := func(t *testing.T) (c Config, journal string) {
		c = config(filepath.Join(t.TempDir(), "out.jsonl"), input)
		stopped, stop := context.WithCancel(t.Context())
		c.Progress = func(n Counts) {
			if n.Answered+n.Failed >= 48 {
				stop()
			}
		}
		if _, err := Run(stopped, c); err == nil {
			t.Fatal("want the run to be stopped")
		}
		c.Progress = nil
		return c, c.Output + ".journal"
	}
	whole := config(filepath.Join(t.TempDir(), "whole.jsonl"), input)
	mustRun(t, whole)
	t.Run("torn at every length", func(t *testing.T) {
		c, path := half(t)
		journal := read(t, path)
		last := strings.LastIndex(strings.TrimSuffix(journal, "\n"), "\n") + 1
		for cut := last; cut < len(journal); cut += 1 + (len(journal)-last)/9 {
			removeRun(t, c.Output)
			write(t, path, journal[:cut])
			warned := ""
			c.Warn = func(m string) { warned = m }
			mustRun(t, c)
			if read(t, c.Output) != read(t, whole.Output) {
				t.Errorf("cut at %d: the output differs", cut)
			}
			if (warned != "") != (cut > last) {
				t.Errorf("cut at %d: warning %q", cut, warned)
			}
		}
	})
	t.Run("damaged before the end", func(t *testing.T) {
		c, path := half(t)
		lines := strings.SplitAfter(read(t, path), "\n")
		lines[2] = strings.Replace(lines[2], "{", "[", 1)
		write(t, path, strings.Join(lines, ""))
		if _, err := Run(t.Context(), c); err == nil ||
			!strings.Contains(err.Error(), "line 3 is damaged") {
			t.Errorf("got %v, want an error that names line 3", err)
		}
	})
}

func TestOnErrorStop(t *testing.T) {
	input := images(t, 40)
	c := config(filepath.Join(t.TempDir(), "out.csv"), source(t, input))
	c.OnError = StopOnError
	if _, err := Run(t.Context(), c); err == nil ||
		!strings.Contains(err.Error(), "00005.jpg: not an image") {
		t.Errorf("got %v, want the first bad image to stop the run", err)
	}
	if _, err := os.Stat(c.Output); err == nil {
		t.Error("a stopped run left an output under its final name")
	}
}

func TestNaNIsAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.jpg"), "nan")
	write(t, filepath.Join(dir, "b.jpg"), "fine")
	c := config(filepath.Join(t.TempDir(), "out.csv"), source(t, dir))
	if s := mustRun(t, c); s.Failed != 1 || s.Answered != 1 {
		t.Errorf("got %+v, want one answered and one failed", s)
	}
}

func TestPipeHasNoJournal(t *testing.T) {
	var out strings.Builder
	c := config("-", source(t, images(t, 20)))
	c.Stdout = &out
	c.Progress = func(n Counts) { // nothing is held back
		if lines := int64(strings.Count(out.String(), "\n")); lines != n.Answered+n.Failed {
			t.Errorf("got %d, want %d lines", lines, n.Answered+n.Failed)
		}
	}
	if s := mustRun(t, c); s.Answered+s.Failed != 20 {
		t.Errorf("got %+v, want 20 images", s)
	}
}

func TestUnwritableOutput(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "no", "such", "out.csv"), source(t, images(t, 3)))
	if _, err := Run(t.Context(), c); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want an error that names the folder", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	c := config(filepath.Join(t.TempDir(), "out.csv"), source(t, images(t, 40)))
	second := c
	c.Progress = func(n Counts) {
		if n.Answered+n.Failed == 8 {
			if _, err := Run(t.Context(), second); err == nil ||
				!strings.Contains(err.Error(), "another process is at this run") {
				t.Errorf("got %v, want the second run to be refused", err)
			}
		}
	}
	mustRun(t, c)
}

func TestDiffRefusesOtherColumns(t *testing.T) {
	dir, input := t.TempDir(), source(t, images(t, 10))
	a, b := config(filepath.Join(dir, "a.csv"), input), config(filepath.Join(dir, "b.csv"), input)
	b.Columns.Logits = true
	mustRun(t, a)
	mustRun(t, b)
	if _, err := Diff(a.Output, b.Output, 1); err == nil ||
		!strings.Contains(err.Error(), "the same columns") {
		t.Errorf("got %v, want an error that says the columns differ", err)
	}
}

// Whatever stands in a journal, reading it ends: with what is whole, and an error that is not a
// torn line's where more than the end is damaged.
func FuzzReadJournal(f *testing.F) {
	path := filepath.Join(f.TempDir(), "out.csv")
	c := config(path, source(f, images(f, 10)))
	j, err := openJournal(path+".journal", Header{Format: journalFormat})
	if err != nil {
		f.Fatal(err)
	}
	p := pipeline{Config: c, inputs: digestInputs(c.Source, c.Batch), journal: j, keep: j.commit}
	if err := errors.Join(p.run(context.Background()), j.close()); err != nil {
		f.Fatal(err)
	}
	good := read(f, path+".journal")
	f.Add([]byte(good))
	f.Add([]byte(good[:len(good)-7]))
	f.Add([]byte(strings.Replace(good, "image", "IMAGE", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var end int64
		err := readJournal(bytes.NewReader(data), func(_ *Header, e entry, at int64) error {
			if at <= end || at > int64(len(data)) || data[at-1] != '\n' {
				t.Errorf("a line ends at %d, after %d, of %d", at, end, len(data))
			}
			end = at
			if e.Batch != nil {
				for _, r := range e.Batch.Records {
					_, _ = r.unpack()
				}
			}
			return nil
		})
		var torn *tornError
		if rest := data[end:]; errors.As(err, &torn) && bytes.IndexByte(rest, '\n') >= 0 &&
			bytes.IndexByte(rest, '\n') != len(rest)-1 {
			t.Errorf("%v, with more lines after it", err)
		}
	})
}
