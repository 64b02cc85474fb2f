package evaluate

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/internal/pythontest"
	"kerasrun/score"
)

// tree makes files below a new directory; a name that ends with a slash is an empty folder.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.Mkdir(path, 0o777); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pairs are the paths, relative to dir, with their labels.
func pairs(t *testing.T, dir string, d *Data) (all [][2]string) {
	t.Helper()
	for image, err := range d.each {
		if err != nil {
			t.Fatal(err)
		}
		path, err := filepath.Rel(dir, image.Path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, [2]string{path, image.label})
	}
	return all
}

// runPython runs a program of testdata and reads the JSON that it prints.
func runPython(t *testing.T, v any, args ...string) {
	t.Helper()
	cmd := exec.Command(pythontest.Python(t), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.String())
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// Folders gives the files and classes of image_dataset_from_directory.
func TestFoldersAgainstKeras(t *testing.T) {
	dir := tree(t, "cat/a.jpg", "cat/sub/b.PNG", "dog/c.bmp", "dog/notes.txt", ".hidden/x.jpg",
		"outside.jpg", "bird/", "a folder/1.jpeg", "Cat2/z.gif")
	var want [][2]string
	runPython(t, &want, "testdata/folders.py", dir)
	skipped := new(score.Skipped)
	d, err := Folders(dir, skipped)
	if err != nil {
		t.Fatal(err)
	}
	got := pairs(t, dir, d)
	for _, list := range [][][2]string{got, want} {
		slices.SortFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d.Images() != int64(len(want)) {
		t.Errorf("images: got %d, want %d", d.Images(), len(want))
	}
	if diff := cmp.Diff([]string{"Cat2", "a folder", "bird", "cat", "dog"}, d.labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{".hidden", "outside.jpg"}, d.Passed); diff != "" {
		t.Errorf("passed over (-want +got):\n%s", diff)
	}
	if got := skipped.Reasons(); got[".txt"] != 1 {
		t.Errorf("skipped: got %v", got)
	}
}

func TestFoldersErrors(t *testing.T) {
	for _, test := range []struct{ name, dir, want string }{
		{"images without folders", tree(t, "a.jpg"), "expected a folder for each class"},
		{"empty folders", tree(t, "cat/", "dog/"), `expected images in its folders "cat", "dog"`},
		{"no such folder", filepath.Join(t.TempDir(), "none"), fs.ErrNotExist.Error()[:4]},
	} {
		if _, err := Folders(test.dir, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

// Tables are read as pandas and pyarrow write them.
func TestTables(t *testing.T) {
	dir := t.TempDir()
	var names []string
	runPython(t, &names, "testdata/tables.py", dir)
	other := filepath.Join(dir, "other", "d.jpg")
	for _, name := range names {
		d, err := Table(filepath.Join(dir, name), 0, "file", "class")
		base := strings.TrimSuffix(name, filepath.Ext(name))
		if want, ok := map[string]string{
			"null":  `row 2: expected a class in the column "class", got none`,
			"list":  `expected a column "class" of texts or integers`,
			"float": `expected a column "class" of texts or integers`,
			"date":  `expected a column "class" of texts or integers`,
			"twice": `expected one column "class", got several`,
			"none":  `expected a row for each image, found none`,
		}[base]; ok {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		labels := []string{"cat", "dog", "cat", "a,\"b\"\nc"}
		if base == "integers" {
			labels = []string{"1", "0", "1", "7"}
		}
		var want [][2]string
		for i, path := range []string{"a.jpg", "sub/b.jpg", "c d.jpg", other} {
			if rel, err := filepath.Rel(dir, path); err == nil {
				path = rel
			}
			want = append(want, [2]string{path, labels[i]})
		}
		if diff := cmp.Diff(want, pairs(t, dir, d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := Table(filepath.Join(dir, "text.csv"), 0, "path", "class"); err == nil ||
		!strings.Contains(err.Error(), `expected a column "path", got ["file" "class"`) {
		t.Errorf("no such column: got %v", err)
	}
}
