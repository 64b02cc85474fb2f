package exif

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"kerasrun/internal/pythontest"
)

// TestAgainstPillowAndOpenCV turns drawn files as both libraries do in the same run: Exif of every
// type, order and damage, and XMP.
func TestAgainstPillowAndOpenCV(t *testing.T) {
	const count = 3000
	cmd := exec.Command(pythontest.Python(t), "testdata/reference.py", "1", fmt.Sprint(count))
	var stderr bytes.Buffer // libpng warns of each damaged chunk
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "OPENCV_LOG_LEVEL=SILENT")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	turned := map[string]int{}
	records := pythontest.Split(out)
	if len(records) != 5*count {
		t.Fatalf("got %d records, want 5 of each of %d files", len(records), count)
	}
	for r := range slices.Chunk(records, 5) {
		name, data, raw, pillow, opencv := r[0], r[1], r[2], r[3], r[4]
		if len(raw) == 0 {
			t.Fatalf("%s: OpenCV did not decode it", name)
		}
		orientation, err := Pillow(data)
		if err != nil {
			if len(pillow) > 0 {
				t.Errorf("%s: got %v, want what Pillow returns", name, err)
			}
			turned["refused"]++
		} else if got := turn(raw, orientation); !bytes.Equal(got, pillow) {
			t.Errorf("%s: got %d x %d of orientation %d, want Pillow's %d bytes", name, got[0],
				got[2], orientation, len(pillow))
		} else if orientation != Upright {
			turned["Pillow"]++
		}
		orientation = OpenCV(data)
		if got := turn(raw, orientation); !bytes.Equal(got, opencv) {
			t.Errorf("%s: got orientation %d, want OpenCV's", name, orientation)
		} else if orientation != Upright {
			turned["OpenCV"]++
		}
	}
	t.Logf("%d files: %v turned", count, turned)
}

// turn turns pixels after their width and height.
func turn(image []byte, orientation int) []byte {
	width, height := binary.LittleEndian.Uint16(image), binary.LittleEndian.Uint16(image[2:])
	pix, w, h := Turn(nil, image[4:], int(width), int(height), 3, orientation)
	out := binary.LittleEndian.AppendUint16(nil, uint16(w))
	return append(binary.LittleEndian.AppendUint16(out, uint16(h)), pix...)
}
