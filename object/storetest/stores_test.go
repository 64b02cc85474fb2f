package storetest

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const repository = "../.."

// photos are images of the repository.
var photos = []string{"cat.jpg", "coffee.jpg", "flower.webp", "rocket.jpg"}

// program is what make builds.
func program(t testing.TB) string {
	path, err := filepath.Abs(filepath.Join(repository, "bin/kerasrun"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		leaveOut(t, path+": not there: make bin/kerasrun builds it")
	}
	return path
}

func model(t testing.TB) string {
	path, err := filepath.Abs(filepath.Join(repository, "models/efficientnet-lite0"))
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		leaveOut(t, fmt.Sprintf("%v: make exports it", err))
	}
	return path
}

// result is how the program ended.
type result struct {
	out, err string
	status   int
}

// command is the program with the environment of a server; what it keeps is in the test's folder.
func command(t testing.TB, s *server, dir string, arguments ...string) *exec.Cmd {
	cmd := exec.Command(program(t), arguments...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), s.environment...)
	cmd.Env = append(cmd.Env, "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"),
		"AWS_EC2_METADATA_DISABLED=true")
	return cmd
}

func run(t testing.TB, s *server, dir string, arguments ...string) result {
	t.Helper()
	cmd := command(t, s, dir, arguments...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), problems.String(), cmd.ProcessState.ExitCode()}
}

func score(t testing.TB, s *server, dir string, want int, arguments ...string) result {
	t.Helper()
	common := []string{"score", "--model", model(t), "--batch", "4"}
	r := run(t, s, dir, append(common, arguments...)...)
	if r.status != want {
		t.Fatalf("%q: got status %d, want %d: %s", arguments, r.status, want, r.err)
	}
	return r
}

// fill puts the same files into a folder and into the server: photos, one that is none, what is
// passed over, archives, tables and lists of them.
func fill(t *testing.T, s *server, dir string) {
	t.Helper()
	put := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600),
			s.put(name, data))
		if err != nil {
			t.Fatal(err)
		}
	}
	var asTar, asZip bytes.Buffer
	packed, zipped := tar.NewWriter(&asTar), zip.NewWriter(&asZip)
	table, list := "id;path\n", ""
	for i, name := range photos {
		data, err := os.ReadFile(filepath.Join(repository, "testdata/photos", name))
		if err != nil {
			t.Fatal(err)
		}
		put("photos/"+name, data)
		put("photos/below it/"+strings.TrimSuffix(name, filepath.Ext(name)), data) // told by its bytes
		err = packed.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data))})
		if err == nil {
			_, err = packed.Write(data)
		}
		w, zipErr := zipped.Create(name)
		if err = errors.Join(err, zipErr); err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		table += fmt.Sprintf("%d;photos/%s\n", i, name)
		list += "photos/" + name + "\n"
	}
	if err := errors.Join(packed.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	put("photos/none.jpg", []byte("no image"))
	put("photos/note.txt", []byte("no image"))
	put("photos.tar", asTar.Bytes())
	put("photos.zip", asZip.Bytes())
	put("table.csv", []byte(table+"9;photos/not there.jpg\n"))
	put("list.txt", []byte(list))
	score(t, s, dir, 0, "-q", "--output", "rows.parquet", "--files-from", "list.txt")
	rows, err := os.ReadFile(filepath.Join(dir, "rows.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	put("rows.parquet", rows)
	put("urls.txt", []byte(strings.ReplaceAll(list, "photos/", s.url("photos/"))))
}

// TestInputs holds that every kind of input gives the rows of the same files on this machine, but
// for the addresses.
func TestInputs(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		dir := t.TempDir()
		fill(t, s, dir)
		for _, test := range []struct {
			name   string
			status int
			local  []string // of which "@" is the place
		}{
			{"an object", 0, []string{"@photos/cat.jpg"}},
			{"a directory", 3, []string{"@photos"}},
			{"a glob", 0, []string{"@photos/[cf]*"}},
			{"tar", 0, []string{"@photos.tar"}},
			{"zip", 0, []string{"@photos.zip"}},
			{"csv", 3, []string{"--column", "path", "--keep", "id", "@table.csv"}},
			{"parquet", 0, []string{"--column", "path", "@rows.parquet"}},
		} {
			there := func(place, output string) []string {
				arguments := []string{"-q", "--output", output}
				for _, a := range test.local {
					arguments = append(arguments, strings.ReplaceAll(a, "@", place))
				}
				return arguments
			}
			score(t, s, dir, test.status, there("", test.name+".here.jsonl")...)
			score(t, s, dir, test.status, there(s.url(""), test.name+".jsonl")...)
			sameRows(t, s, test.name, filepath.Join(dir, test.name+".here.jsonl"),
				filepath.Join(dir, test.name+".jsonl"))
		}
		score(t, s, dir, 0, "-q", "--output", "here.jsonl", "--files-from", "list.txt")
		score(t, s, dir, 0, "-q", "--output", "list.jsonl", "--files-from", s.url("urls.txt"))
		sameRows(t, s, "a list", filepath.Join(dir, "here.jsonl"), filepath.Join(dir, "list.jsonl"))
		answer := run(t, s, dir, "classify", "--model", model(t), "--format", "csv", "--topk", "1",
			s.url("photos/cat.jpg"))
		if !strings.Contains(answer.out, s.url("photos/cat.jpg")) || answer.status != 0 {
			t.Errorf("classify: got %+v", answer)
		}
	})
}

