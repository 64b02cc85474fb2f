package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// entries are a tiny wheel's files.
func entries() map[string]string {
	return map[string]string{
		"tensorflow/include/tensorflow/c/c_api.h": "const char* TF_Version(void);\n",
		"tensorflow/include/LICENSE":              "a licence\n",
		"tensorflow/THIRD_PARTY_NOTICES.txt":      "notices\n",
		"tensorflow/__init__.py":                  "print('not the C library')\n",
		"tensorflow/libtensorflow_cc.so.2": string(stubELF(elf.EM_X86_64, "libtensorflow_cc.so.2",
			[]string{"TF_Version", "TFE_NewContext", "TSL_GetCode", "other"})),
		"tensorflow/libtensorflow_framework.so.2": string(stubELF(elf.EM_X86_64,
			"libtensorflow_framework.so.2", []string{"framework"})),
		"tensorflow-2.21.0.dist-info/RECORD": "",
	}
}

func zipped(t *testing.T, entries map[string]string) []byte {
	t.Helper()
	var file bytes.Buffer
	archive := zip.NewWriter(&file)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(entries[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// An index is a package index that has one file.
type index struct {
	*httptest.Server
	content  []byte
	page     http.HandlerFunc
	file     http.HandlerFunc
	requests atomic.Int32
}

// newIndex serves content as the wheel of linux/amd64, in HTML. A test replaces its handlers.
func newIndex(t *testing.T, content []byte) *index {
	digest := sha256.Sum256(content)
	w := wheel{
		"tensorflow-cpu",
		"tensorflow_cpu-1+cpu.whl",
		hex.EncodeToString(digest[:]),
		int64(len(content)),
	}
	before := wheels["linux/amd64"]
	wheels["linux/amd64"] = w
	t.Cleanup(func() { wheels["linux/amd64"] = before })

	x := &index{content: content}
	x.page = htmlPage("../../files/"+strings.ReplaceAll(w.file, "+", "%2B")+"#sha256="+w.sha256,
		w.file)
	x.file = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/tensorflow-cpu/",
		func(w http.ResponseWriter, r *http.Request) { x.page(w, r) })
	mux.HandleFunc("/files/"+w.file, func(w http.ResponseWriter, r *http.Request) { x.file(w, r) })
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.requests.Add(1)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(x.Close)
	return x
}

func htmlPage(link, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!DOCTYPE html><html><body><h1>Links</h1>
<a href="../../files/other.whl">other.whl</a><br/>
<a data-requires-python="&gt;=3.10" href="%s">%s</a><br/></body></html>`,
			html.EscapeString(link), html.EscapeString(name))
	}
}

func jsonPage(content string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		fmt.Fprint(w, content)
	}
}

// try runs the program with quick retries.
func try(ctx context.Context, environment map[string]string, args ...string) (int, string, string) {
	var stdout, stderr bytes.Buffer
	c := newClient(&stderr)
	c.pause, c.stall = time.Millisecond, 200*time.Millisecond
	if environment["PIP_CONFIG_FILE"] == "" {
		environment["PIP_CONFIG_FILE"] = os.DevNull
	}
	getenv := func(name string) string { return environment[name] }
	code := run(ctx, args, getenv, c, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func (x *index) environment() map[string]string {
	return map[string]string{"PIP_INDEX_URL": x.URL + "/simple"}
}

// checkNames compares the names in a directory.
func checkNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, entry := range found {
		got = append(got, entry.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", dir, got, want)
	}
}

func TestFetch(t *testing.T) {
	forms := []string{"html", "json", "a slash at the end", "no hash in the page", "credentials"}
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			x := newIndex(t, zipped(t, entries()))
			environment := x.environment()
			w := wheels["linux/amd64"]
			switch form {
			case "json":
				x.page = jsonPage(fmt.Sprintf(`{"meta": {"api-version": "1.4"}, "files": [
					{"filename": "other.whl", "url": "other.whl", "hashes": {}},
					{"filename": %q, "url": %q, "hashes": {"sha256": %q}}]}`,
					w.file, x.URL+"/files/"+w.file, w.sha256))
			case "a slash at the end":
				environment["PIP_INDEX_URL"] += "/"
			case "no hash in the page":
				x.page = htmlPage("/files/"+w.file, w.file)
			case "credentials":
				environment["PIP_INDEX_URL"] = strings.Replace(
					x.URL,
					"://",
					"://me:secret@",
					1,
				) + "/simple"
				page, file := x.page, x.file
				private := func(next http.HandlerFunc) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						if user, password, _ := r.BasicAuth(); user != "me" ||
							password != "secret" {
							t.Errorf("%s: got user %q, want me with its password", r.URL, user)
						}
						next(w, r)
					}
				}
				x.page, x.file = private(page), private(file)
			}
			parent := t.TempDir()
			out := filepath.Join(parent, "tf")
			code, stdout, stderr := try(t.Context(),
				environment, "--out", out, "--platform", "linux/amd64")
			if code != 0 {
				t.Fatalf("got %d, %s", code, stderr)
			}
			for _, line := range []string{
				`export CGO_CFLAGS="-O2 -g -I` + out + `/include"`,
				`export CGO_LDFLAGS="-L` + out + `/lib -ltensorflow -ltensorflow_framework ` +
					`-Wl,-rpath,` + out + `/lib"`,
				`export PKG_CONFIG_PATH="` + out + `/lib/pkgconfig"`,
			} {
				if !strings.Contains(stdout, line+"\n") {
					t.Errorf("got %s, want the line %s", stdout, line)
				}
			}
			checkNames(t, parent, "tf")
			checkNames(t, out, "THIRD_PARTY_NOTICES.txt", "include", "lib", "tensorflow.pc")
			checkNames(t, filepath.Join(out, "include"), "LICENSE", "tensorflow")
			lib := filepath.Join(out, "lib")
			checkNames(t, lib, "libtensorflow.so", "libtensorflow.so.2", "libtensorflow_cc.so.2",
				"libtensorflow_framework.so", "libtensorflow_framework.so.2", "pkgconfig")
			for _, name := range []string{"libtensorflow.so.2", "libtensorflow_framework.so"} {
				real := map[bool]string{
					true:  "libtensorflow_cc.so.2",
					false: "libtensorflow_framework.so.2",
				}
				got, err := os.ReadFile(filepath.Join(lib, name))
				want := entries()["tensorflow/"+real[name == "libtensorflow.so.2"]]
				if err != nil || string(got) != want {
					t.Errorf("%s: got %v and %d bytes, want the wheel's %d",
						name, err, len(got), len(want))
				}
			}

			requests := x.requests.Load()
			code, again, stderr := try(t.Context(),
				environment, "--out", out, "--platform", "linux/amd64")
			if code != 0 || again != stdout || x.requests.Load() != requests {
				t.Errorf(
					"again: got %d, %s, %d requests more, want what the first gave and no request",
					code,
					stderr,
					x.requests.Load()-requests,
				)
			}
		})
	}
}

