package jpeg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kerasrun/internal/pythontest"
	"kerasrun/preprocess/internal/simd"
)

const referenceScript = "testdata/reference.py"

type file struct {
	name string
	data []byte
}

// decoded is a decoded file, or the reason why it was refused.
type decoded struct {
	width, height int
	pix           []byte
	reason        string
}

// pillow decodes files with Pillow, all in one process.
func pillow(t testing.TB, files []file) []decoded {
	t.Helper()
	p, err := pythontest.NewProcess(pythontest.Python(t), referenceScript, "decode")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, f := range files {
			binary.Write(p.In, binary.LittleEndian, int32(len(f.data)))
			p.In.Write(f.data)
		}
		p.In.Flush()
	}()
	images := make([]decoded, len(files))
	for i := range images {
		image := &images[i]
		var head [2]int32
		if err := binary.Read(p.Out, binary.LittleEndian, &head); err != nil {
			t.Fatalf("%s: %v", files[i].name, err)
		}
		n := 3 * int(head[0]) * int(head[1])
		if head[0] < 0 {
			n = int(head[1])
		}
		buf := make([]byte, n)
		if _, err := io.ReadFull(p.Out, buf); err != nil {
			t.Fatalf("%s: %v", files[i].name, err)
		}
		if head[0] < 0 {
			image.reason = string(buf)
		} else {
			image.width, image.height, image.pix = int(head[0]), int(head[1]), buf
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return images
}

// madeUp returns the images that the reference script draws.
func madeUp(t testing.TB, seed int) []file {
	t.Helper()
	cmd := exec.Command(pythontest.Python(t), referenceScript, "make", fmt.Sprint(seed))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	next := func() []byte {
		n := binary.LittleEndian.Uint32(out)
		b := out[4 : 4+n]
		out = out[4+n:]
		return b
	}
	var files []file
	for len(out) > 0 {
		name := string(next())
		files = append(files, file{name, next()})
	}
	return files
}

// difference says where two images differ, in the empty string nowhere.
func difference(got, want decoded) string {
	switch {
	case got.reason == "" && want.reason != "":
		return fmt.Sprintf("decoded what Pillow refuses: %s", want.reason)
	case got.reason != "" && want.reason == "":
		return fmt.Sprintf("refused what Pillow decodes: %s", got.reason)
	case got.reason != "":
		return ""
	case got.width != want.width || got.height != want.height:
		return fmt.Sprintf("%d x %d, expected %d x %d", got.width, got.height, want.width,
			want.height)
	case bytes.Equal(got.pix, want.pix):
		return ""
	}
	largest, count, first := 0, 0, -1
	for i, b := range got.pix {
		if diff := max(int(b)-int(want.pix[i]), int(want.pix[i])-int(b)); diff > 0 {
			largest = max(largest, diff)
			count++
			if first < 0 {
				first = i
			}
		}
	}
	return fmt.Sprintf("%d of %d values differ, by up to %d; the first at x %d, y %d", count,
		len(got.pix), largest,
		first/3%got.width, first/3/got.width)
}

// compare decodes files and holds them against Pillow. It returns how many Pillow decodes.
func compare(t *testing.T, files []file) (accepted int) {
	t.Helper()
	differ := 0
	for i, want := range pillow(t, files) {
		if want.reason == "" {
			accepted++
		}
		if diff := difference(decode(files[i]), want); diff != "" {
			if differ++; differ <= 10 {
				t.Errorf("%s: %s", files[i].name, diff)
			}
		}
	}
	t.Logf("%d files, of which Pillow decodes %d; %d differ", len(files), accepted, differ)
	return accepted
}

func decode(f file) decoded {
	pix, w, h, err := Decode(f.data, nil)
	if err != nil {
		return decoded{reason: err.Error()}
	}
	return decoded{width: w, height: h, pix: pix}
}

// committed returns the files that no encoder at hand writes.
func committed(t testing.TB) []file { return read(t, "testdata/*.jpg", "testdata/go/*.jpeg") }

func read(t testing.TB, patterns ...string) []file {
	t.Helper()
	var files []file
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file{name, data})
		}
	}
	return files
}

func TestFilesEqualPillow(t *testing.T) {
	files := append(committed(t), read(t, "../../../testdata/photos/*.jpg")...)
	if n := compare(t, files); n != len(files) {
		t.Errorf("Pillow decodes %d of %d", n, len(files))
	}
}

// A progressive file that breaks off in any place, but is closed by an end marker, is decoded with
// what there is.
func TestIncompleteEqualsPillow(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 0))
	var files []file
	for _, f := range append(committed(t), madeUp(t, 4)...) {
		if len(f.data) > 30000 || !bytes.Contains(f.data, []byte{0xFF, markerSOF2}) &&
			!bytes.Contains(f.data, []byte{0xFF, markerSOF10}) {
			continue
		}
		start := bytes.Index(f.data, []byte{0xFF, markerSOS})
		for range 10 {
			cut := start + rng.IntN(len(f.data)-start)
			data := append(bytes.Clone(f.data[:cut]), 0xFF, markerEOI)
			files = append(files, file{fmt.Sprintf("%s cut %d", f.name, cut), data})
		}
	}
	compare(t, files)
}

// The Go versions of what is in assembly equal Pillow, too.
func TestWithoutAVX2EqualsPillow(t *testing.T) {
	defer func(use bool) { simd.AVX2 = use }(simd.AVX2)
	simd.AVX2 = false
	const seed = 2
	rng := rand.New(rand.NewPCG(seed, 0))
	files := madeUp(t, seed)
	for range 500 {
		files = append(files, oddFrame(rng))
	}
	compare(t, files)
}

func TestEqualsPillow(t *testing.T) {
	for seed := range 2 {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			files := madeUp(t, seed)
			if n := compare(t, files); n != len(files) {
				t.Errorf("Pillow decodes %d of %d", n, len(files))
			}
		})
	}
}