// sameRows compares JSON lines whose paths and errors differ by the address.
func sameRows(t *testing.T, s *server, name, here, there string) {
	t.Helper()
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	want, got := read(here), strings.ReplaceAll(read(there), s.url(""), "")
	got = strings.ReplaceAll(got, "photos/not there.jpg: there is no such object",
		"open photos/not there.jpg: no such file or directory")
	if got != want || strings.Count(want, "\n") == 0 {
		t.Errorf("%s: got\n%s, want\n%s", name, got, want)
	}
}

// TestOutputs holds that an output in a store, its failures and its shards have the bytes of one on
// this machine, and that nothing else is left.
func TestOutputs(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		dir := t.TempDir()
		fill(t, s, dir)
		input := s.url("photos")
		for _, format := range []string{"jsonl", "csv", "parquet", "npz"} {
			name := "out." + format
			score(t, s, dir, 3, "--output", name, "--failures", "failures.csv", input)
			score(t, s, dir, 3, "--output", s.url(name), "--failures", s.url("failures.csv"), input)
			for _, file := range []string{name, "failures.csv"} {
				want, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := s.get(file); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: got %d bytes (%v), want the %d of the local run", file, len(got), err,
						len(want))
				}
			}
			again := score(t, s, dir, 3, "--output", s.url(name), input)
			if !strings.Contains(again.err, "complete before") {
				t.Errorf("%s again: got %s", name, again.err)
			}
			for _, gone := range []string{".journal/0000001", ".partial"} {
				if _, err := s.get(name + gone); err == nil {
					t.Errorf("%s%s: it is there, want it removed", name, gone)
				}
			}
		}
		var shards []string
		for i := range 2 {
			score(t, s, dir, 3*i, "--output", s.url("part.csv"), "--shard",
				fmt.Sprintf("%d/2", i), input)
			shards = append(shards, s.url(fmt.Sprintf("part-%05d-of-00002.csv", i)))
		}
		if r := run(t, s, dir, append([]string{"merge", "--output", s.url("merged.csv")},
			shards...)...); r.status != 0 {
			t.Fatalf("merge: %s", r.err)
		}
		one, err1 := s.get("out.csv")
		merged, err2 := s.get("merged.csv")
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, merged) {
			t.Errorf("merge: got %d bytes (%v), want the %d of one run", len(merged), err, len(one))
		}
		page, err := s.get("out.csv.report.html")
		if err != nil || !bytes.Contains(page, []byte(s.url("out.csv"))) {
			t.Errorf("report: got %d bytes (%v)", len(page), err)
		}
	})
}

// kills is how many SIGKILLs a run gets, of each store and format.
var kills = flag.Int("kills", 3, "SIGKILLs of each store and format in TestKills")

