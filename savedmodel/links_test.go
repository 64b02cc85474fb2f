package savedmodel

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// symlink returns a link as a file of a MapFS.
func symlink(target string) *fstest.MapFile {
	return &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte(target)}
}

// volumeOf returns the files as Kubernetes mounts them: in a directory of a date, and behind links.
func volumeOf(files fstest.MapFS) fstest.MapFS {
	volume := fstest.MapFS{"..data": symlink("..2026_11_29")}
	for name, file := range files {
		volume["..2026_11_29/"+name] = file
		top, _, _ := strings.Cut(name, "/")
		volume[top] = symlink("..data/" + top)
	}
	return volume
}

// onDisk writes the files into a directory.
func onDisk(t *testing.T, files fstest.MapFS) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	for name, file := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		var err error
		if file.Mode&fs.ModeSymlink != 0 {
			err = os.Symlink(string(file.Data), path)
		} else {
			err = os.WriteFile(path, file.Data, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func paths(m *Model) (paths []string) {
	for _, f := range m.Files {
		paths = append(paths, f.Path)
	}
	return paths
}

// TestVolumes holds that a model in a volume of Kubernetes', in memory and on a disk, behind a link
// to its directory too, is the model itself: the same files by the same names, and nothing wrong.
func TestVolumes(t *testing.T) {
	files := exported(t, nil)
	plain, err := Read(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	old := volumeOf(files)
	old["..2026_11_28/"+GraphPath] = &fstest.MapFile{Data: []byte("of before the last change")}
	dir := onDisk(t, old)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	withLinks := onDisk(t, linked(files))
	for name, open := range map[string]func() (*Model, error){
		"in memory":       func() (*Model, error) { return Read(t.Context(), volumeOf(files)) },
		"on a disk":       func() (*Model, error) { return Open(t.Context(), dir) },
		"a link to it":    func() (*Model, error) { return Open(t.Context(), link) },
		"one file a link": func() (*Model, error) { return Open(t.Context(), withLinks) },
	} {
		m, err := open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, want := paths(m), paths(plain); !slices.Equal(got, want) {
			t.Errorf("%s: got the files %q, want %q", name, got, want)
		}
		if findings := scanned(t, m); len(findings) > 0 {
			t.Errorf("%s: got %v, want nothing", name, findings)
		}
	}
}

// linked returns the files with the graph of a volume of files alone.
func linked(files fstest.MapFS) fstest.MapFS {
	volume := fstest.MapFS{"..data": symlink("..1")}
	for name, file := range files {
		volume[name] = file
	}
	volume["..1/"+GraphPath] = files[GraphPath]
	volume[GraphPath] = symlink("..data/" + GraphPath)
	return volume
}

// TestLinksRefused holds that each link that is refused is refused by the true reason.
func TestLinksRefused(t *testing.T) {
	circle := exported(t, nil)
	circle["a"], circle["b"] = symlink("b"), symlink("a")
	for _, test := range []struct{ name, target, want string }{
		{"a", "../../secret", "a: expected a file of the directory: a link out of the directory: " +
			"a -> ../../secret"},
		{"a", "/etc/hostname", "a: expected a file of the directory: a link out of the " +
			"directory: a -> /etc/hostname"},
		{"a", "none", "a: expected a file of the directory: a link to nothing: a -> none"},
		{"a", "a", "a: expected a file of the directory: more than 40 links: a -> a"},
		{"a", "variables", "a: expected a file, got a link to a directory: a -> variables"},
		{"variables/a", "../..data/variables", "variables/a: expected a file of the directory: a " +
			"link to nothing: "},
		{GraphPath, "../saved_model.pb", "saved_model.pb is not supported: expected a file of " +
			"the directory: a link out of the directory: saved_model.pb -> ../saved_model.pb"},
		// The link that leaves is named, not the one that leads to it.
		{"a", "b", "a: expected a file of the directory: a link out of the directory: " +
			"b -> ../secret"},
	} {
		files := exported(t, nil)
		files["b"] = symlink("../secret")
		files[test.name] = symlink(test.target)
		m, err := Open(t.Context(), onDisk(t, files))
		if err == nil {
			err = Join(scanned(t, m))
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s -> %s: got %v, want %q", test.name, test.target, err, test.want)
		}
	}
}

// TestVolumeDirectories holds that what lies beside a volume's links counts as one file too many
// where it is no directory of the volume's, and that links to directories lead to no circles.
func TestVolumeDirectories(t *testing.T) {
	inside := "..2026_11_29/variables/x"
	for name, more := range map[string]struct {
		path string
		file *fstest.MapFile
	}{
		"a file called so":      {"..more", &fstest.MapFile{}},
		"no volume":             {"..1/x", &fstest.MapFile{}},
		"a circle in a volume":  {inside, symlink("../../..data")},
		"a directory too":       {"more", symlink("..data/variables")},
		"a way out of a volume": {inside, symlink("../../../x")},
	} {
		files := volumeOf(exported(t, nil))
		if name == "no volume" {
			files = exported(t, nil)
		}
		files[more.path] = more.file
		m, err := Open(t.Context(), onDisk(t, files))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := Join(scanned(t, m)); err == nil {
			t.Errorf("%s: want it refused", name)
		} else if len(m.Files) > 2*len(files) {
			t.Errorf("%s: got %d files of %d", name, len(m.Files), len(files))
		}
	}
}
