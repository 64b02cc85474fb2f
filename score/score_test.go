package score

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kerasrun/classify"
	"kerasrun/contract"
	"kerasrun/labels"
	"kerasrun/savedmodel"
	"kerasrun/tensor"
)

// The tests' images are 2 x 2, with a marker and a hash of their content in the first pixels:
// "crash" kills the process as native code does, and "nan" answers NaN. Everything else answers
// with numbers drawn from its hash, which depend on the batch too little for float32 to show. "bad"
// is no image.
const classes = 7

const (
	markerCrash = 1
	markerNaN   = 2
)

// errBad is what is said of a bad image.
const errBad = "not an image: JPEG, PNG, GIF, BMP, WebP, PNM and TIFF begin otherwise"

// imageOf returns the BMP file that stands for the content.
func imageOf(content string) string {
	if content == "bad" {
		return content
	}
	marker := byte(0)
	switch {
	case strings.HasPrefix(content, "crash"):
		marker = markerCrash
	case strings.HasPrefix(content, "nan"):
		marker = markerNaN
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, content)
	sum := h.Sum64()
	// The lower row comes first, each pixel as blue, green, red.
	lower := []byte{0, 0, 0, 0, 0, 0, 0, 0}
	upper := []byte{byte(sum >> 40), 0, marker, 0, byte(sum >> 56), byte(sum >> 48), 0, 0}
	header := binary.LittleEndian.AppendUint32([]byte("BM"), 14+40+16)
	header = binary.LittleEndian.AppendUint32(header, 0)
	header = binary.LittleEndian.AppendUint32(header, 14+40)
	for _, field := range []uint32{40, 2, 2, 1 | 24<<16, 0, 16, 0, 0, 0, 0} {
		header = binary.LittleEndian.AppendUint32(header, field)
	}
	return string(slices.Concat(header, lower, upper))
}

// fake computes each of its outputs alike.
type fake struct{ delay time.Duration }

func fakeModel(delay time.Duration) Model {
	return Model{Model: fake{delay}, ID: "fake", Preprocessing: "2x2 caffe"}
}

func (fake) SavedModel() *savedmodel.Model {
	return &savedmodel.Model{Manifest: &contract.Manifest{
		Inputs: []contract.Input{contract.Input1{
			Name: "images", DType: "float32", Height: 2, Width: 2, Channels: 3, Layout: "NHWC",
			ColorOrder: "RGB", Mode: "none", Resample: "nearest", Fit: "stretch",
		}.Input()},
		Outputs: map[string][]contract.Output{contract.DefaultSignature: {
			{Name: "probs", Kind: contract.Probabilities},
			{Name: "logits", Kind: contract.Logits, Activation: "softmax"},
			{Name: "features", Kind: contract.Embedding}}},
		Answer: "probs",
	}}
}

func (fake) Signature(key string) (savedmodel.Signature, error) {
	out := savedmodel.TensorInfo{DType: tensor.Float32, Shape: tensor.Shape{-1, classes}}
	return savedmodel.Signature{
		Key: key,
		Inputs: map[string]savedmodel.TensorInfo{
			"images": {DType: tensor.Float32, Shape: tensor.Shape{-1, 2, 2, 3}},
		},
		Outputs: map[string]savedmodel.TensorInfo{"probs": out, "logits": out, "features": out},
	}, nil
}

func (fake) Labels() labels.Labels {
	list := make(labels.Labels, classes)
	for i := range list {
		list[i] = labels.Class{ID: fmt.Sprintf("n%04d", i), Name: fmt.Sprintf("a \"class\", %d", i)}
	}
	return list
}

func (f fake) RunSignature(
	_ context.Context, _ string, in map[string]tensor.Tensor,
) (map[string]tensor.Tensor, error) {
	time.Sleep(f.delay)
	pixels, err := in["images"].Float32s()
	if err != nil {
		return nil, err
	}
	var values []float32
	for row := range slices.Chunk(pixels, 12) {
		if row[0] == markerCrash {
			crash()
		}
		r := rand.New(rand.NewPCG(uint64(row[2])+uint64(row[4])*256+uint64(row[5])*65536, 0))
		for range classes {
			p := r.Float32()
			if row[0] == markerNaN {
				p -= p
				p /= p
			}
			values = append(values, p)
		}
	}
	out, err := tensor.New(tensor.Shape{in["images"].Shape[0], classes}, values)
	return map[string]tensor.Tensor{"probs": out, "logits": out, "features": out}, err
}

