package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kerasrun/object"
	"kerasrun/score"
)

// What the workers read is what was listed, in score's batches.
func TestBatches(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.jpg", "b.jpg", "c.jpg"} {
		write(t, name, nil)
	}
	for _, c := range []struct {
		inputs []string
		want   string
	}{
		{[]string{"."}, "0 [a.jpg b.jpg] 1 [c.jpg]"},
		{[]string{"c.jpg", "a.jpg"}, "0 [c.jpg a.jpg]"},
		{[]string{"https://host/x.jpg", "none.jpg"}, "0 [https://host/x.jpg none.jpg]"},
	} {
		if err := list(t, c.inputs...); err != nil {
			t.Fatal(err)
		}
		var got []string
		err := readBatches(t.Context(), "list", func(b Batch) {
			got = append(got, fmt.Sprint(b.Number, " ", b.Names))
			for i, name := range b.Names {
				if want := abs(t, name); !object.IsURL(name) && b.Paths[i] != want {
					t.Errorf("%s: got %s, want the path %s", name, b.Paths[i], want)
				}
			}
		})
		if text := strings.Join(got, " "); err != nil || text != c.want {
			t.Errorf("%q: got %s, %v, want %s", c.inputs, text, err, c.want)
		}
	}
}

func TestBatchesRefuse(t *testing.T) {
	t.Chdir(t.TempDir())
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "a.jpg", Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, "a.tar", archive.Bytes())
	const want = "a.tar/a.jpg: expected files"
	if err := list(t, "a.tar"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a.tar: got %v, want an error with %q", err, want)
	}
	if left, _ := filepath.Glob("list*"); left != nil {
		t.Errorf("got %q, want nothing left", left)
	}
}

// An empty directory is a row with score's own reason; what is only not here may be elsewhere.
func TestBatchesOfNoImage(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := list(t, "empty", "none.jpg"); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := readBatches(t.Context(), "list", func(b Batch) { got = append(got, b.Errors...) })
	want := []string{"empty: no images in it: it is empty", ""}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	source, err := score.List(strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	err = listOf(t, source)
	if err == nil || !strings.Contains(err.Error(), "no image") {
		t.Errorf("an empty list: got %v, want an error with %q", err, "no image")
	}
}

func list(t *testing.T, inputs ...string) error {
	t.Helper()
	source, _, err := score.Open(t.Context(), inputs, score.InputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return listOf(t, source)
}

func listOf(t *testing.T, source score.Source) error {
	t.Helper()
	return writeBatches(t.Context(), "list", source, 2)
}
