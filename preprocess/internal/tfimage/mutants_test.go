package tfimage

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var mutantsFlag = flag.Int("mutants", 200, "how many damaged files of each format to compare")

// mutate damages a file in a place or two.
func mutate(rng *rand.Rand, name string, file []byte) (string, []byte) {
	data := bytes.Clone(file)
	for range 1 + rng.IntN(2) {
		if len(data) < 16 {
			break
		}
		at := 4 + rng.IntN(len(data)-4)
		if rng.IntN(2) == 0 { // where headers are
			at = 4 + rng.IntN(min(len(data)-4, 300))
		}
		switch rng.IntN(6) {
		case 0, 1:
			bit := rng.IntN(8)
			data[at] ^= 1 << bit
			name += fmt.Sprintf(" flip %d.%d", at, bit)
		case 2:
			data[at] = byte(rng.IntN(256))
			name += fmt.Sprintf(" set %d=%02X", at, data[at])
		case 3:
			n := min(1+rng.IntN(8), len(data)-at)
			data = slices.Delete(data, at, at+n)
			name += fmt.Sprintf(" delete %d+%d", at, n)
		case 4:
			data = slices.Insert(data, at, byte(rng.IntN(256)))
			name += fmt.Sprintf(" insert %d", at)
		case 5:
			at = max(4, len(data)-rng.IntN(40))
			data = data[:at]
			name += fmt.Sprintf(" cut %d", at)
		}
	}
	if rng.IntN(3) > 0 {
		checksums(data)
	}
	return name, data
}

// checksums makes those of a PNG right, so that damage reaches the decoder.
func checksums(data []byte) {
	if !bytes.HasPrefix(data, []byte("\x89PNG")) {
		return
	}
	for pos := 8; pos+12 <= len(data); {
		n := int(binary.BigEndian.Uint32(data[pos:]))
		if n > len(data)-pos-12 {
			return
		}
		binary.BigEndian.PutUint32(data[pos+8+n:], crc32.ChecksumIEEE(data[pos+4:pos+8+n]))
		pos += n + 12
	}
}

// Of damaged files none is decoded that TensorFlow refuses, and those decoded are the same. A few
// that TensorFlow decodes are refused. (WebP is left out: some files end TensorFlow's process.)
func TestMutantsEqualTensorFlow(t *testing.T) {
	files := map[string][]string{}
	for _, path := range imageFiles(t) {
		if info, err := os.Stat(path); err != nil || info.Size() > 20000 {
			continue
		}
		switch ext := filepath.Ext(path); ext {
		case ".jpg", ".jpeg":
			files["JPEG"] = append(files["JPEG"], path)
		case ".png", ".gif", ".bmp":
			files[ext] = append(files[ext], path)
		}
	}
	for format, paths := range files {
		t.Run(format, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			equal, refused, more := 0, 0, 0
			for range *mutantsFlag {
				path := paths[rng.IntN(len(paths))]
				file, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				channels := []int{1, 3, 3, 4}[rng.IntN(4)]
				name, data := mutate(rng, filepath.Base(path), file)
				_, size, err := DecodeConfig(data, channels)
				if err == nil && size.Height*size.Width > 1<<24 {
					continue
				}
				var got []byte
				if err == nil {
					got, err = Decode(nil, data, channels)
				}
				want := startTensorFlow(t).ask(t,
					map[string]any{"op": "decode", "channels": channels}, data)
				switch {
				case want.reason != "" && err != nil:
					refused++
				case want.reason != "":
					t.Errorf("%s, %d channels: got an image, want a refusal (%.200s)", name,
						channels, want.reason)
				case err != nil:
					more++
					t.Logf("%s, %d channels: got %v, want an image", name, channels, err)
				case !bytes.Equal(got, want.bytes):
					t.Errorf("%s, %d channels: %s", name, channels,
						sameBits(answer{bytes: got}.floats(), want.floats()))
				default:
					equal++
				}
			}
			t.Logf("%d equal, %d refused by both, %d by us alone", equal, refused, more)
		})
	}
}
