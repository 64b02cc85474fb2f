package npy

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kerasrun/internal/pythontest"
	"kerasrun/tensor"
)

// counting returns the tensor whose elements count from 0, as testdata/generate.py's arrays do.
func counting(d tensor.DType, dims ...int64) tensor.Tensor {
	shape := append(tensor.Shape{}, dims...)
	n, err := shape.Elements()
	if err != nil {
		panic(err)
	}
	zero, err := tensor.FromBytes(d, shape, make([]byte, n*int64(d.Size())))
	if err != nil {
		panic(err)
	}
	halves := []uint16{0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500} // 0 to 5 as float16
	elements := reflect.ValueOf(zero.Data)
	for i := range int(n) {
		switch e := elements.Index(i); {
		case d == tensor.Float16:
			e.SetUint(uint64(halves[i]))
		case d == tensor.Bool:
			e.SetBool(i == 1)
		case e.CanInt():
			e.SetInt(int64(i))
		case e.CanUint():
			e.SetUint(uint64(i))
		default:
			e.SetFloat(float64(i))
		}
	}
	return zero
}

func TestReadNumPy(t *testing.T) {
	want := map[string]tensor.Tensor{
		"b1":                 counting(tensor.Bool, 1, 2),
		"fortran":            counting(tensor.Float32, 2, 3, 4),
		"fortran-big-endian": counting(tensor.Int16, 2, 3, 4),
		"fortran-empty":      counting(tensor.Float32, 0, 3),
		"scalar":             counting(tensor.Float32),
		"vector":             counting(tensor.Float32, 5),
		"empty":              counting(tensor.Float32, 0, 3),
		"32-dimensions":      counting(tensor.Float32, append(ones(31), 2)...),
		"version2":           counting(tensor.Float32, 3),
		"version3":           counting(tensor.Float32, 3),
	}
	words := tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{2, 2},
		Data: [][]byte{[]byte("ab"), {}, []byte("a\x00c"), {0xff, 0xd8}}}
	want["bytes"], want["bytes-fortran"] = words, words
	text := tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{3},
		Data: [][]byte{[]byte("ab"), []byte("ü€😀"), {}}}
	want["text"], want["text-big-endian"] = text, text
	for code, d := range codes {
		if d != tensor.Bool {
			want[code], want[code+"-big-endian"] = counting(d, 2, 3), counting(d, 2, 3)
		}
	}
	paths, err := filepath.Glob("testdata/*.npy")
	if err != nil || len(paths) != len(want)+4 {
		t.Fatalf("%d arrays in testdata, want %d: %v", len(paths), len(want)+4, err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, err := Read(f)
		name := strings.TrimSuffix(filepath.Base(path), ".npy")
		if strings.HasPrefix(name, "unsupported") {
			if err == nil || !strings.Contains(err.Error(), "expected one of bool") &&
				!strings.Contains(err.Error(), "one number type") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if diff := cmp.Diff(want[name], got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}

func ones(n int) []int64 {
	dims := make([]int64, n)
	for i := range dims {
		dims[i] = 1
	}
	return dims
}

func TestReadNumPyZip(t *testing.T) {
	images := counting(tensor.Float32, 2, 3)
	for name, want := range map[string]map[string]tensor.Tensor{
		"stored":   {"images": images, "a/b": counting(tensor.Int64, 2)},
		"deflated": {"images": images},
	} {
		got, err := ReadZip("testdata/" + name + ".npz")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}

// TestNumPyReadsWhatIsWritten lets NumPy read arrays of every type, and say what it saw.
func TestNumPyReadsWhatIsWritten(t *testing.T) {
	arrays, want := map[string]tensor.Tensor{}, ""
	for _, shape := range []tensor.Shape{{}, {5}, {2, 3}, {0, 3}, ones(30)} {
		for _, code := range []string{"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4",
			"u8"} {
			name := fmt.Sprint(code, shape)
			arrays[name] = counting(codes[code], shape...)
			want += fmt.Sprintf("%s %s %v True\n", name, code, shape)
		}
	}
	arrays["b1"] = counting(tensor.Bool, 1, 2)
	want += "b1 b1 (1, 2) True\n"
	path := filepath.Join(t.TempDir(), "arrays.npz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteZip(f, arrays); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	python := exec.Command(pythontest.Python(t), "-c", `import sys, numpy as np
for name, array in np.load(sys.argv[1]).items():
    counts = np.array_equal(array.ravel(), np.arange(array.size).astype(array.dtype))
    print(name, array.dtype.str[1:], array.shape, counts)`, path)
	python.Stderr = os.Stderr
	out, err := python.Output()
	if err != nil {
		t.Fatal(err)
	}
	sort := func(text string) map[string]int {
		lines := map[string]int{}
		for line := range strings.Lines(text) {
			lines[line]++
		}
		return lines
	}
	if diff := cmp.Diff(sort(want), sort(string(out))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	again, err := ReadZip(path)
	if diff := cmp.Diff(arrays, again); err != nil || diff != "" {
		t.Errorf("read again: %v (-want +got)\n%s", err, diff)
	}
}

// array returns a file of format 1.0 with the header and data given.
func array(header, data string) string {
	return magic + "\x01\x00" + string([]byte{byte(len(header)), byte(len(header) >> 8)}) + header +
		data
}

// NumPy reads the strings that were written, the bytes of an image among them.
func TestNumPyReadsStrings(t *testing.T) {
	var file bytes.Buffer
	strings := tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{3, 1},
		Data: [][]byte{[]byte("ab"), {0, 0xff, 0xd8}, {}}}
	if err := Write(&file, strings); err != nil {
		t.Fatal(err)
	}
	python := exec.Command(pythontest.Python(t), "-c", `import io, sys, numpy as np
array = np.load(io.BytesIO(sys.stdin.buffer.read()))
print(array.dtype, array.tolist())`)
	python.Stdin, python.Stderr = &file, os.Stderr
	out, err := python.Output()
	if want := "|S3 [[b'ab'], [b'\\x00\\xff\\xd8'], [b'']]\n"; err != nil || string(out) != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
}

var hostile = []struct{ name, file, want string }{
	{"nothing", "", "ends within the header"},
	{"another file", "PK\x03\x04....", "expected it to begin with"},
	{"magic alone", magic, "ends within the header"},
	{"no length", magic + "\x01\x00", "ends within the header"},
	{"half a header", magic + "\x01\x00\x40\x00{'descr'", "ends within the header"},
	{"version 4", magic + "\x04\x00\x40\x00\x00\x00", "version 4.0"},
	{"version 1.1", magic + "\x01\x01\x40\x00", "version 1.1"},
	{"4 GB of header", magic + "\x02\x00\xff\xff\xff\xff", "declares 4294967295 bytes"},
	{"64 KB of header", magic + "\x01\x00\xff\xff", "declares 65535 bytes"},
	{"empty header", array("", ""), "expected {'descr'"},
	{"no dictionary", array("'descr': '<f4'", ""), "expected {'descr'"},
	{"no shape", array("{'descr': '<f4', 'fortran_order': False}", ""), "expected {'descr'"},
	{"shape twice", array("{'descr': '<f4', 'shape': (1,), 'shape': (1,)}", "1234"),
		"expected {'descr'"},
	{"unknown key", array("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 'y'}",
		"1234"), "expected {'descr'"},
	{"unclosed word", array("{'descr", ""), "expected {'descr'"},
	{"no colon", array("{'descr' '<f4'}", ""), "expected {'descr'"},
	{"no value", array("{'shape':}", ""), "expected {'descr'"},
	{"unclosed shape", array("{'shape': (1, 2}", ""), "expected {'descr'"},
	{"no comma", array("{'descr': '<f4' 'shape': (1,)}", ""), "expected {'descr'"},
	{"neither true nor false", array("{'fortran_order': 1}", ""), "expected {'descr'"},
	{"no byte order", array("{'descr': 'f4', 'fortran_order': False, 'shape': (1,)}", "1234"),
		`type "f4"`},
	{"unknown byte order", array("{'descr': '!f4', 'fortran_order': False, 'shape': (1,)}", "1234"),
		`type "!f4"`},
	{"numbers without byte order", array("{'descr': '|f4', 'fortran_order': False, 'shape': (1,)}",
		"1234"), `type "|f4"`},
	{"strings of no width", array(
		"{'descr': '|S0', 'fortran_order': False, 'shape': (4294967296,)}", ""), `type "|S0"`},
	{"strings of gigabytes", array(
		"{'descr': '|S999999999', 'fortran_order': False, 'shape': (1,)}", ""), "type"},
	{"strings that overflow", array(
		"{'descr': '|S268435456', 'fortran_order': False, 'shape': (1099511627776,)}", ""),
		"more bytes than can be"},
	{"no character", array("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}",
		"\xff\xff\xff\xff"), "string 0: expected characters, got 0xffffffff"},
	{"no type", array("{'descr': '', 'fortran_order': False, 'shape': (1,)}", "1234"), `type ""`},
	{"negative dimension", array("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", ""),
		`dimension "-1" is not a size`},
	{"dimension over int64", array(
		"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", ""),
		"is not a size"},
	{"comma alone", array("{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", ""),
		`dimension "" is not a size`},
	{"no number", array("{'descr': '<f4', 'fortran_order': False, 'shape': (a,)}", ""),
		`dimension "a" is not a size`},
	{"product overflows", array(
		"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", ""),
		"more elements"},
	{"overflow beside zero", array(
		"{'descr': '<f4', 'fortran_order': True, 'shape': (0, 4294967296, 4294967296)}", ""),
		"more elements"},
	{"255 dimensions", array("{'descr': '<f4', 'fortran_order': False, 'shape': ("+
		strings.Repeat("1,", 255)+")}", "1234"), "255 dimensions"},
	{"exabyte of data", array(
		"{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846975,)}", "1234"),
		"bytes of data, got 4"},
	{"short data", array("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "1234567"),
		"expected 8 bytes of data, got 7"},
	{"short Fortran data", array("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}", ""),
		"expected 16 bytes of data, got 0"},
	{"bool of 2", array("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", "\x02"),
		"bool element 0 is 2"},
}

func TestReadHostile(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, c := range hostile {
		if _, err := Read(strings.NewReader(c.file)); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("the %d files took %d bytes of memory", len(hostile), took)
	}
}

func TestReadStopsBehindTheArray(t *testing.T) {
	one := array("{'shape':(1,),'fortran_order':False,'descr':\"<f4\"}\n", "\x00\x00\x80\x3f")
	r := strings.NewReader(one + one + "rest")
	for range 2 {
		if got, err := Read(r); err != nil || got.Data.([]float32)[0] != 1 {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if r.Len() != len("rest") {
		t.Errorf("%d bytes are left", r.Len())
	}
}

func TestReadZipErrors(t *testing.T) {
	one := array("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "1234")
	build := func(members ...[2]string) string {
		var file bytes.Buffer
		z := zip.NewWriter(&file)
		for _, m := range members {
			w, err := z.CreateHeader(&zip.FileHeader{Name: m[0], Method: zip.Store})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(m[1])); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return file.String()
	}
	for _, c := range []struct{ name, file, want string }{
		{"no zip", "hello", "not a valid zip file"},
		{"no array", build([2]string{"x.npy", "hello"}), `array "x": not a .npy file`},
		{"twice", build([2]string{"x.npy", one}, [2]string{"x.npy", one}),
			`array "x" is there twice`},
		{"more behind", build([2]string{"x.npy", one + "12"}),
			`array "x": 2 bytes follow the array`},
		{"flipped bit", strings.Replace(build([2]string{"x.npy", one}), "1234", "1235", 1),
			"checksum error"},
	} {
		path := filepath.Join(t.TempDir(), "x.npz")
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadZip(path); err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want %q and the path", c.name, err, c.want)
		}
	}
	if _, err := ReadZip("testdata/none.npz"); !os.IsNotExist(unwrap(err)) {
		t.Errorf("no file: %v", err)
	}
}

func unwrap(err error) error {
	if w, ok := err.(interface{ Unwrap() error }); ok {
		return w.Unwrap()
	}
	return err
}

func TestWriteErrors(t *testing.T) {
	for _, c := range []struct {
		tensor tensor.Tensor
		want   string
	}{
		{tensor.Tensor{DType: tensor.Bfloat16, Shape: tensor.Shape{1}, Data: []uint16{0}},
			"no type for bfloat16"},
		{tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{1}, Data: [][]byte{{1, 0}}},
			"string 0 ends in a zero"},
		{tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{2}, Data: []float32{0}},
			"expected 2 elements"},
	} {
		if err := Write(&bytes.Buffer{}, c.tensor); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v; want %q", c.tensor, err, c.want)
		}
	}
}

// FuzzRead holds that what is read is whole, and is the same when written and read again.
func FuzzRead(f *testing.F) {
	for _, c := range hostile {
		f.Add([]byte(c.file))
	}
	addFiles(f, "testdata/*.npy")
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := Read(bytes.NewReader(file))
		if err != nil {
			return
		}
		if err := got.Validate(); err != nil {
			t.Fatal(err)
		}
		roundTrip(t, got)
	})
}

func FuzzReadZip(f *testing.F) {
	addFiles(f, "testdata/*.npz")
	f.Fuzz(func(t *testing.T, file []byte) {
		z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		arrays, err := readZip(z, alwaysUnpacked)
		if err != nil {
			return
		}
		for _, got := range arrays {
			roundTrip(t, got)
		}
	})
}

func addFiles(f *testing.F, pattern string) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds at %s: %v", pattern, err)
	}
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
}

func roundTrip(t *testing.T, got tensor.Tensor) {
	t.Helper()
	var file bytes.Buffer
	if err := Write(&file, got); err != nil {
		t.Fatal(err)
	}
	again, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	sameBits := cmp.Options{
		cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }),
		cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	}
	if diff := cmp.Diff(got, again, sameBits); diff != "" {
		t.Errorf("(-first +again)\n%s", diff)
	}
}

func Example() {
	images, err := tensor.New(tensor.Shape{1, 2}, []float32{0.5, 0.25})
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer // numpy.load reads it
	if err := Write(&file, images); err != nil {
		fmt.Println(err)
		return
	}
	again, err := Read(&file)
	fmt.Println(again.DType, again.Shape, again.Data, err)
	// Output: float32 (1, 2) [0.5 0.25] <nil>
}

// TestZipThatUnpacksToMore holds that the arrays of an archive are bounded together.
func TestZipThatUnpacksToMore(t *testing.T) {
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	for _, name := range []string{"a.npy", "b.npy", "c.npy"} {
		member, err := w.Create(name) // packed
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(member, counting(tensor.Bool, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{
		4 << 20: "", 3 << 20: `array "c": bool of shape (1048576,): expected an archive of at most`,
		1 << 10: `array "a": bool of shape (1048576,): expected an archive of at most`,
	} {
		arrays, err := readZip(z, limit)
		if want == "" && (err != nil || len(arrays) != 3) {
			t.Errorf("limit %d: got %d arrays, %v, want 3", limit, len(arrays), err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("limit %d: got %v, want %q", limit, err, want)
		}
	}
}