// TestBuild compiles and links a C program with what was laid out.
func TestBuild(t *testing.T) {
	for _, program := range []string{"cc", "pkg-config"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	x := newIndex(t, zipped(t, entries()))
	parent := t.TempDir()
	code, _, stderr := try(t.Context(),
		x.environment(), "--out", parent+"/first", "--platform", "linux/amd64")
	if code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Rename(parent+"/first", parent+"/moved"); err != nil { // it may be
		t.Fatal(err)
	}
	source := filepath.Join(parent, "main.c")
	text := "#include \"tensorflow/c/c_api.h\"\nint main(void) { return TF_Version() != 0; }\n"
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, pc := range []string{parent + "/moved", parent + "/moved/lib/pkgconfig"} {
		command := "cc " + source + " -o " + parent + "/main " +
			"$(PKG_CONFIG_PATH=" + pc + " pkg-config --cflags --libs tensorflow)"
		if said, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, said)
		}
		program, err := elf.Open(parent + "/main")
		if err != nil {
			t.Skip(err) // not a Linux
		}
		needed, err := program.ImportedLibraries()
		if err != nil || !slices.Contains(needed, "libtensorflow_cc.so.2") {
			t.Errorf("got %v, %v, want libtensorflow_cc.so.2 needed", needed, err)
		}
		program.Close()
	}
}