// TestKills holds that runs which are killed at any moment end with the bytes of one that was not,
// and that no output is there before.
func TestKills(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		dir := t.TempDir()
		var list strings.Builder
		for i := range 600 {
			name := photos[i%2]
			fmt.Fprintln(&list, s.url(fmt.Sprintf("many/%04d-%s", i, name)))
			data, err := os.ReadFile(filepath.Join(repository, "testdata/photos", name))
			if err == nil {
				err = s.put(fmt.Sprintf("many/%04d-%s", i, name), data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "list.txt"), []byte(list.String()),
			0o600); err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 0))
		for _, format := range []string{"jsonl", "csv", "parquet", "npz"} {
			t.Run(format, func(t *testing.T) { killed(t, s, dir, format, random) })
		}
	})
}

// killed kills runs over the list, and begins anew where one comes to its end.
func killed(t *testing.T, s *server, dir, format string, random *rand.Rand) {
	score(t, s, dir, 0, "-q", "--output", "want."+format, "--files-from", "list.txt")
	want, err := os.ReadFile(filepath.Join(dir, "want."+format))
	if err != nil {
		t.Fatal(err)
	}
	dead, whole := 0, 0
	output := func() string { return fmt.Sprintf("killed-%d.%s", whole, format) }
	arguments := func() []string {
		return []string{"score", "-q", "--model", model(t), "--batch", "4", "--output",
			s.url(output()), "--files-from", "list.txt"}
	}
	for dead < *kills {
		cmd := command(t, s, dir, arguments()...)
		var problems bytes.Buffer
		cmd.Stderr = &problems
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("got %v: %s", err, problems.String())
			}
		case <-grown(s, output()):
			time.Sleep(time.Duration(random.Int64N(3e9)))
			_ = cmd.Process.Kill()
			if err := <-done; err != nil {
				dead++
			}
		}
		got, err := s.get(output())
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("after a kill the output is there with %d bytes, want none or %d", len(got),
				len(want))
		}
		if _, gone := s.get(output() + ".journal/0000001"); err == nil && gone != nil {
			whole++
		}
	}
	if r := run(t, s, dir, arguments()...); r.status != 0 {
		t.Fatalf("the last run: %s", r.err)
	}
	got, err := s.get(output())
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes (%v), want %d", len(got), err, len(want))
	}
	var report struct{ Resumed int }
	data, err := s.get(output() + ".report.json")
	if err = errors.Join(err, json.Unmarshal(data, &report)); err != nil {
		t.Error(err)
	}
	if whole == 0 && report.Resumed == 0 {
		t.Error("got no image from before the last process, want some")
	}
	t.Logf("%d kills, %d runs to their end; the last process went on after %d images", dead, whole+1,
		report.Resumed)
}

