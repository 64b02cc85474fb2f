package object_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"kerasrun/object"
)

const modified = "<LastModified>2026-11-30T12:00:00Z</LastModified>"

// TestHostileStores holds that a list ends, whatever the store answers, and takes no more memory
// than a page may.
func TestHostileStores(t *testing.T) {
	entry := "<Contents><Key>d/a.jpg</Key><Size>1</Size>" + modified + "</Contents>"
	more := "<IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken>"
	for i, test := range []struct {
		name string
		page func(n int, w io.Writer)
		want string // in the error
	}{
		{"a list", func(_ int, w io.Writer) { io.WriteString(w, entry) }, ""},
		{"the same token", func(_ int, w io.Writer) { fmt.Fprintf(w, more, 1) },
			"a list of objects that ends"},
		{"empty pages", func(n int, w io.Writer) { fmt.Fprintf(w, more, n) },
			"a list of objects that ends"},
		{"the same page", func(n int, w io.Writer) { fmt.Fprintf(w, entry+more, n) },
			"a list of objects that ends"},
		{"no time", func(_ int, w io.Writer) {
			io.WriteString(w, strings.ReplaceAll(entry, modified, ""))
		}, "its library fails over"},
		{"no end", func(_ int, w io.Writer) {
			zeros := strings.Repeat("0", 1<<20)
			for range 200 {
				if _, err := io.WriteString(w, zeros); err != nil {
					return
				}
			}
		}, "too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n++
				io.WriteString(w, "<ListBucketResult>")
				if r.URL.Query().Has("prefix") { // else it is asked whether the bucket is there
					test.page(n, w)
				}
				io.WriteString(w, "</ListBucketResult>")
			}))
			defer s.Close()
			t.Setenv("AWS_ENDPOINT_URL", s.URL)
			t.Setenv("AWS_ACCESS_KEY_ID", "a")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			entries, err := object.ReadDir(t.Context(), fmt.Sprintf("s3://bucket%d/d", i))
			runtime.ReadMemStats(&after)
			if test.want == "" && (err != nil || len(entries) != 1) {
				t.Fatalf("got %v, %v, want an entry", entries, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 600<<20 {
				t.Errorf("got %d MiB allocated, want at most 600", got>>20)
			}
		})
	}
}

// TestCopyOfMore holds that no more of a model's file is copied than the store lists.
func TestCopyOfMore(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("list-type") {
			fmt.Fprintf(w, "<ListBucketResult><Contents><Key>m/x</Key><Size>3</Size>%s</Contents>"+
				"</ListBucketResult>", modified)
			return
		}
		w.Header().Set("Last-Modified", "Mon, 30 Nov 2026 12:00:00 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<62))
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	_, err := object.CopyDirectory(t.Context(), "s3://copied/m")
	var known *object.Error
	if !errors.As(err, &known) || !strings.Contains(err.Error(), "expected 3 bytes, got more") {
		t.Errorf("got %v, want an error of the file's size", err)
	}
}

// TestPartsOfEndless holds that a server that sends no parts is not read to a place that it alone
// says is there.
func TestPartsOfEndless(t *testing.T) {
	url := server(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<62))
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	f, err := object.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(make([]byte, 10), 1<<61); err == nil ||
		!strings.Contains(err.Error(), "expected a server that sends parts") {
		t.Errorf("got %v, want an error of the parts", err)
	}
}
