package object_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kerasrun/object"
)

// payload has no part that is like another.
func payload(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return data
}

// server answers with a handler, which is told how many requests came before.
func server(t *testing.T, handle func(n int64, w http.ResponseWriter, r *http.Request)) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handle(n.Add(1)-1, w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/image.jpg?size=1"
}

// file serves data as files are served: whole or in parts, with an ETag.
func file(w http.ResponseWriter, r *http.Request, tag string, data []byte) {
	w.Header().Set("ETag", tag)
	http.ServeContent(w, r, "image.jpg", time.Time{}, bytes.NewReader(data))
}

func TestWeb(t *testing.T) {
	data := payload(3 << 20)
	for _, test := range []struct {
		name   string
		handle func(n int64, w http.ResponseWriter, r *http.Request)
		want   string // in the error
		is     error
	}{
		{"a file", func(_ int64, w http.ResponseWriter, r *http.Request) {
			file(w, r, `"a"`, data)
		}, "", nil},
		{"503 twice", func(n int64, w http.ResponseWriter, r *http.Request) {
			if n < 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			file(w, r, `"a"`, data)
		}, "", nil},
		{"cut off, and gone on with", func(n int64, w http.ResponseWriter, r *http.Request) {
			if n < 2 {
				w.Header().Set("ETag", `"a"`)
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				_, _ = w.Write(data[:len(data)/3])
				panic(http.ErrAbortHandler)
			}
			file(w, r, `"a"`, data)
		}, "", nil},
		{"cut off, by a server without ranges", func(n int64, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			if n == 0 {
				_, _ = w.Write(data[:len(data)/3])
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(data)
		}, "", nil},
		{"cut off, and shorter then", func(n int64, w http.ResponseWriter, _ *http.Request) {
			switch n {
			case 0:
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				_, _ = w.Write(data[:len(data)/3])
				panic(http.ErrAbortHandler)
			case 1: // without a length
				_, _ = w.Write(data[:len(data)/2])
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		}, "404", fs.ErrNotExist},
		{"cut off, and of another length then", func(n int64, w http.ResponseWriter,
			_ *http.Request) {
			if n == 0 {
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				_, _ = w.Write(data[:len(data)/3])
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(data)/2))
			_, _ = w.Write(data[:len(data)/2])
		}, "it has changed", nil},
		{"cut off, and another one then", func(n int64, w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				w.Header().Set("ETag", `"a"`)
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				_, _ = w.Write(data[:len(data)/3])
				panic(http.ErrAbortHandler)
			}
			file(w, r, `"b"`, data)
		}, "it has changed", nil},
		{"of no known length", func(_ int64, w http.ResponseWriter, _ *http.Request) {
			for part := data; len(part) > 0; part = part[1<<20:] {
				_, _ = w.Write(part[:1<<20])
				w.(http.Flusher).Flush()
			}
		}, "", nil},
		{"missing", func(_ int64, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
		}, "the server answers 404 Not Found", fs.ErrNotExist},
		{"denied", func(_ int64, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
		}, "the server answers 403 Forbidden", fs.ErrPermission},
		{"another part", func(_ int64, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-6/7")
			w.WriteHeader(http.StatusPartialContent)
		}, "expected the part that was asked for", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := server(t, test.handle)
			got, err := object.ReadFile(t.Context(), url)
			if test.want == "" {
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("got %d bytes (%v), want %d", len(got), err, len(data))
				}
				return
			}
			var known *object.Error
			if err == nil || !strings.Contains(err.Error(), test.want) || !errors.As(err, &known) ||
				known.Path != url || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got %v, want an error of %s: %s (%v)", err, url, test.want, test.is)
			}
		})
	}
}