// grown is closed when the journal of an output has a part more, or after a minute.
func grown(s *server, output string) <-chan struct{} {
	part := func(number int) bool {
		_, err := s.get(fmt.Sprintf("%s.journal/%07d", output, number))
		return err == nil
	}
	next := 1
	for part(next) {
		next++
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 600 {
			// the header alone is a part, and no progress
			if part(max(next, 2)) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return done
}

// TestRetries holds that answers of 503 are tried again, and that a store which allows few requests
// at a time is not too slow for them.
func TestRetries(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		dir := t.TempDir()
		fill(t, s, dir)
		score(t, s, dir, 3, "-q", "--output", "want.jsonl", s.url("photos"))
		want, err := os.ReadFile(filepath.Join(dir, "want.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		seen, refused := map[string]int{}, 0
		s.faults.set(func(r *http.Request) int {
			mu.Lock()
			defer mu.Unlock()
			if seen[r.Method+r.URL.Path]++; seen[r.Method+r.URL.Path] <= 2 {
				refused++
				return http.StatusServiceUnavailable
			}
			return 0
		})
		defer s.faults.set(nil)
		score(t, s, dir, 3, "-q", "--output", s.url("twice.jsonl"), s.url("photos"))
		if got, err := s.get("twice.jsonl"); err != nil || !bytes.Equal(got, want) || refused < 20 {
			t.Errorf("503 twice: got %d bytes (%v) after %d refusals, want %d", len(got), err, refused,
				len(want))
		}
		var last time.Time
		refused = 0
		s.faults.set(func(*http.Request) int { // at most 50 requests a second
			mu.Lock()
			defer mu.Unlock()
			if time.Since(last) < 20*time.Millisecond {
				refused++
				return http.StatusServiceUnavailable
			}
			last = time.Now()
			return 0
		})
		score(t, s, dir, 3, "-q", "--output", s.url("slow.jsonl"), s.url("photos"))
		if got, err := s.get("slow.jsonl"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("throttled: got %d bytes (%v), want %d", len(got), err, len(want))
		}
		t.Logf("throttled: %d requests were refused", refused)
	})
}

// TestFailures holds what is an image's error, and what ends the run.
func TestFailures(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		dir := t.TempDir()
		fill(t, s, dir)
		defer s.faults.set(nil)
		s.faults.set(func(r *http.Request) int {
			if strings.HasSuffix(r.URL.Path, "cat.jpg") {
				return http.StatusForbidden
			}
			return 0
		})
		list := strings.Join([]string{s.url("photos/cat.jpg"), s.url("photos/gone.jpg"),
			s.url("photos/coffee.jpg")}, "\n")
		if err := os.WriteFile(filepath.Join(dir, "three.txt"), []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		score(t, s, dir, 3, "-q", "--output", "three.csv", "--topk", "1", "--files-from", "three.txt")
		rows, err := os.ReadFile(filepath.Join(dir, "three.csv"))
		for _, want := range []string{"photos/cat.jpg: the store denies it",
			"photos/gone.jpg: there is no such object", "coffee.jpg,967"} {
			if !strings.Contains(string(rows), want) {
				t.Errorf("got %s (%v), want %q", rows, err, want)
			}
		}
		var once sync.Once
		other, err := os.ReadFile(filepath.Join(repository, "testdata/photos/rocket.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		s.faults.set(func(r *http.Request) int {
			if strings.HasSuffix(r.URL.Path, "cat.jpg") {
				once.Do(func() { err = s.put("photos/cat.jpg", other) })
			}
			return 0
		})
		score(t, s, dir, 3, "-q", "--output", "changed.jsonl", s.url("photos"))
		rows, readErr := os.ReadFile(filepath.Join(dir, "changed.jsonl"))
		if want := "cat.jpg: it has changed"; !strings.Contains(string(rows), want) {
			t.Errorf("got %s (%v), want %q", rows, errors.Join(err, readErr), want)
		}
		s.faults.set(nil)
		missing := s.name + "://not-there"
		r := score(t, s, dir, 1, "-q", "--output", "none.jsonl", missing+"/photos")
		if want := missing + ": there is no such bucket"; !strings.Contains(r.err, want) {
			t.Errorf("got %s, want %q", r.err, want)
		}
		s.faults.set(func(*http.Request) int { return http.StatusUnauthorized })
		r = score(t, s, dir, 1, "-q", "--output", "none.jsonl", "--files-from", "three.txt")
		if want := s.bucket + ": the store refuses the credentials"; !strings.Contains(r.err, want) ||
			strings.Count(r.err, "\n") != 1 {
			t.Errorf("got %s, want %q in one line", r.err, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "none.jsonl")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("none.jsonl: got %v, want none", err)
		}
	})
}

// TestModels holds that a model in a store answers as the same on this machine, is checked as that,
// and is copied once.
func TestModels(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		dir := t.TempDir()
		root := model(t)
		putModel(t, s, "model", bytes.Clone)
		putModel(t, s, "damaged", damaged)
		photo, err := filepath.Abs(filepath.Join(repository, "testdata/photos/cat.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		want := run(t, s, dir, "classify", "--model", root, "--format", "jsonl", photo)
		var mu sync.Mutex
		reads := 0
		s.faults.set(func(r *http.Request) int {
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(r.URL.Path, "model/saved_model.pb") && r.Method == http.MethodGet {
				reads++
			}
			return 0
		})
		defer s.faults.set(nil)
		for _, address := range []string{s.url("model"), s.url("model/")} {
			got := run(t, s, dir, "classify", "--model", address, "--format", "jsonl", photo)
			if got.out != want.out || got.status != 0 || want.status != 0 {
				t.Errorf("classify --model %s: got %+v, want %+v", address, got, want)
			}
		}
		if reads == 0 {
			t.Error("the model was not read from the store")
		}
		before := reads
		if got := run(t, s, dir, "verify", s.url("model")); got.status != 0 || reads != before {
			t.Errorf("verify: got %+v after %d reads more, want none", got, reads-before)
		}
		got := run(t, s, dir, "classify", "--model", s.url("damaged"), photo)
		if got.status != 1 || !strings.Contains(got.err, "saved_model.pb") {
			t.Errorf("a damaged model: got %+v, want it refused by its hash", got)
		}
	})
}

// putModel puts the model's files below a key, what change makes of its graph last; nil leaves that
// out.
func putModel(t *testing.T, s *server, key string, change func(graph []byte) []byte) {
	t.Helper()
	root := model(t)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == graphFile {
			return err
		}
		data, err := os.ReadFile(path)
		name := filepath.ToSlash(strings.TrimPrefix(path, root+"/"))
		return errors.Join(err, s.put(key+"/"+name, data))
	})
	if err == nil && change != nil {
		var graph []byte
		graph, err = os.ReadFile(filepath.Join(root, graphFile))
		err = errors.Join(err, s.put(key+"/"+graphFile, change(graph)))
	}
	if err != nil {
		t.Fatal(err)
	}
}

