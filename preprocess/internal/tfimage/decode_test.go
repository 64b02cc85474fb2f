package tfimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kerasrun/internal/pythontest"
)

// imageFiles returns the test images of the repository.
func imageFiles(t testing.TB) []string {
	t.Helper()
	var paths []string
	for _, dir := range []string{"../../../testdata/images", "../../../testdata/photos",
		"../jpeg/testdata"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() &&
				!slices.Contains([]string{".md", ".py"}, filepath.Ext(path)) {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// sameDecoded holds a decoded file, or its refusal, against TensorFlow's. It returns the number of
// bytes compared.
func sameDecoded(t *testing.T, name string, file []byte, channels int) int {
	t.Helper()
	want := startTensorFlow(t).ask(t, map[string]any{"op": "decode", "channels": channels}, file)
	got, err := Decode(nil, file, channels)
	switch {
	case want.reason != "" && err == nil:
		t.Errorf("%s, %d channels: got an image, want a refusal (%.200s)", name, channels, want.reason)
	case want.reason == "" && err != nil:
		t.Errorf("%s, %d channels: got %v, want an image", name, channels, err)
	case err != nil:
		return 0
	default:
		_, size, err := DecodeConfig(file, channels)
		shape := fmt.Sprint([]int{size.Height, size.Width, channels})
		if err != nil || shape != fmt.Sprint(want.shape) {
			t.Errorf("%s: DecodeConfig returned %s, %v, want %v", name, shape, err, want.shape)
		}
		if d := sameBits(answer{bytes: got}.floats(), want.floats()); d != "" {
			t.Errorf("%s, %d channels: %s", name, channels, d)
		}
	}
	return len(got)
}

// JPEGs that Pillow's encoder writes, of all its subsamplings, qualities and kinds.
func TestMadeUpEqualTensorFlow(t *testing.T) {
	records := pythontest.Records(t, "../jpeg/testdata/draw.py", "8")
	n := 0
	for i := 0; i < len(records); i += 2 {
		for _, channels := range []int{1, 3} {
			n += sameDecoded(t, string(records[i]), records[i+1], channels)
		}
	}
	t.Logf("%d files, %d bytes compared", len(records)/2, n)
}

// libwebp's decoder refuses a VP8X chunk of another length, which its reader of containers takes.
func TestLongVP8X(t *testing.T) {
	for name, channels := range map[string]int{"lossy-alpha": 4, "metadata": 3} {
		file, err := os.ReadFile("../../../testdata/images/generated/" + name + ".webp")
		if err != nil {
			t.Fatal(err)
		}
		if sameDecoded(t, name, file, channels) == 0 {
			t.Errorf("%s: got it refused", name)
		}
		const end = 30 // of the chunk
		file = slices.Insert(file, end, 0, 0)
		binary.LittleEndian.PutUint32(file[4:], uint32(len(file)-8))
		file[16] += 2
		if sameDecoded(t, name, file, channels) != 0 {
			t.Errorf("%s: got it decoded with 2 bytes more", name)
		}
	}
}

func TestDecodeEqualsTensorFlow(t *testing.T) {
	equal := map[string]int{}
	for _, path := range imageFiles(t) {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(file, []byte("ANIM")) && filepath.Ext(path) == ".webp" {
			continue // TensorFlow's process ends
		}
		for _, channels := range []int{1, 3, 4} {
			if n := sameDecoded(t, path, file, channels); n > 0 {
				equal[fmt.Sprint(filepath.Ext(path), channels)] += n
			}
		}
	}
	t.Logf("bytes compared: %v", equal)
}