// crash ends the process as native code does.
func crash() {
	self, _ := os.FindProcess(os.Getpid())
	_ = self.Signal(syscall.SIGSEGV)
	select {}
}

func config(output string, source Source) Config {
	return Config{Model: fakeModel(0), Source: source, Output: output, Batch: 8, Concurrency: 2,
		Workers: 3, OnError: RecordErrors,
		Columns: Columns{Top: 3}, Warn: func(string) {}}
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
		write(t, filepath.Join(dir, fmt.Sprintf("%05d.jpg", i)), imageOf(content))
	}
	return dir
}

func source(t testing.TB, args ...string) Source {
	t.Helper()
	s, _, err := Open(t.Context(), args, InputOptions{})
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
	for _, format := range []string{"jsonl", "csv", "parquet", "npz"} {
		for _, columns := range []Columns{
			{Top: 3, Labels: LabelBoth},
			{Top: 2, Labels: LabelNone, Outputs: []string{Probs}},
			{Top: 2, Labels: LabelID, Outputs: []string{Top}, Separate: true},
			{Top: 2, Labels: LabelNone, Outputs: []string{Probs}, Logits: true},
			{Outputs: []string{"features", "logits"}},
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
					if d, err := Diff(single.Output, c.Output, 0, nil); err != nil || !d.OK() {
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

// TestOutputsThatSayOtherwise changes a field of a run's manifest, or a row of its output, as no
// run writes it. Diff and Merge name the file; they neither fail over it nor write other rows.
func TestOutputsThatSayOtherwise(t *testing.T) {
	input := images(t, 9)
	column := func(shape ...any) []any {
		return []any{map[string]any{"name": "features", "dtype": "float32", "shape": shape}}
	}
	type object = map[string]any
	type change struct {
		name     string
		manifest func(m, columns object)
		rows     func(lines []string) []string // of .jsonl
	}
	changes := []change{
		{name: "top below 0", manifest: func(_, c object) { c["top"] = -1 }},
		{name: "a huge top", manifest: func(_, c object) { c["top"] = 1 << 50 }},
		{name: "labels", manifest: func(_, c object) { c["labels"] = "all" }},
		{name: "an endless row",
			manifest: func(_, c object) { c["outputs"] = column(1<<31, 1<<30) }},
		{name: "a long row", manifest: func(_, c object) { c["outputs"] = column(1 << 40) }},
		{name: "a size below -1", manifest: func(_, c object) { c["outputs"] = column(-2) }},
		{name: "another size", manifest: func(_, c object) { c["outputs"] = column(classes + 1) }},
		{name: "a free size, other numbers", manifest: func(_, c object) {
			c["outputs"] = []any{object{"name": "features", "dtype": "int8", "shape": []int{-1}}}
		}},
		{name: "a column twice", manifest: func(_, c object) {
			c["outputs"] = append(column(classes), column(classes)...)
		}},
	}
	edit := func(i int, from, to string) func([]string) []string {
		return func(lines []string) []string {
			if !strings.Contains(lines[i], from) {
				t.Fatalf("%s has no %s", lines[i], from)
			}
			lines[i] = strings.Replace(lines[i], from, to, 1)
			return lines
		}
	}
	rows := []change{
		{name: "more classes", rows: edit(1, `"class":[`, `"class":[1,`)},
		{name: "fewer probabilities", rows: edit(1, `"probability":[`, `"probability":[],"x":[`)},
		{name: "no label", rows: edit(1, `"label":[`, `"label":[],"x":[`)},
		{name: "other numbers", rows: edit(1, `"features":[`, `"features":[1,`)},
		{name: "twice", rows: edit(2, `"index":2`, `"index":1`)},
		{name: "another order", rows: edit(2, `"index":2`, `"index":0`)},
		{name: "no answer and no error", rows: edit(1, `"class":[`, `"class":[],"label":[],`+
			`"probability":[],"features":[0,0,0,0,0,0,0],"error":null}`+"\n"+`{"x":[`)},
	}
	for _, format := range []string{"csv", "jsonl", "parquet", "npz"} {
		c := config(filepath.Join(t.TempDir(), "whole."+format), source(t, input))
		c.Columns.Outputs = []string{Top, "features"}
		whole := mustRun(t, c).Output
		all := changes
		if format == "jsonl" {
			all = append(slices.Clone(changes), rows...)
		}
		for _, test := range all {
			dir := t.TempDir()
			other := filepath.Join(dir, "other."+format)
			var manifest object
			if err := json.Unmarshal([]byte(read(t, ManifestPath(whole))), &manifest); err != nil {
				t.Fatal(err)
			}
			text := read(t, whole)
			if test.rows != nil {
				text = strings.Join(test.rows(strings.SplitAfter(text, "\n")), "")
				manifest["output_sha256"] = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
			} else {
				test.manifest(manifest, manifest["columns"].(object))
			}
			write(t, other, text)
			write(t, ManifestPath(other), jsonOf(t, manifest))
			if _, err := Diff(other, other, 0, nil); err == nil ||
				!strings.Contains(err.Error(), other) {
				t.Errorf("%s, %s: diff: got %v, want an error with the file", format, test.name,
					err)
			}
			_, err := Merge(filepath.Join(dir, "merged."+format), []string{other}, nil)
			if err == nil || !strings.Contains(err.Error(), other) {
				t.Errorf("%s, %s: merge: got %v, want an error with the file", format, test.name,
					err)
			}
		}
	}
}

// TestMergeOfShardsThatSayOtherwise changes the manifest of one of two shards.
func TestMergeOfShardsThatSayOtherwise(t *testing.T) {
	input := source(t, images(t, 40))
	for want, change := range map[string]func(m map[string]any){
		`columns: there {"top":2,`: func(m map[string]any) {
			m["columns"].(map[string]any)["top"] = 2
		},
		"expected the shards of 40 images, got those of 39": func(m map[string]any) {
			m["pictures"] = m["pictures"].(float64) - 1
		},
		"shard 19/1000000000 is missing": func(m map[string]any) {
			m["run"].(map[string]any)["shard"] = "0/1000000000"
		},
	} {
		dir := t.TempDir()
		var shards []string
		for i := range 2 {
			c := config(filepath.Join(dir, "x.jsonl"), input)
			c.Shard = Shard{i, 2}
			shards = append(shards, mustRun(t, c).Output)
		}
		for i, shard := range shards {
			var manifest map[string]any
			if err := json.Unmarshal([]byte(read(t, ManifestPath(shard))), &manifest); err != nil {
				t.Fatal(err)
			}
			if i == 0 == strings.HasPrefix(want, "shard") {
				change(manifest)
			}
			write(t, ManifestPath(shard), jsonOf(t, manifest))
		}
		_, err := Merge(filepath.Join(dir, "merged.jsonl"), shards, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
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

// What is left out of a Config has a useful value; what is wrong in it is said, all of it.
func TestConfig(t *testing.T) {
	input := source(t, images(t, 40))
	s := mustRun(t, Config{
		Model: fakeModel(0), Source: input, Output: filepath.Join(t.TempDir(), "out.jsonl"),
	})
	if s.Answered != 37 || s.Failed != 3 {
		t.Errorf("got %+v, want 37 answered and 3 failed", s)
	}
	schema, records, err := ReadOutput(s.Output)
	want := Schema{Top: 5, Kind: contract.Probabilities, Labels: LabelName, Outputs: []Column{}}
	if err != nil || !reflect.DeepEqual(schema, want) {
		t.Errorf("got the schema %+v, %v, want %+v", schema, err, want)
	}
	for r, err := range records {
		if err != nil || r.Error == "" && (len(r.Classes) != 5 || r.Labels[0] == "") {
			t.Errorf("got %+v, %v", r, err)
		}
	}
	if _, err := Run(t.Context(), Config{Output: "-"}); err == nil ||
		!strings.Contains(err.Error(), "model: expected one, got none") ||
		!strings.Contains(err.Error(), "source: expected one, got none") {
		t.Errorf("nothing: got %v", err)
	}
	for want, change := range map[string]func(*Config){
		"batch: expected 0 or more, got -1": func(c *Config) {
			c.Batch = -1
		},
		"concurrency: expected 0 or more, got -2": func(c *Config) {
			c.Concurrency = -2
		},
		"workers: expected 0 or more, got -3": func(c *Config) {
			c.Workers = -3
		},
		"top: expected 0 or more, got -4": func(c *Config) {
			c.Columns.Top = -4
		},
		"shard: expected an index below the count, got 2 and 2": func(c *Config) {
			c.Shard = Shard{2, 2}
		},
		`on error: expected record, skip or stop, got "x"`: func(c *Config) {
			c.OnError = "x"
		},
		`outputs: expected top, probs or names of outputs of one signature ` +
			`(serving_default: probs, logits, features), got ["x"]`: func(c *Config) {
			c.Columns.Outputs = []string{"x"}
		},
		`label type: expected none, id, name or both, got "x"`: func(c *Config) {
			c.Columns.Labels = "x"
		},
		"out.txt: expected an output that ends in .jsonl, .csv, .parquet ": func(c *Config) {
			c.Output = "out.txt"
		},
	} {
		c := config(filepath.Join(t.TempDir(), "out.csv"), input)
		change(&c)
		if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Batches that are answered by themselves, in any order, are shards that merge into the output of
// the run that cuts them.
func TestAnswerer(t *testing.T) {
	input := source(t, images(t, 20))
	for _, ending := range []string{"jsonl", "csv", "parquet", "npz"} {
		dir := t.TempDir()
		whole, output := filepath.Join(dir, "whole."+ending), filepath.Join(dir, "parts."+ending)
		c := config(whole, input)
		mustRun(t, c)
		a, err := NewAnswerer(c.Model, c.Columns, output, c.Batch)
		if err != nil {
			t.Fatal(err)
		}
		h, err := NewHeader(t.Context(), input, c.Batch)
		if err != nil {
			t.Fatal(err)
		}
		shards := make([][]Answered, 2)
		number := int64(0)
		for items := range slices.Chunk(slices.Collect(input), c.Batch) {
			b, err := a.Answer(t.Context(), number, items)
			if err != nil {
				t.Fatal(err)
			}
			// the last first
			shards[number%2] = slices.Insert(shards[number%2], 0, b)
			number++
		}
		var paths []string
		for i, batches := range shards {
			if _, err := a.WriteShard(output, h, Shard{i, 2}, batches, nil); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, Shard{i, 2}.Path(output))
		}
		merged := filepath.Join(dir, "merged."+ending)
		m, err := Merge(merged, paths, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, want := read(t, merged), read(t, whole)
		if got != want || m.Images != 20 {
			t.Errorf("%s: got %d bytes of %d images, want the run's %d", ending, len(got),
				m.Images, len(want))
		}
		for name, wrong := range map[string][]Answered{
			"lost": shards[0][1:], "doubled": append(shards[0], shards[0][0]),
		} {
			if _, err := a.WriteShard(output, h, Shard{0, 2}, wrong, nil); err == nil {
				t.Errorf("a batch that was %s: got no error", name)
			}
		}
		if _, err := a.Answer(t.Context(), 0, make([]Item, c.Batch+1)); err == nil {
			t.Error("more than a batch is answered")
		}
		if _, err := NewAnswerer(c.Model, c.Columns, output, 0); err == nil {
			t.Error("batches of none are taken")
		}
	}
}

// Inputs that are not those of the beginning end the run before any of them is taken for another.
func TestInputsChange(t *testing.T) {
	dir := images(t, 40)
	all := slices.Collect(source(t, dir))
	for want, changed := range map[string][]Item{
		"among images 32 to 39":             append(slices.Clone(all[:39]), all[0]),
		"among images 16 to 23":             append(slices.Clone(all[:20]), all[30:]...),
		"among images 40 to 40":             append(slices.Clone(all), all[0]),
		"among images 32 to 38":             all[:39],
		"held 40 images when the run began": all[:32],
		"began, and now hold 32":            all[:32],
	} {
		passes := 0
		c := config(filepath.Join(t.TempDir(), "out.csv"), func(yield func(Item) bool) {
			items := all
			if passes++; passes > 1 {
				items = changed
			}
			slices.Values(items)(yield)
		})
		kept := int64(0)
		c.Progress = func(n Counts) { kept = n.Answered + n.Failed }
		if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if whole := int64(min(len(changed), 40) / 8 * 8); kept > whole {
			t.Errorf("%s: %d images were kept", want, kept)
		}
	}
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
	write(t, filepath.Join(dir, "a.jpg"), imageOf("nan"))
	write(t, filepath.Join(dir, "b.jpg"), imageOf("fine"))
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
	if _, err := Diff(a.Output, b.Output, 1, nil); err == nil ||
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
	recorder, err := c.Model.recorder(c.Columns, formatCSV, classify.Options{BatchSize: c.Batch})
	if err != nil {
		f.Fatal(err)
	}
	digest, err := digestInputs(context.Background(), c.Source, c.Batch,
		func(Item) error { return nil })
	if err != nil {
		f.Fatal(err)
	}
	p := pipeline{Config: c, recorder: recorder, inputs: digest,
		journal: j, keep: j.commit}
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