const graphFile = "saved_model.pb"

func damaged(graph []byte) []byte {
	graph = bytes.Clone(graph)
	graph[len(graph)/2] ^= 1
	return graph
}

// TestServedVersions holds that serve takes new versions from a store while it answers: whole ones
// and no others, and that it answers on when the store does not.
func TestServedVersions(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		putModel(t, s, "served/1", bytes.Clone)
		address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		cmd := command(t, s, t.TempDir(), "serve", "--model", s.url("served"), "--addr", address,
			"--file-system-poll-wait-seconds", "0.2")
		log, err := cmd.StderrPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := make(chan string, 1000)
		go func() {
			defer close(lines)
			for scanner := bufio.NewScanner(log); scanner.Scan(); {
				lines <- scanner.Text()
			}
		}()
		defer func() {
			_ = cmd.Process.Kill()
			for range lines {
				continue
			}
			_ = cmd.Wait()
		}()
		defer s.faults.set(nil)
		photo, err := os.ReadFile(filepath.Join(repository, "testdata/photos/cat.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			name    string
			do      func()
			logged  string // what is waited for
			version string // which answers then
		}{
			{"at the start", func() {}, "msg=listening", "1"},
			{"half of one", func() { putModel(t, s, "served/2", nil) },
				"served/2/" + graphFile + ": there is no such object", "1"},
			{"all of it", func() { putModel(t, s, "served/2", bytes.Clone) },
				`msg="version unloaded" model=served version=1`, "2"},
			{"a damaged one", func() { putModel(t, s, "served/3", damaged) },
				graphFile + ": expected the manifest's SHA-256", "2"},
			{"no answer", func() {
				s.faults.set(func(*http.Request) int { return http.StatusUnauthorized })
			}, `msg="cannot look for versions" model=served`, "2"},
			{"an answer again", func() {
				s.faults.set(nil)
				putModel(t, s, "served/4", bytes.Clone)
			}, `msg="version unloaded" model=served version=2`, "4"},
		} {
			step.do()
			awaitLine(t, step.name, lines, step.logged)
			answer, err := http.Post("http://"+address+"/classify", "", bytes.NewReader(photo))
			if err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			var got struct{ Version string }
			err = json.NewDecoder(answer.Body).Decode(&got)
			answer.Body.Close()
			if err != nil || got.Version != step.version {
				t.Errorf("%s: got version %q (%v), want %q", step.name, got.Version, err,
					step.version)
			}
		}
	})
}

// awaitLine reads a log up to a line with those words.
func awaitLine(t *testing.T, name string, lines <-chan string, words string) {
	t.Helper()
	limit := time.After(time.Minute)
	var seen []string
	for {
		select {
		case line, ok := <-lines:
			if seen = append(seen, line); strings.Contains(line, words) {
				return
			}
			if !ok {
				t.Fatalf("%s: the log ends without %q: %s", name, words, strings.Join(seen, "\n"))
			}
		case <-limit:
			t.Fatalf("%s: got no %q within a minute: %s", name, words, strings.Join(seen, "\n"))
		}
	}
}