// A server that is not there is an error in words that are the same each time.
func TestWebIsNotThere(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	url := s.URL + "/a.jpg"
	s.Close()
	_, err := object.Open(t.Context(), url)
	if want := url + ": the connection failed: connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// ReadAt asks for parts; each has to be of the version that the first answer had.
func TestWebParts(t *testing.T) {
	data := payload(9 << 20)
	var tag atomic.Value
	tag.Store(`"a"`)
	url := server(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		file(w, r, tag.Load().(string), data)
	})
	f, err := object.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{8<<20 + 5, 0, 4<<20 - 3, 9<<20 - 7} {
		part := make([]byte, 100)
		n, err := f.ReadAt(part, at)
		want := data[at:min(at+100, int64(len(data)))]
		if !bytes.Equal(part[:n], want) || (err == io.EOF) != (n < 100) {
			t.Errorf("at %d: got %d bytes (%v), want %d", at, n, err, len(want))
		}
	}
	if _, err := f.Seek(6<<20, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	tag.Store(`"b"`)
	if _, err := io.ReadAll(f); err == nil || !strings.Contains(err.Error(), "it has changed") {
		t.Errorf("got %v, want an error as it has changed", err)
	}
}

// An input that is opened twice has to be the same one.
func TestOpenInput(t *testing.T) {
	var tag atomic.Value
	tag.Store(`"a"`)
	url := server(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		file(w, r, tag.Load().(string), payload(10))
	})
	for _, test := range []struct{ tag, want string }{
		{`"a"`, ""}, {`"a"`, ""}, {`"b"`, "it has changed"},
	} {
		tag.Store(test.tag)
		f, err := object.OpenInput(t.Context(), url)
		if err == nil {
			_ = f.Close() // nothing was read
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.tag, err, test.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct{ file, relative, want string }{
		{"/data/t.csv", "a/b.jpg", "/data/a/b.jpg"},
		{"s3://b/t.csv", "a b.jpg", "s3://b/a b.jpg"},
		{"s3://b/x/t.csv", "../a.jpg", "s3://b/a.jpg"},
		{"https://h/x/t.csv?sig=1", "a b.jpg", "https://h/x/a%20b.jpg"},
		{"file:///data/t.csv", "a b.jpg", "file:///data/a%20b.jpg"},
	} {
		if got := object.Beside(test.file, test.relative); got != test.want {
			t.Errorf("%s and %s: got %s, want %s", test.file, test.relative, got, test.want)
		}
	}
	for path, want := range map[string]string{"a/b.csv": "b.csv", "s3://b/k/t.csv": "t.csv",
		"https://h/x/t.tar.gz?sig=a.b": "t.tar.gz", "s3://b/what?.jpg": "what?.jpg"} {
		if got := object.Base(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{"/a b": "/a b", "file:///a%20b": "/a b",
		"file://localhost/a": "/a", "file://elsewhere/a": "", "file:a": "file:a"} {
		if got, err := object.Local(path); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q (%v), want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"ftp://h/a", "s3:///a", "gs://"} {
		if _, err := object.Open(t.Context(), path); err == nil || !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: got %v, want it refused", path, err)
		}
	}
}

// TestWebOfAnotherSize reads in any order what a server, which names no version, says is of another
// size with each answer.
func TestWebOfAnotherSize(t *testing.T) {
	for _, sizes := range [][2]int{{5 << 20, 6 << 20}, {1 << 20, 6 << 20}, {6 << 20, 1 << 20}} {
		url := server(t, func(n int64, w http.ResponseWriter, r *http.Request) {
			var first, last int
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
			size := sizes[min(n, 1)]
			last = min(last, size-1)
			if first > last || n == 0 {
				first, last = 0, size-1
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(payload(size)[first : last+1])
		})
		f, err := object.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		for _, offset := range []int64{0, 2 << 20, 1<<20 - 10} {
			n, err := f.ReadAt(make([]byte, 3<<20), offset)
			if err == nil || !errors.Is(err, io.EOF) &&
				!strings.Contains(err.Error(), "it has changed") {
				t.Errorf("%v, from %d on: got %d bytes, %v, want that it has changed", sizes, offset,
					n, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