func TestStub(t *testing.T) {
	dir := t.TempDir()
	library, stub := filepath.Join(dir, "library"), filepath.Join(dir, "stub")
	content := []byte(entries()["tensorflow/libtensorflow_cc.so.2"])
	if err := os.WriteFile(library, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeStub(library, stub); err != nil {
		t.Fatal(err)
	}
	file, err := elf.Open(stub)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, symbol := range symbols {
		names = append(names, symbol.Name)
	}
	if want := []string{"TF_Version", "TFE_NewContext", "TSL_GetCode"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if soname, err := file.DynString(elf.DT_SONAME); err != nil ||
		!slices.Equal(soname, []string{"libtensorflow_cc.so.2"}) {
		t.Errorf("got soname %q, %v, want libtensorflow_cc.so.2", soname, err)
	}
}

// TestRefused holds that each failure is one line that names the address without credentials, says
// what was expected and found, and leaves nothing.
func TestRefused(t *testing.T) {
	whole := zipped(t, entries())
	without := func(name string) []byte {
		entries := entries()
		delete(entries, name)
		return zipped(t, entries)
	}
	with := func(name string) []byte {
		entries := entries()
		entries[name] = "evil"
		return zipped(t, entries)
	}
	project, file := "URL/simple/tensorflow-cpu/", "URL/files/tensorflow_cpu-1%2Bcpu.whl"
	for _, test := range []struct {
		name    string
		content []byte
		change  func(x *index, w wheel)
		want    string // URL: the server's address; HASH: the wheel's; TMP: the temporary directory
	}{
		{"no such project", whole, func(x *index, w wheel) { x.page = http.NotFound },
			project + ": expected status 200, found 404 Not Found"},
		{"no such file", whole, func(x *index, w wheel) { x.file = http.NotFound },
			file + ": expected status 200, found 404 Not Found"},
		{"the file is not in the page", whole, func(x *index, w wheel) {
			x.page = htmlPage("x.whl", "x.whl")
		},
			project + ": expected tensorflow_cpu-1+cpu.whl there, found 2 other files"},
		{"another hash in the page", whole, func(x *index, w wheel) {
			x.page = htmlPage("/files/"+w.file+"#sha256=ab", w.file)
		}, project + ": tensorflow_cpu-1+cpu.whl: expected SHA-256 HASH, found ab"},
		{"another file", whole, func(x *index, w wheel) {
			x.file = func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(make([]byte, len(whole)))
			}
		}, file + ": expected SHA-256 HASH, found ZEROS"},
		{"a longer file", whole, func(x *index, w wheel) {
			x.file = func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(append(slices.Clone(whole), 0))
			}
		}, file + fmt.Sprintf(": expected %d bytes, found more", len(whole))},
		{"a shorter file", whole, func(x *index, w wheel) {
			x.file = func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(whole[:100]) }
		}, file + fmt.Sprintf(": expected %d bytes, found 100", len(whole))},
		{"broken off", whole, func(x *index, w wheel) {
			x.file = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
				_, _ = w.Write(whole[:100])
			}
		}, file + fmt.Sprintf(": expected %d bytes, found 100", len(whole))},
		{"stalled", whole, func(x *index, w wheel) {
			x.file = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
				_, _ = w.Write(whole[:100])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
		}, file + ": expected more within 200ms, found nothing"},
		{"always busy", whole, func(x *index, w wheel) {
			x.file = func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}, file + ": expected status 200, found 503 Service Unavailable"},
		{"a wrong range", whole, func(x *index, w wheel) {
			x.file = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Range", "bytes 1-2/3")
				w.WriteHeader(http.StatusPartialContent)
			}
		}, file + fmt.Sprintf(`: expected "bytes 0-%d/%d", found "bytes 1-2/3"`,
			len(whole)-1, len(whole))},
		{"a page of another kind", whole, func(x *index, w wheel) {
			x.page = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "image/png")
			}
		}, project + ": expected a page of a Python package index, found one image/png"},
		{"broken JSON", whole, func(x *index, w wheel) { x.page = jsonPage("{") },
			project + ": expected a package index's JSON: unexpected end of JSON input"},
		{"no server", whole, func(x *index, w wheel) { x.Close() }, project + ": dial tcp"},
		{"not an archive", []byte("text"), nil,
			"TMP/tensorflow_cpu-1+cpu.whl: expected a wheel: zip: not a valid zip file"},
		{"no header", without("tensorflow/include/tensorflow/c/c_api.h"), nil,
			"TMP/tensorflow_cpu-1+cpu.whl: " +
				"expected include/tensorflow/c/c_api.h there, found none"},
		{"no library", without("tensorflow/libtensorflow_cc.so.2"), nil,
			"TMP/tensorflow_cpu-1+cpu.whl: expected lib/libtensorflow_cc.so.2 there, found none"},
		{"a path that leaves the directory", with("tensorflow/include/../../evil"), nil,
			"TMP/tensorflow_cpu-1+cpu.whl: expected regular files below tensorflow/, " +
				`found "tensorflow/include/../../evil"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := newIndex(t, test.content)
			w := wheels["linux/amd64"]
			if test.change != nil {
				test.change(x, w)
			}
			parent := t.TempDir()
			address := strings.Replace(x.URL, "://", "://me:secret@", 1)
			code, stdout, stderr := try(
				t.Context(),
				map[string]string{"PIP_INDEX_URL": address + "/simple"},
				"--out",
				filepath.Join(parent, "tf"),
				"--platform",
				"linux/amd64",
			)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			got := lines[len(lines)-1]
			zeros := sha256.Sum256(make([]byte, len(whole)))
			zero := hex.EncodeToString(zeros[:])
			want := strings.NewReplacer("URL", x.URL, "HASH", w.sha256, "ZEROS",
				zero).Replace("libtensorflow: " + test.want)
			prefix, suffix, temporary := strings.Cut(want, "TMP")
			if !strings.HasPrefix(got, prefix) || temporary && !strings.HasSuffix(got, suffix) ||
				!temporary && test.name != "no server" && got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if code != 1 || stdout != "" {
				t.Errorf("got status %d and %q, want 1 and nothing", code, stdout)
			}
			if strings.Contains(stderr, "secret") || strings.Contains(stderr, "me:") {
				t.Errorf("standard error has the credentials: %s", stderr)
			}
			checkNames(t, parent)
		})
	}
}

func TestWrongArguments(t *testing.T) {
	parent := t.TempDir()
	full := filepath.Join(parent, "full")
	if err := os.MkdirAll(filepath.Join(full, "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args  []string
		index string
		code  int
		want  string
	}{
		{nil, "", 2, "usage: libtensorflow --out DIR"},
		{[]string{"--out", parent + "/x", "more"}, "", 2, "usage: libtensorflow --out DIR"},
		{[]string{"--out", parent + "/x", "--platform", "plan9/386"}, "", 1,
			"--platform plan9/386: expected one of darwin/arm64, linux/amd64, linux/arm64"},
		{[]string{"--out", full, "--platform", "linux/amd64"}, "", 1,
			full + ": expected no such directory or an empty one, found mine and others in it"},
		{[]string{"--out", parent + "/x", "--platform", "linux/amd64"}, "file:///me:secret", 1,
			"PIP_INDEX_URL: expected an http or https address"},
		{[]string{"--out", parent + "/x", "--platform", "linux/amd64", "--from", parent}, "", 1,
			parent + ": expected Python's package tensorflow or an installed libtensorflow, " +
				"found no "},
	} {
		code, _, stderr := try(
			t.Context(),
			map[string]string{"PIP_INDEX_URL": test.index},
			test.args...)
		if code != test.code || !strings.Contains(stderr, test.want) ||
			strings.Contains(stderr, "secret") {
			t.Errorf("%q: got %d, %s, want %d, %s", test.args, code, stderr, test.code, test.want)
		}
	}
	checkNames(t, parent, "full")
	checkNames(t, full, "mine")
}

// TestResume breaks a transfer off several times, from a server that can resume it and one that
// cannot.
func TestResume(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		t.Run(fmt.Sprint("ranges ", ranges), func(t *testing.T) {
			x := newIndex(t, zipped(t, entries()))
			serve, sent, asked := x.file, 0, []string{}
			x.file = func(w http.ResponseWriter, r *http.Request) {
				if !ranges {
					r.Header.Del("Range")
				}
				asked = append(asked, r.Header.Get("Range"))
				if sent < 3 {
					sent++
					w = &cutWriter{w, 50}
				}
				serve(w, r)
			}
			parent := t.TempDir()
			code, _, stderr := try(t.Context(),
				x.environment(), "--out", parent+"/tf", "--platform", "linux/amd64")
			if code != 0 {
				t.Fatal(stderr)
			}
			want := []string{"", "bytes=50-", "bytes=100-", "bytes=150-"}
			if !ranges {
				want = []string{"", "", "", ""}
			}
			if !slices.Equal(asked, want) {
				t.Errorf("got ranges %q, want %q", asked, want)
			}
		})
	}
}

// cutWriter writes no more than so many bytes of a body.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	if _, err := w.ResponseWriter.Write(p[:n]); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, http.ErrAbortHandler
	}
	return n, nil
}

func TestInterrupted(t *testing.T) {
	x := newIndex(t, zipped(t, entries()))
	ctx, cancel := context.WithCancel(t.Context())
	x.file = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(x.content)))
		_, _ = w.Write(x.content[:100])
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	}
	parent := t.TempDir()
	code, _, stderr := try(ctx, x.environment(), "--out", parent+"/tf", "--platform", "linux/amd64")
	want := "libtensorflow: " + x.URL + "/files/tensorflow_cpu-1%2Bcpu.whl: interrupted\n"
	if code != 1 || stderr != want {
		t.Errorf("got %d, %s, want 1, %s", code, stderr, want)
	}
	checkNames(t, parent)
}

// TestFrom links to a Python package and to an installed libtensorflow.
func TestFrom(t *testing.T) {
	write := func(path, content string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	python, installed, parent := t.TempDir(), t.TempDir(), t.TempDir()
	for name, content := range entries() {
		if name, ok := strings.CutPrefix(name, "tensorflow/"); ok {
			write(filepath.Join(python, name), content)
		}
	}
	write(installed+"/include/tensorflow/c/c_api.h", "")
	write(installed+"/lib/libtensorflow.so",
		string(stubELF(elf.EM_X86_64, "libtensorflow.so.2", []string{"TF_Version"})))
	write(installed+"/lib/libtensorflow_framework.so", "framework")
	made := filepath.Join(parent, "made")
	code, _, stderr := try(
		t.Context(), map[string]string{}, "--out", made, "--platform", "linux/amd64", "--from",
		python,
	)
	if code != 0 {
		t.Fatal(stderr)
	}
	for from, library := range map[string]string{
		python:    python + "/libtensorflow_cc.so.2",
		made:      python + "/libtensorflow_cc.so.2",
		installed: installed + "/lib/libtensorflow.so",
	} {
		out := filepath.Join(parent, filepath.Base(filepath.Dir(from))+filepath.Base(from))
		code, _, stderr := try(t.Context(),
			map[string]string{}, "--out", out, "--platform", "linux/amd64", "--from", from)
		if code != 0 {
			t.Fatal(stderr)
		}
		checkNames(t, filepath.Join(out, "lib"),
			"libtensorflow.so", "libtensorflow.so.2", "libtensorflow_cc.so.2",
			"libtensorflow_framework.so", "libtensorflow_framework.so.2", "pkgconfig")
		for _, name := range []string{"libtensorflow.so.2", "libtensorflow_cc.so.2"} {
			if got, err := filepath.EvalSymlinks(filepath.Join(out, "lib", name)); err != nil ||
				got != library {
				t.Errorf("%s: got %s, %v, want %s", name, got, err, library)
			}
		}
		if got, err := os.Readlink(out + "/include"); err != nil || got != from+"/include" {
			t.Errorf("include: got %s, %v, want that of %s", got, err, from)
		}
	}
}

func TestIndexURL(t *testing.T) {
	home := t.TempDir()
	for path, content := range map[string]string{
		".pip/pip.conf": "[global]\nindex-url = https://legacy/simple\n",
		".config/pip/pip.conf": "; a comment\n[install]\nindex-url = https://no/\n" +
			"[global]\nretries = 3\nindex_url: https://user/simple\n",
		"xdg/pip/pip.conf": "[global]\nindex-url=https://xdg/simple\n",
		"named.conf":       "[global]\nindex-url = https://named/simple\n",
		"empty.conf":       "[global]\nno-cache-dir = true\n",
		"wrong.conf":       "[global]\nindex-url = me:secret\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(home, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	none := t.TempDir()
	for _, test := range []struct {
		environment map[string]string
		want        string
	}{
		{map[string]string{"HOME": none, "PIP_CONFIG_FILE": os.DevNull}, "https://pypi.org/simple"},
		{map[string]string{"HOME": home}, "https://user/simple"},
		{map[string]string{"HOME": home, "XDG_CONFIG_HOME": none}, "https://legacy/simple"},
		{map[string]string{"HOME": home, "XDG_CONFIG_HOME": home + "/xdg"}, "https://xdg/simple"},
		{map[string]string{"HOME": home, "PIP_CONFIG_FILE": home + "/named.conf"},
			"https://named/simple"},
		{map[string]string{"HOME": home, "PIP_CONFIG_FILE": home + "/empty.conf"},
			"https://user/simple"},
		{map[string]string{"HOME": home, "PIP_CONFIG_FILE": os.DevNull}, "https://pypi.org/simple"},
		{map[string]string{"HOME": home, "PIP_INDEX_URL": "https://me:secret@env/simple"},
			"https://me:secret@env/simple"},
		{map[string]string{"HOME": none, "PIP_CONFIG_FILE": home + "/wrong.conf"},
			home + "/wrong.conf: index-url: expected an http or https address"},
	} {
		u, err := indexURL(func(name string) string { return test.environment[name] }, "linux")
		got := fmt.Sprint(u)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v: got %s, want %s", test.environment, got, test.want)
		}
	}
}

// TestPinned holds the pinned wheels against their own names and against what Python installs.
func TestPinned(t *testing.T) {
	requirements, err := os.ReadFile("../../requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	if want := "tensorflow-cpu==" + version; !strings.Contains(string(requirements), want) {
		t.Errorf("requirements.txt: got no %s, want the release that wheels.go pins", want)
	}
	for platform, w := range wheels {
		if digest, err := hex.DecodeString(w.sha256); err != nil || len(digest) != sha256.Size {
			t.Errorf("%s: got SHA-256 %q", platform, w.sha256)
		}
		if w.size > 300e6 {
			t.Errorf("%s: got %d bytes, want at most 300 MB: room counts on it", platform, w.size)
		}
	}
}
